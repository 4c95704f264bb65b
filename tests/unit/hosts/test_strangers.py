"""A machine that lets us in and then talks nonsense, or without end, or not at all."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import asyncssh
import pytest

from holdfast.contracts.channel import AgentError, ChannelLost
from holdfast.contracts.machines import Lease
from holdfast.hosts.errors import HostRefused, HostUnreachable, NoAgent
from holdfast.hosts.heartbeat import WorkState, parse_heartbeat, parse_probe
from holdfast.hosts.lines import JsonLines
from holdfast.hosts.pool import HostPool
from tests.unit.hosts.stranger import Behaviour, Stranger, at, stranger

MEBIBYTE = 1024 * 1024
QUICK = timedelta(seconds=0.2)
BEAT: dict[str, Any] = {
    "at": 1e9,
    "boot_id": "b",
    "agent_started_at": 1e9,
    "agent_pid": 7,
    "epoch": 3,
    "work": {"state": "running", "pid": 9, "exit_code": None, "started_at": 1e9, "ended_at": None},
    "progress": {"text": "step 1", "raw": None, "changed_at": 1e9},
    **dict.fromkeys(("gpu_percent", "gpu_memory_mb", "cpu_percent", "memory_mb", "disk_free_mb"), 1.5),
    "log_bytes": 10,
    "lease_left_s": 60.0,
    "deadman_at": None,
}
PROBE: dict[str, Any] = {"gpus": [], "cpu_cores": 4, "memory_mb": 100, "disk_free_mb": 100, "python": "3.12"}


def test_the_stranger_of_these_tests_can_speak_properly() -> None:
    assert parse_heartbeat(BEAT).state is WorkState.RUNNING
    assert parse_probe(PROBE).cpu_cores == 4


@pytest.mark.parametrize(
    "lie",
    [
        {"at": 10**4000},
        {"at": float("nan")},
        {"at": "noon"},
        {"work": None},
        {"work": {"state": "running"}},
        {"work": {**BEAT["work"], "exit_code": 2**80}},
        {"progress": {"text": 7, "raw": None, "changed_at": None}},
        {"progress": []},
        {"log_bytes": -1},
        {"gpu_percent": float("inf")},
        {"lease_left_s": "long"},
    ],
    ids=lambda lie: repr(lie)[:60],
)
def test_a_heartbeat_that_makes_no_sense_is_the_agents_failure(lie: dict[str, Any]) -> None:
    with pytest.raises(AgentError) as failure:
        parse_heartbeat({**BEAT, **lie})
    assert failure.value.kind == "nonsense"


@pytest.mark.parametrize("at", [-1e12, 0, 1e12, 9e15])
def test_a_clock_that_is_off_by_ages_still_tells_a_moment(at: float) -> None:
    beat = parse_heartbeat({**BEAT, "at": at, "progress": {"text": "", "raw": None, "changed_at": 0}})
    assert beat.progress_at is not None and beat.at - beat.progress_at >= timedelta()


@pytest.mark.parametrize(("pid", "read_as"), [(9, WorkState.RUNNING), (None, WorkState.EXITED)])
def test_a_state_of_a_newer_agent_is_told_by_the_process(pid: int | None, read_as: WorkState) -> None:
    beat = parse_heartbeat({**BEAT, "work": {**BEAT["work"], "state": "hibernating", "pid": pid}})
    assert beat.state is read_as


def test_progress_is_cleaned_and_cut() -> None:
    said = {"text": "\x1b[2Jstep \ud800" + "9" * 100_000, "raw": None, "changed_at": None}
    progress = parse_heartbeat({**BEAT, "progress": said}).progress
    assert len(progress) == 500 and progress.isprintable()


@pytest.mark.parametrize(
    "lie",
    [
        {"gpus": [{}]},
        {"gpus": [{"name": "x", "memory_mb": 1}] * 1000},
        {"gpus": 7},
        {"cpu_cores": 1e400},
        {"python": None},
        {"facts": {"a": {}}},
        {"facts": 7},
    ],
    ids=lambda lie: next(iter(lie)),
)
def test_a_probe_that_makes_no_sense_is_the_agents_failure(lie: dict[str, Any]) -> None:
    with pytest.raises(AgentError) as failure:
        parse_probe({**PROBE, **lie})
    assert failure.value.kind == "nonsense"


def test_what_a_probe_has_too_much_is_passed_over_and_its_words_are_cleaned() -> None:
    probe = parse_probe({**PROBE, "weight": "1 t", "kernel": "\x1b[8m6.1" + "x" * 9999, "facts": {"a\0": "\x07"}})
    assert probe.kernel.isprintable() and len(probe.kernel) == 500 and probe.facts == {"a�": "�"}


async def first_words(client_key: asyncssh.SSHKey, lease: Lease, said: bytes) -> None:
    async def behaviour(machine: Stranger) -> None:
        await machine.write(said)

    async with (
        stranger(behaviour, client_key) as address,
        HostPool(client_key, connect_timeout=timedelta(seconds=5)) as pool,
        pool.channel(at(lease, address)),
    ):
        raise AssertionError("that was no agent")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b'{"holdfast": "refused"}\n', HostRefused),
        (b'{"holdfast": "no_agent", "reason": {"a": 1}}\n', NoAgent),
        (b'{"holdfast": "refused", "reason": "\\u001b[2J"}\n', HostRefused),
        (b"[" * 100_000 + b"\n" + b'{"holdfast": "refused"}\n', HostRefused),
        (b"x" * MEBIBYTE + b'\n{"holdfast": "ready"}\n', HostRefused),
    ],
    ids=["no reason", "an odd reason", "an unclean reason", "endless nesting", "endless noise"],
)
async def test_first_words_of_any_kind_are_a_refusal(
    client_key: asyncssh.SSHKey, lease: Lease, said: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error) as refusal:
        await first_words(client_key, lease, said)
    assert str(refusal.value).isprintable()


async def call(client_key: asyncssh.SSHKey, lease: Lease, behaviour: Behaviour) -> dict[str, Any]:
    """The outcome of one call, with answers to what the machine asks."""

    async def reply(question: str, params: Any) -> dict[str, Any]:
        return {"page": "x" * 256 * 1024}

    async with (
        stranger(behaviour, client_key) as address,
        HostPool(client_key) as pool,
        pool.channel(at(lease, address)) as channel,
    ):
        return await channel.call("anything", {}, answer=reply, timeout=timedelta(seconds=5))


def after_greeting(then: Callable[[Stranger, int], Any]) -> Behaviour:
    """Greet us as an agent should, take the next call, and go on with `then(machine, number of the call)`."""

    async def behaviour(machine: Stranger) -> None:
        await machine.say(holdfast="ready")
        await machine.say(id=(await machine.hear())["id"], result={})
        await then(machine, (await machine.hear())["id"])
        await machine.process.stdin.read()

    return behaviour


@pytest.mark.parametrize(
    "said",
    [
        {"result": None},
        {"result": [1]},
        {"neither": 1},
        {"error": "words"},
        {"error": {"kind": ["unhashable"], "message": {}}},
        {"error": {}},
    ],
    ids=repr,
)
async def test_an_answer_of_another_shape_is_the_agents_failure(
    client_key: asyncssh.SSHKey, lease: Lease, said: dict[str, Any]
) -> None:
    with pytest.raises(AgentError):
        await call(client_key, lease, after_greeting(lambda machine, number: machine.say(id=number, **said)))


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 1_000_000,
        b'{"id": ' + b"9" * 5000 + b"}",
        b'{"id": []}',
        b'{"id": {}, "ask": 1}',
        b'{"id": 2, "ask": 1}',
        b'{"id": 2, "ask": "x", "method": "m", "params": {}}',
        b'{"id": 2, "ask": 1, "method": "m", "params": 7}',
        b'{"id": null}',
        b"no json",
        b"\xff\xfe",
    ],
    ids=lambda line: repr(line[:40]),
)
async def test_a_message_of_another_shape_ends_the_conversation(
    client_key: asyncssh.SSHKey, lease: Lease, line: bytes
) -> None:
    with pytest.raises(ChannelLost, match="the conversation broke"):
        await call(client_key, lease, after_greeting(lambda machine, _: machine.write(line + b"\n")))


def questions(number: int, count: int) -> bytes:
    asked = ({"id": number, "ask": each, "method": "page", "params": {}} for each in range(count))
    return b"".join(json.dumps(each).encode() + b"\n" for each in asked)


async def test_a_machine_that_asks_without_listening_is_left(client_key: asyncssh.SSHKey, lease: Lease) -> None:
    async def ask_for_ever(machine: Stranger, number: int) -> None:
        await machine.write(questions(number, 5000))
        await asyncio.Event().wait()

    with pytest.raises(AgentError, match="questions open"):
        await call(client_key, lease, after_greeting(ask_for_ever))


async def test_a_result_counts_also_when_the_machine_does_not_listen_to_our_answers(
    client_key: asyncssh.SSHKey, lease: Lease
) -> None:
    async def ask_and_end(machine: Stranger, number: int) -> None:
        await machine.write(questions(number, 60))  # 15 MiB of answers, more than any window
        await machine.say(id=number, result={"done": True})
        await asyncio.Event().wait()

    assert await call(client_key, lease, after_greeting(ask_and_end)) == {"done": True}


async def test_questions_to_nobody_do_not_fill_our_memory(client_key: asyncssh.SSHKey, lease: Lease) -> None:
    async def ask_nobody(machine: Stranger, number: int) -> None:
        while True:
            await machine.write(questions(0, 5000))
            await asyncio.sleep(0)

    with pytest.raises(ChannelLost, match="belong to no call"):
        await call(client_key, lease, after_greeting(ask_nobody))


async def test_a_call_that_the_machine_never_takes_in_ends_with_its_patience(
    client_key: asyncssh.SSHKey, lease: Lease
) -> None:
    async def deaf(machine: Stranger, number: int) -> None:
        await asyncio.Event().wait()

    async with (
        stranger(after_greeting(deaf), client_key) as address,
        HostPool(client_key) as pool,
        pool.channel(at(lease, address)) as channel,
    ):
        with pytest.raises(ChannelLost):
            await channel.call("first", {}, timeout=QUICK)
        with pytest.raises(ChannelLost, match="takes nothing in"):
            await channel.call("large", {"note": "x" * 16 * MEBIBYTE}, timeout=QUICK)


class Endless:
    """A line that never ends; counts what was read of it."""

    def __init__(self) -> None:
        self.read_so_far = 0

    async def read(self, n: int) -> bytes:
        self.read_so_far += n
        assert self.read_so_far < 2048 * MEBIBYTE
        return b"x" * n


async def test_a_line_without_an_end_is_given_up_before_it_fills_our_memory() -> None:
    source = Endless()
    with pytest.raises(ValueError, match="a line of more than"):
        [message async for message in JsonLines(source)]
    assert source.read_so_far < 10 * MEBIBYTE


class Flood:
    """Small messages that are always there: reading them never has to wait."""

    def __init__(self) -> None:
        self.stopped = False

    async def read(self, n: int) -> bytes:
        return b"" if self.stopped else b"{}\n" * (n // 3)


async def test_a_flood_of_messages_leaves_the_others_their_turn() -> None:
    source = Flood()

    async def another() -> None:
        source.stopped = True

    waiting = asyncio.create_task(another())
    async for _ in JsonLines(source):
        pass
    assert waiting.done()


async def test_a_machine_that_stalls_at_any_stage_is_unreachable(client_key: asyncssh.SSHKey, lease: Lease) -> None:
    async def silent(machine: Stranger) -> None:
        await machine.process.stdin.read()

    async with (
        stranger(silent, client_key) as address,
        HostPool(client_key, connect_timeout=QUICK * 2) as pool,
    ):
        for _ in range(3):
            with pytest.raises(HostUnreachable):
                async with pool.channel(at(lease, address)):
                    pass
        session = await pool.session(at(lease, address))
        await asyncio.sleep(0)
        assert len(session.connection._channels) <= 1


async def test_a_key_exchange_over_numbers_of_the_machines_choice_is_refused(
    client_key: asyncssh.SSHKey, lease: Lease
) -> None:
    async def any_behaviour(machine: Stranger) -> None: ...

    async with (
        stranger(any_behaviour, client_key, kex_algs=["diffie-hellman-group-exchange-sha256"]) as address,
        HostPool(client_key) as pool,
    ):
        with pytest.raises(HostRefused):
            await pool.session(at(lease, address))
