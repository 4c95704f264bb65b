"""What is in flight on a channel: calls that have one outcome, and streams of heartbeats."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from holdfast.contracts.channel import AgentError, Answer, ChannelLost, Json, understood

Send = Callable[[Json], Awaitable[None]]
Message = dict[str, Any]
Replies = set[asyncio.Task[None]]

_AT_ONCE = 64  # questions that one call may have open: a transfer asks from eight threads, each waits for its answer


class Exchange:
    """Collect the messages of one call and turn them into its outcome."""

    def __init__(self, answer: Answer | None) -> None:
        self._answer = answer
        self._messages: asyncio.Queue[Message] = asyncio.Queue()

    def take(self, message: Message) -> None:
        """A result, error, question or note from the agent."""
        self._messages.put_nowait(message)

    def fail(self, reason: str) -> None:
        """The conversation ended before the outcome."""
        self._messages.put_nowait({"lost": reason})

    async def outcome(self, send: Send, timeout: timedelta | None) -> dict[str, Any]:
        """Wait for the result, answering questions side by side. Raises as `Channel.call` does."""
        replies: Replies = set()
        try:
            async with asyncio.TaskGroup() as answering:
                while True:
                    message = await self._next(timeout)
                    if "ask" in message:
                        self._answer_aside(message, send, answering, replies)
                    elif "note" not in message:
                        for reply in replies:
                            reply.cancel()  # an agent that has ended waits for none, and may never take one
                        return _result(message)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None  # the group would stand in every message as the innermost cause

    async def _next(self, timeout: timedelta | None) -> Message:
        seconds = None if timeout is None else timeout.total_seconds()
        try:
            # Not `wait_for`: before Python 3.12 it swallows a cancel that comes together with the message.
            async with asyncio.timeout(seconds):
                return await self._messages.get()
        except TimeoutError as late:
            raise ChannelLost(f"the agent said nothing for {seconds:.0f} s") from late

    def _answer_aside(self, question: Message, send: Send, group: asyncio.TaskGroup, replies: Replies) -> None:
        if len(replies) >= _AT_ONCE:
            raise AgentError("nonsense", f"the agent has more than {_AT_ONCE} questions open")
        reply = group.create_task(self._reply(question, send))
        replies.add(reply)
        reply.add_done_callback(replies.discard)

    async def _reply(self, question: Message, send: Send) -> None:
        if self._answer is None:
            error = {"kind": "unknown_method", "message": f"the caller answers no {question['method']!r}"}
            await send({"answer": question["ask"], "error": error})
            return
        try:
            result = await self._answer(question["method"], question["params"])
        except Exception as error:
            told = {"answer": question["ask"], "error": {"kind": "answer_failed", "message": str(error)}}
            with suppress(ChannelLost):  # what happened here is the outcome, also when nobody can be told
                await send(told)
            raise
        await send({"answer": question["ask"], "result": result})


class BeatStream:
    """Hold the newest heartbeat for a reader who may be slower than they come."""

    def __init__(self) -> None:
        self._message: Message | None = None
        self._arrived = asyncio.Event()

    def take(self, message: Message) -> None:
        """A heartbeat, or the error instead of one."""
        self._message = message
        self._arrived.set()

    def fail(self, reason: str) -> None:
        """The conversation ended."""
        self.take({"lost": reason})

    async def newest(self) -> Message:
        """The next heartbeat that was not read yet. Raises ChannelLost or AgentError."""
        await self._arrived.wait()
        self._arrived.clear()
        assert self._message is not None
        return self._message if "event" in self._message else _result(self._message)


def _result(message: Message) -> dict[str, Any]:
    if "lost" in message:
        raise ChannelLost(message["lost"])
    if "error" in message:
        with understood("the agent's error"):
            kind, words = message["error"]["kind"], message["error"]["message"]
        raise AgentError(kind, words)
    result = message.get("result")
    if not isinstance(result, dict):
        raise AgentError("nonsense", "the agent's answer is no object")
    return result
