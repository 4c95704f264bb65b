"""Events reach a receiver, signed, once it listens; each event is told by one worker, and by its own id for ever."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdfast.contracts.activities import CloseWorkloadInput
from holdfast.contracts.notifications import Kind, ListNotificationsInput, Notification
from holdfast.contracts.workload import Phase
from holdfast.policy import delivering
from holdfast.records.store import Records
from holdfast.telemetry.metrics import Metrics
from holdfast.workers.notifying import deliver_notifications
from tests.unit.records.makers import new_records, opening

KEY = secrets.token_bytes(32)
SECRET = "whsec_" + base64.b64encode(KEY).decode()
OFTEN = timedelta(milliseconds=20)
PATIENCE = 30.0


@dataclass
class Receiver:
    """A web server of our own, in words of HTTP alone."""

    url: str = ""
    answers: list[str] = field(default_factory=list)  # status lines, in order; then 204
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        pairs = (line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers["content-length"]))
        self.heard.append((headers, body))
        status = self.answers.pop(0) if self.answers else "204 No Content"
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def listening(*answers: str) -> AsyncIterator[Receiver]:
    receiver = Receiver(answers=list(answers))
    server = await asyncio.start_server(receiver.talk, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with server:
        yield receiver


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return new_records(tmp_path)


def end_of_a_workload(records: Records, name: str = "train") -> str:
    """Something to tell; its id."""
    records.open_workload(opening(name))
    records.close_workload(_close(name, Phase.FINISHED, "the command ended with code 0"))
    return f"{name}.g1.ended"


def _close(name: str, phase: Phase, reason: str) -> CloseWorkloadInput:
    return CloseWorkloadInput(workload=name, phase=phase, reason=reason, closed_at=datetime.now(UTC))


def state_of(records: Records) -> Notification:
    (told,) = records.list_notifications(ListNotificationsInput())
    return told


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def test_an_event_is_posted_with_a_signature_that_anybody_can_check(records: Records):
    event_id = end_of_a_workload(records)
    async with listening() as receiver, deliver_notifications(records, (receiver.url, SECRET), Metrics(), every=OFTEN):
        await until(lambda: state_of(records).delivered_at is not None)
    ((headers, body),) = receiver.heard
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    assert headers["webhook-id"] == event_id
    assert json.loads(body)["type"] == "workload.ended"
    assert json.loads(body)["data"] == {
        "workload": "train",
        "phase": "finished",
        "reason": "the command ended with code 0",
    }


async def test_a_receiver_that_fails_is_told_again_in_the_same_words(records: Records, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(delivering, "_WAITS", (timedelta(milliseconds=50),))
    event_id = end_of_a_workload(records)
    answers = ("500 Internal Server Error", "302 Found", "429 Too Many Requests")
    async with (
        listening(*answers) as receiver,
        deliver_notifications(records, (receiver.url, SECRET), Metrics(), every=OFTEN),
    ):
        await until(lambda: state_of(records).delivered_at is not None)
    assert [headers["webhook-id"] for headers, _ in receiver.heard] == [event_id] * 4
    assert len({body for _, body in receiver.heard}) == 1
    assert state_of(records).tries == 4


async def test_nobody_listening_is_no_loss_and_why_is_on_record_without_the_address(records: Records):
    end_of_a_workload(records)
    async with listening() as gone:
        pass
    async with deliver_notifications(records, (gone.url, SECRET), Metrics(), every=OFTEN):
        await until(lambda: state_of(records).tries == 1 and state_of(records).last_error != "")
    told = state_of(records)
    assert told.delivered_at is None and told.given_up_at is None
    assert told.last_error == "ConnectError: no answer"


async def test_two_workers_tell_an_event_once(records: Records):
    names = [f"w{number}" for number in range(12)]
    for name in names:
        end_of_a_workload(records, name)
    async with listening() as receiver:
        to = (receiver.url, SECRET)
        async with (
            deliver_notifications(records, to, Metrics(), every=OFTEN),
            deliver_notifications(records, to, Metrics(), every=OFTEN),
        ):
            await until(lambda: all(each.delivered_at for each in records.list_notifications(ListNotificationsInput())))
    assert sorted(headers["webhook-id"] for headers, _ in receiver.heard) == sorted(
        f"{each}.g1.ended" for each in names
    )


def test_what_is_told_twice_is_one_event(records: Records):
    end_of_a_workload(records)
    records.close_workload(_close("train", Phase.FAILED, "told late, by somebody else"))
    told = state_of(records)
    assert (told.kind, told.document["phase"]) == (Kind.ENDED, "finished")


def test_waits_grow_and_end_after_a_day():
    made_at = now = datetime(2026, 9, 1, tzinfo=UTC)
    waits = []
    for tries in range(1, 100):
        again = delivering.next_try(made_at=made_at, tries=tries, now=now, chance=0.5)
        if again is None:
            break
        waits.append(again - now)
        now = again
    assert waits[0] == timedelta(seconds=5) and waits == sorted(waits)
    assert timedelta(hours=23) < now - made_at < timedelta(days=1)
    assert 20 < len(waits) < 40
