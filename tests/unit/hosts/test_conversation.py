"""The agent's end of a conversation: concurrent calls, questions back, cancellation, and ends of every kind."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from holdfast.hosts.agent.conversation import Call, Conversation
from holdfast.hosts.agent.failures import AgentFailure
from holdfast.hosts.agent.methods import OneAtATime

Json = dict[str, Any]
PATIENCE = 20


class Control:
    """The other end of a conversation, by hand."""

    def __init__(self, invoke: Callable[[int | None, str, Json, Call], Json]) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(PATIENCE)
        self._reader = self.socket.makefile("rb")
        conversation = Conversation(theirs, invoke, lambda: {"n": 1})
        self.thread = threading.Thread(target=conversation.run, daemon=True)
        self.thread.start()

    def say(self, **message: Any) -> None:
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def hear(self) -> Json:
        found: Json = json.loads(self._reader.readline())
        return found

    def hang_up(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@pytest.fixture
def finished() -> list[str]:
    """The kinds of failure with which methods ended."""
    return []


@pytest.fixture
def control(finished: list[str]) -> Iterator[Control]:
    one_at_a_time, go = OneAtATime(), threading.Event()

    def transfer(params: Json, ask: Callable[[str, Json], Json], note: Callable[[Json], None]) -> Json:
        note({"files": 1})
        return {"told": ask("needed", {"page": 0})}

    def invoke(epoch: int | None, method: str, params: Json, call: Call) -> Json:
        try:
            if method == "wait":
                go.wait(PATIENCE)
            if method == "release":
                go.set()
            if method == "note_for_ever":
                while True:
                    call.note({})
            if method == "break":
                raise OSError(28, "No space left on device")
            return (
                one_at_a_time.wrap(transfer)(params, call.ask, call.note) if method == "transfer" else {"epoch": epoch}
            )
        except AgentFailure as failure:
            finished.append(failure.kind)
            raise

    control = Control(invoke)
    yield control
    control.hang_up()
    control.socket.close()


def test_calls_run_side_by_side_and_answer_in_any_order(control: Control) -> None:
    control.say(id=1, method="wait")
    control.say(id=2, method="release")
    assert {control.hear()["id"], control.hear()["id"]} == {1, 2}


def test_the_epoch_of_the_greeting_stands_behind_every_call(control: Control) -> None:
    for number, method, epoch in ((1, "anything", None), (2, "hello", 5), (3, "anything", 5)):
        control.say(id=number, method=method, params={"epoch": 5})
        assert control.hear() == {"id": number, "result": {"epoch": epoch}}


def test_a_method_notes_and_asks_while_it_runs(control: Control) -> None:
    control.say(id=1, method="transfer")
    assert control.hear() == {"id": 1, "note": {"files": 1}}
    question = control.hear()
    assert (question["id"], question["method"], question["params"]) == (1, "needed", {"page": 0})
    control.say(answer=question["ask"], result={"blob": "b"})
    assert control.hear() == {"id": 1, "result": {"told": {"blob": "b"}}}


def test_an_error_for_an_answer_ends_the_method_with_that_kind(control: Control) -> None:
    control.say(id=1, method="transfer")
    control.hear()
    control.say(answer=control.hear()["ask"], error={"kind": "store_down", "message": "try later"})
    assert control.hear() == {"id": 1, "error": {"kind": "store_down", "message": "try later"}}


def test_a_second_transfer_is_busy_until_the_first_has_ended(control: Control) -> None:
    control.say(id=1, method="transfer")
    control.hear()
    question = control.hear()
    control.say(id=2, method="transfer")
    assert control.hear()["error"]["kind"] == "busy"
    control.say(answer=question["ask"], result={})
    assert control.hear()["id"] == 1
    control.say(id=3, method="transfer")
    assert control.hear()["id"] == 3
    control.say(answer=control.hear()["ask"], result={})
    control.hear()


def test_a_transfer_whose_control_vanishes_ends_and_frees_its_place(control: Control, finished: list[str]) -> None:
    control.say(id=1, method="transfer")
    control.hear()
    control.hear()
    control.socket.shutdown(socket.SHUT_RDWR)
    control.thread.join(PATIENCE)
    wait_for(lambda: finished == ["control_lost"])


def test_a_cancelled_call_ends_at_its_next_note(control: Control) -> None:
    control.say(id=1, method="note_for_ever")
    control.say(cancel=1)
    while "note" in (message := control.hear()):
        pass
    assert message["error"]["kind"] == "cancelled"


def test_a_full_disk_has_its_own_kind(control: Control) -> None:
    control.say(id=1, method="break")
    assert control.hear()["error"]["kind"] == "disk_full"


def test_heartbeats_come_until_they_are_cancelled(control: Control) -> None:
    control.say(id=1, method="subscribe", params={"interval_s": 0.01})
    assert [control.hear() for _ in range(2)] == [{"id": 1, "event": "heartbeat", "n": 1}] * 2
    control.say(cancel=1)
    while "event" in (message := control.hear()):
        pass
    assert message == {"id": 1, "result": {}}


@pytest.mark.parametrize("noise", [b"no json\n", b"[1]\n", b'{"id": 1, "method": "wa', b'{"method": "x"}\n'])
def test_a_line_that_is_no_message_breaks_nothing(control: Control, noise: bytes) -> None:
    control.socket.sendall(noise)
    control.socket.shutdown(socket.SHUT_WR)
    control.thread.join(PATIENCE)
    assert not control.thread.is_alive()


def wait_for(condition: Callable[[], bool]) -> None:
    event = threading.Event()
    for _ in range(PATIENCE * 100):
        if condition():
            return
        event.wait(0.01)
    raise AssertionError("waited in vain")
