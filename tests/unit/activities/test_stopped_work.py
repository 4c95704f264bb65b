"""Work that was told to end has not finished, whatever its exit code says: neither for the watch nor for a try."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from holdfast.activities.hosts import HostActivities
from holdfast.activities.machine_watch import MachineWatch
from holdfast.activities.secrets import SecretSource
from holdfast.activities.sightings import Sightings
from holdfast.activities.translation import to_wire
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.contracts.activities import MachineReport, ReachInput, ReachResult, WatchMachineInput
from holdfast.contracts.channel import AgentError
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.incidents import Reach
from holdfast.contracts.machines import Lease
from holdfast.contracts.spec import WorkloadSpec
from holdfast.hosts.pool import HostPool
from tests.unit.hosts.conftest import address, client_key, lease, machine, pool
from tests.unit.hosts.machine import Machine, until
from tests.unit.hosts.orders import order

__all__ = ["address", "client_key", "lease", "machine", "pool"]  # fixtures

SAVES_ON_SIGTERM = "trap 'echo saved > state; exit 0' TERM; touch ready; while :; do sleep 0.05; done"


class Control:
    """The two activities that say what became of the work on a machine."""

    def __init__(self, pool: HostPool, store: FolderStore, lease: Lease) -> None:
        self._pool = pool
        self._store = store
        self._lease = lease

    async def watches(self) -> MachineReport:
        client = await Client.connect("127.0.0.1:1", lazy=True)  # nothing is announced, so nobody is called
        interval = timedelta(seconds=1)
        watch = MachineWatch(
            self._pool, CheckpointEngine(self._store), client, sightings=Sightings(), interval=interval
        )
        spec = WorkloadSpec.model_validate({"name": "train", "command": "true", "price": {"max_hourly": "1"}})
        watched = WatchMachineInput(
            lease=self._lease,
            spec=spec,
            started_at=datetime.now(UTC),
            announce_progress=False,
            deadman=timedelta(minutes=5),
        )
        found = await ActivityEnvironment().run(watch.watch_machine, watched)
        assert isinstance(found, MachineReport)
        return found

    async def tries(self, secrets: Path) -> ReachResult:
        hosts = HostActivities(self._pool, secrets=SecretSource(secrets), sightings=Sightings())
        return await hosts.try_reach(ReachInput(lease=self._lease))


@pytest.fixture
async def control(pool: HostPool, lease: Lease, tmp_path: Path) -> AsyncIterator[Control]:
    store = FolderStore(tmp_path / "store")
    yield Control(pool, store, lease)
    await store.close()


async def test_work_that_ended_by_itself_has_finished(
    pool: HostPool, lease: Lease, control: Control, tmp_path: Path
) -> None:
    async with pool.channel(lease) as channel:
        await channel.call("lease", {"for_s": 600})
        await channel.call("start", order("exit 0"))
    report = await control.watches()
    assert (report.reach, report.finished, report.exit_code) == (Reach.ANSWERS, True, 0)
    assert (await control.tries(tmp_path)).reach is Reach.ANSWERS


async def test_work_that_saves_and_exits_with_0_when_we_stop_it_has_not_finished(
    machine: Machine, pool: HostPool, lease: Lease, control: Control, tmp_path: Path
) -> None:
    async with pool.channel(lease) as channel:
        await channel.call("lease", {"for_s": 600})
        await channel.call("start", order(SAVES_ON_SIGTERM))
        await until((machine.home / "workspace/ready").exists)
        assert (await channel.call("stop", {"grace_s": 20}))["exit_code"] == 0
    await _is_not_finished(control, tmp_path)


async def test_work_that_saves_and_exits_with_0_when_its_machine_shuts_down_has_not_finished(
    machine: Machine, pool: HostPool, lease: Lease, control: Control, tmp_path: Path
) -> None:
    async with pool.channel(lease) as channel:
        await channel.call("lease", {"for_s": 600})
        await channel.call("start", order(SAVES_ON_SIGTERM))
        await until((machine.home / "workspace/ready").exists)
        for pid in machine.processes():  # as init does it
            with suppress(ProcessLookupError):  # it ended with the one before
                os.kill(pid, signal.SIGTERM)
        await until(lambda: not machine.processes())
    assert (machine.home / "workspace/state").read_text() == "saved\n"
    await _is_not_finished(control, tmp_path)


async def _is_not_finished(control: Control, tmp_path: Path) -> None:
    report = await control.watches()
    assert (report.reach, report.finished, report.exit_code) == (Reach.NO_AGENT, False, None)
    assert "stopped" in report.detail
    tried = await control.tries(tmp_path)
    assert (tried.reach, tried.work_running) == (Reach.NO_AGENT, False)


def test_a_setup_that_was_stopped_is_the_machines_end_and_not_the_specs_fault() -> None:
    assert to_wire(AgentError("stopped", "the setup was stopped")).type == ErrorType.HOST_REFUSED
    assert to_wire(AgentError("setup_failed", "code 1")).type == ErrorType.SETUP_FAILED
