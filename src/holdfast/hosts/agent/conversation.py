"""One connection to the daemon: calls in, results out, questions back, heartbeats for who subscribed.

Messages from control: {id, method, params}, {answer, result | error}, {cancel: id}, {ping}.
Messages to control: {id, result | error}, {id, ask, method, params}, {id, note}, {id, event: "heartbeat", ...}.
"""

import itertools
import socket
import threading
from typing import Any, Callable, Dict, Optional

from .failures import AgentFailure, as_failure
from .methods import Json
from .wire import Wire

SILENCE = 60.0  # seconds without a byte from control (it pings) after which the connection is given up
_ANSWER_WITHIN = 120.0  # seconds for control to answer a question

Invoke = Callable[[Optional[int], str, Json, "Call"], Json]
Beat = Callable[[], Json]


class Call:
    """One running method and its line back to whoever called it."""

    def __init__(self, conversation: "Conversation", number: Any) -> None:
        self._conversation = conversation
        self._number = number
        self.cancelled = False

    def ask(self, method: str, params: Json) -> Json:
        """Put a question to the caller and wait for the answer."""
        self._check()
        return self._conversation.ask(self._number, method, params)

    def note(self, facts: Json) -> None:
        """Tell the caller how far the call is; this also keeps the caller from losing patience."""
        self._check()
        self._conversation.tell({"id": self._number, "note": facts})

    def _check(self) -> None:
        if self.cancelled:
            raise AgentFailure("cancelled", "the caller gave this call up")


class _Question:
    """A question on its way, until its answer."""

    def __init__(self) -> None:
        self.answered = threading.Event()
        self.answer: Json = {"error": {"kind": "control_lost", "message": "the connection ended before the answer"}}


class Conversation:
    """Serve one connection until it ends. Methods run in threads of their own."""

    def __init__(self, link: socket.socket, invoke: Invoke, beat: Beat) -> None:
        self._wire = Wire(link, SILENCE)
        self._invoke = invoke
        self._beat = beat
        self._epoch: Optional[int] = None
        self._calls: Dict[Any, Call] = {}
        self._questions: Dict[int, _Question] = {}
        self._numbers = itertools.count(1)
        self._ended = threading.Event()

    def run(self) -> None:
        """Returns when the connection has ended and all who waited for it know."""
        try:
            for message in self._wire.messages():
                self._take(message)
        finally:
            self._end()

    def _end(self) -> None:
        self._ended.set()
        for call in list(self._calls.values()):
            call.cancelled = True
        for question in list(self._questions.values()):
            question.answered.set()
        self._wire.close()

    def tell(self, message: Json) -> None:
        """Send, or raise AgentFailure because nobody is there any more."""
        try:
            self._wire.send(message)
        except OSError as error:
            self._wire.close()
            raise AgentFailure("control_lost", f"the connection to control broke: {error}") from error

    def ask(self, call: Any, method: str, params: Json) -> Json:
        number, question = next(self._numbers), _Question()
        self._questions[number] = question
        try:
            if self._ended.is_set():
                raise AgentFailure("control_lost", "the connection to control has ended")
            self.tell({"id": call, "ask": number, "method": method, "params": params})
            if not question.answered.wait(_ANSWER_WITHIN):
                raise AgentFailure("control_lost", f"no answer to {method!r} within {_ANSWER_WITHIN:.0f} s")
        finally:
            del self._questions[number]
        if "error" in question.answer:
            error = question.answer["error"]
            raise AgentFailure(error["kind"], error["message"])
        result: Json = question.answer["result"]
        return result

    def _take(self, message: Json) -> None:
        if "method" in message and "id" in message:
            call = self._calls[message["id"]] = Call(self, message["id"])
            name = message["method"]
            threading.Thread(target=self._serve, args=(call, message), name=name, daemon=True).start()
        elif "answer" in message:
            question = self._questions.get(message["answer"])
            if question is not None:
                question.answer = message
                question.answered.set()
        elif message.get("cancel") in self._calls:
            self._calls[message["cancel"]].cancelled = True

    def _serve(self, call: Call, message: Json) -> None:
        number = message["id"]
        try:
            reply: Json = {"id": number, "result": self._run(call, message)}
        except Exception as error:
            failure = as_failure(error)
            reply = {"id": number, "error": {"kind": failure.kind, "message": str(failure)}}
        self._calls.pop(number, None)
        try:
            self.tell(reply)
        except AgentFailure:
            return  # nobody is left to hear it; what the method did stands, and can be asked for again

    def _run(self, call: Call, message: Json) -> Json:
        method, params = message["method"], message.get("params", {})
        if method == "hello":
            self._epoch = int(params["epoch"])
        if method == "subscribe":
            return self._send_beats(call, message["id"], float(params.get("interval_s", 1)))
        return self._invoke(self._epoch, method, params, call)

    def _send_beats(self, call: Call, number: Any, interval: float) -> Json:
        """Send heartbeats until the caller cancels this call or the connection ends."""
        while not call.cancelled:
            self.tell({"id": number, "event": "heartbeat", **self._beat()})
            self._ended.wait(interval)
        return {}
