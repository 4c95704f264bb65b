"""Machines on this computer that train: reached over SSH, with the agent on them, and a store beside them."""

import asyncio
import os
import shlex
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asyncssh

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.machines import Lease, Terms
from holdfast.contracts.spec import Quiesce
from holdfast.hosts.channel import AgentChannel
from holdfast.hosts.heartbeat import WorkState
from holdfast.hosts.pool import HostPool
from holdfast.training.bundle import TRAINER
from tests.gpu import lane
from tests.training.conftest import Workspace
from tests.unit.hosts.machine import Machine

WORK = "work"  # the workspace, below the machine's home
EXCLUDED = ("*.draft",)  # as every fine-tuning excludes them
PATIENCE = 120.0  # seconds for anything that must come true
GLANCE = 0.004  # seconds: a step takes many times as long
_BEAT_EVERY = 0.5  # seconds


class Rental:
    """One machine, its agent, and what it trains."""

    def __init__(self, machine: Machine, channel: AgentChannel, epoch: int) -> None:
        self.machine, self.channel, self.epoch = machine, channel, epoch
        self.workspace = Workspace(machine.home / WORK)

    async def start(self) -> None:
        """Have the agent run the trainer."""
        order = {
            "token": f"start-{self.epoch}",
            "workload": "tuned",
            "epoch": self.epoch,
            "workspace": WORK,
            "setup": None,
            "command": f"exec {shlex.quote(str(lane.PYTHON))} {TRAINER} train run.json",
            "env": {"HF_HUB_OFFLINE": "1", **lane.environment()},
        }
        await self.channel.call("start", order, timeout=timedelta(seconds=60))

    async def save(self, engine: CheckpointEngine, after: CheckpointRef | None) -> CheckpointRef:
        """A checkpoint of this very step: first the trainer writes its state, then what is new goes to the store."""
        return await engine.save(
            self.channel,
            workload="tuned",
            epoch=self.epoch,
            sequence=after.sequence + 1 if after else 1,
            workspace=WORK,
            base_manifest=after.manifest if after else None,
            reason=SaveReason.CADENCE,
            exclude=EXCLUDED,
            quiesce=Quiesce.HOOK,
            hook=f"{shlex.quote(str(lane.PYTHON))} {TRAINER} save-now run.json",
        )

    async def reached(self, holds: Callable[[], bool], what: str) -> None:
        """Until something is so. It never will be once the trainer has ended; then this fails and shows its log."""
        deadline, beat_at = time.monotonic() + PATIENCE, 0.0
        while not holds():
            assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}\n{await self.log()}"
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + _BEAT_EVERY
                over = (await self.channel.heartbeat()).state in (WorkState.EXITED, WorkState.STOPPED)
                assert not over or holds(), f"it ended before {what}\n{await self.log()}"
            await asyncio.sleep(GLANCE)

    async def ended(self) -> None:
        """Until the trainer is done, and well."""
        deadline = time.monotonic() + PATIENCE
        while (beat := await self.channel.heartbeat()).state is WorkState.RUNNING:
            assert time.monotonic() < deadline, f"it does not end\n{await self.log()}"
            await asyncio.sleep(0.1)
        assert (beat.state, beat.exit_code) == (WorkState.EXITED, 0), await self.log()

    async def log(self) -> str:
        told = await self.channel.call("read_log", {"offset": 0, "max_bytes": 1024 * 1024})
        return str(told["data"])[-4000:]

    def lose(self) -> float:
        """The machine is gone, with every process; at which moment, by this process's clock."""
        self.machine.kill_everything()
        return time.monotonic()


@asynccontextmanager
async def rented(home: Path, epoch: int) -> AsyncIterator[Rental]:
    """A machine that boots, and its agent: what a driver and a host worker do. Gone at the end."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    machine = _bare(home, key)
    lease = Lease(
        workload="tuned",
        epoch=epoch,
        label=f"tuned.e{epoch}",
        provider="test",
        instance_id="1",
        machine_id="1",
        gpu="none",
        gpu_count=0,
        terms=Terms.ON_DEMAND,
        hourly=Decimal(0),
        since=datetime.now(UTC),
        ssh=await machine.boot(),
    )
    try:
        async with HostPool(key, connect_timeout=timedelta(seconds=30)) as pool, pool.channel(lease) as channel:
            yield Rental(machine, channel, epoch)
    finally:
        await machine.halt()
        machine.kill_everything()


def _bare(home: Path, key: asyncssh.SSHKey) -> Machine:
    home.mkdir()
    machine = Machine(home, key)
    machine.variables = {name: value for name, value in lane.environment().items() if name != "PYTHONPATH"}
    return machine


@asynccontextmanager
async def stored(folder: Path) -> AsyncIterator[CheckpointEngine]:
    """Checkpoints in a folder of this computer's disk, reached by HTTP as any store is."""
    store = FolderStore(folder)
    try:
        yield CheckpointEngine(store)
    finally:
        await store.close()


def lay_out(workspace: Workspace, base: Path) -> Workspace:
    """A workspace with the base in it: its own files, for a link would be saved as a link."""
    (workspace.folder / "base").mkdir(parents=True)
    for each in base.iterdir():
        os.link(each, workspace.folder / "base" / each.name)
    return workspace
