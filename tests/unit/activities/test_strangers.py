"""What activities make of a machine that lies: an answer that a workflow can act upon, and never a crash."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from holdfast.activities.hosts import HostActivities
from holdfast.activities.machine_watch import MachineWatch
from holdfast.activities.secrets import SecretSource
from holdfast.activities.sightings import Sightings
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.contracts import activities as acts
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.incidents import Reach
from holdfast.contracts.machines import Lease, Requirements, SshAddress, Terms
from holdfast.contracts.spec import PriceSpec, WorkloadSpec
from holdfast.hosts.pool import HostPool
from tests.unit.hosts.stranger import Stranger, stranger
from tests.unit.hosts.test_strangers import BEAT, PROBE

MINUTE = timedelta(minutes=1)
KEY = asyncssh.generate_private_key("ssh-ed25519")
ENDED = {**BEAT, "work": {**BEAT["work"], "state": "exited", "pid": None, "exit_code": 0}}
NONSENSE: list[Any] = [
    {},
    {"work": {}},
    {**BEAT, "work": {"state": []}},
    {**BEAT, "at": "now"},
    {**BEAT, "progress": {"text": {}, "raw": 1, "changed_at": None}},
    [],
]


class Liar:
    """A machine that gives one answer to each method, and the same heartbeat to whoever subscribes."""

    def __init__(self, beat: Any = BEAT, **answers: Any) -> None:
        self.beat = beat
        self.answers = {"hello": {}, "lease": {}, "heartbeat": beat, "probe": PROBE, **answers}

    async def __call__(self, machine: Stranger) -> None:
        await machine.say(holdfast="ready")
        while True:
            call = await machine.hear()
            if call.get("method") == "subscribe":
                await machine.say(id=call["id"], event="heartbeat", **(dict(self.beat) or {"nothing": 1}))
            elif "method" in call:
                answer = self.answers.get(call["method"], {})
                said = answer(call["params"]) if callable(answer) else answer
                await machine.say(id=call["id"], result=said)


@pytest.fixture
async def pool() -> AsyncIterator[HostPool]:
    async with HostPool(KEY, connect_timeout=timedelta(seconds=10)) as pool:
        yield pool


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[CheckpointEngine]:
    store = FolderStore(tmp_path / "store")
    yield CheckpointEngine(store)
    await store.close()


def lease(address: SshAddress) -> Lease:
    return Lease(
        workload="train",
        epoch=3,
        label="train.e3",
        provider="test",
        instance_id="1",
        machine_id="1",
        gpu="none",
        gpu_count=0,
        terms=Terms.ON_DEMAND,
        hourly=Decimal(0),
        since=datetime.now(UTC),
        ssh=address,
    )


@pytest.fixture
def hosts(pool: HostPool, tmp_path: Path) -> HostActivities:
    return HostActivities(pool, secrets=SecretSource(tmp_path), sightings=Sightings())


async def watched(liar: Liar, pool: HostPool, engine: CheckpointEngine) -> acts.MachineReport:
    client = await Client.connect("127.0.0.1:1", lazy=True)  # it has nothing to say to anybody
    watch = MachineWatch(pool, engine, client, sightings=Sightings(), interval=timedelta(seconds=0.1))
    async with stranger(liar, KEY) as address:
        order = acts.WatchMachineInput(
            lease=lease(address),
            spec=WorkloadSpec(name="train", command="true", price=PriceSpec(max_hourly=Decimal(1))),
            started_at=datetime.now(UTC),
            announce_progress=False,
            deadman=MINUTE,
        )
        return await ActivityEnvironment().run(watch.watch_machine, order)


@pytest.mark.parametrize("beat", NONSENSE, ids=lambda beat: repr(beat)[:50])
async def test_a_heartbeat_that_makes_no_sense_ends_the_watch_with_a_refusal(
    pool: HostPool, engine: CheckpointEngine, beat: Any
) -> None:
    report = await watched(Liar(beat), pool, engine)
    assert report.reach is Reach.REFUSES and "makes no sense" in report.detail


@pytest.mark.parametrize("beat", NONSENSE, ids=lambda beat: repr(beat)[:50])
async def test_a_machine_that_answers_nonsense_counts_as_refusing(hosts: HostActivities, beat: Any) -> None:
    async with stranger(Liar(beat), KEY) as address:
        found = await ActivityEnvironment().run(hosts.try_reach, acts.ReachInput(lease=lease(address)))
    assert found.reach is Reach.REFUSES and len(found.detail) <= 500


@pytest.mark.parametrize("probe", [{}, [], {**PROBE, "gpus": [{}]}, {**PROBE, "memory_mb": 1e400}], ids=repr)
async def test_a_probe_that_makes_no_sense_gives_the_machine_back(hosts: HostActivities, probe: Any) -> None:
    async with stranger(Liar(probe=probe), KEY) as address:
        order = acts.SettleInput(lease=lease(address), requirements=Requirements(), patience=MINUTE, deadman=MINUTE)
        with pytest.raises(ApplicationError) as failure:
            await ActivityEnvironment().run(hosts.settle_in, order)
    assert failure.value.type == ErrorType.AGENT_FAILED


async def start(hosts: HostActivities, view: Any) -> acts.StartWorkResult:
    async with stranger(Liar(start=view), KEY) as address:
        order = acts.StartWorkInput(
            lease=lease(address),
            spec=WorkloadSpec(name="train", command="true", price=PriceSpec(max_hourly=Decimal(1))),
            sequence=None,
        )
        return await ActivityEnvironment().run(hosts.start_work, order)


@pytest.mark.parametrize("view", [{}, {"started_at": None}, {"started_at": "now"}, {"started_at": 10**4000}])
async def test_a_start_without_a_moment_is_a_failure_of_the_agent(hosts: HostActivities, view: Any) -> None:
    with pytest.raises(ApplicationError) as failure:
        await start(hosts, view)
    assert failure.value.type == ErrorType.AGENT_FAILED


async def test_a_moment_beyond_all_dates_is_a_date(hosts: HostActivities) -> None:
    assert (await start(hosts, {"started_at": -1e15})).started_at < datetime.now(UTC)


def endless(order: dict[str, Any]) -> dict[str, Any]:
    """However much was read, there is more; the agent says that it is one byte."""
    return {"offset": order["offset"], "data": "x" * 1000, "size": order["offset"] + 1}


async def test_a_log_that_never_ends_does_not_keep_the_watch_from_ending(
    pool: HostPool, engine: CheckpointEngine
) -> None:
    report = await watched(Liar(ENDED, read_log=endless), pool, engine)
    assert report.finished


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"offset": "7", "data": "x", "size": 1},
        {"offset": -5, "data": "x", "size": 1},
        {"offset": 10**20, "data": "x", "size": 1},
        {"offset": 0, "data": "日本", "size": 1},
        {"offset": 0, "data": "x" * 600_000, "size": 1},
        {"offset": 0, "data": "x", "size": None},
    ],
    ids=lambda answer: repr(answer)[:40],
)
async def test_a_piece_of_log_that_makes_no_sense_is_not_kept_and_stops_nobody(
    pool: HostPool, engine: CheckpointEngine, answer: dict[str, Any]
) -> None:
    assert (await watched(Liar(ENDED, read_log=answer), pool, engine)).finished
    assert (await engine.read_logs("train")).data == b""


async def test_what_a_machine_wrote_before_its_end_is_kept(pool: HostPool, engine: CheckpointEngine) -> None:
    output = "one\ntwo\n" * 1000

    def honest(order: dict[str, Any]) -> dict[str, Any]:
        return {"offset": order["offset"], "data": output[order["offset"] :][:3000], "size": len(output)}

    await watched(Liar(ENDED, read_log=honest), pool, engine)
    assert (await engine.read_logs("train")).data == output.encode()
