"""One workload's story on the stage: the training example with a loss or two, and what must hold in the end."""

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from holdfast.cli.demo.stage import WEIGHTS, find_example
from holdfast.client.errors import InvalidState
from holdfast.client.folders import restore_folder
from holdfast.client.holdfast import Holdfast
from holdfast.contracts.reports import WorkloadReport
from holdfast.contracts.spec import WorkloadSpec
from holdfast.contracts.workload import Phase, WorkloadStatus
from holdfast.simcloud.control import SimControl
from tests.scenarios.looking import GLANCE, look_until
from tests.scenarios.stage import PATIENCE, Stage, eventually
from tests.scenarios.witness import Sighting, Witness

STEPS = 60
PACE = 0.1  # seconds per step: long enough to be struck in the middle


def training(name: str, *, steps: int = STEPS, pace: float = PACE, gpu: str = "RTX 4090", **changes: Any) -> Any:
    """The training example as a quick workload: it saves every second and is patient for two."""
    return WorkloadSpec.model_validate(
        {
            "name": name,
            "command": f"python3 train.py --steps {steps} --pace {pace} --save-every 2",
            "resources": {"gpu": gpu, "terms": "interruptible", "disk_gb": 10},
            "price": {"max_hourly": "0.60"},
            "providers": ["vast"],
            "checkpoint": {"every": "1s"},
            "failover": {"silence": "2s", "boot_timeout": "30s"},
            "stop_grace": "1s",
        }
        | changes
    )


class Undisturbed:
    """The same training on this computer, with nobody to disturb it; each length is run once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[int, str] = {}

    def weights(self, steps: int) -> str:
        """SHA-256 of the final weights."""
        if steps not in self._known:
            folder = self._folder / str(steps)
            folder.mkdir(parents=True)
            command = [sys.executable, str(find_example() / "train.py"), "--steps", str(steps)]
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=PATIENCE)
            self._known[steps] = digest(folder / WEIGHTS)
        return self._known[steps]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass
class Story:
    """A workload of its own on a stage that is shared."""

    spec: WorkloadSpec
    stage: Stage
    holdfast: Holdfast
    witness: Witness
    undisturbed: Undisturbed
    scratch: Path

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def market(self) -> SimControl:
        return self.stage.market

    @property
    def client(self) -> Any:
        return self.holdfast.temporal

    def changes(self, **fields: Any) -> None:
        """Before it begins: other fields in its spec."""
        self.spec = WorkloadSpec.model_validate(self.spec.model_dump() | fields)

    async def begins(self) -> None:
        """Start the workload; nothing is rented yet."""
        await self.holdfast.run(self.spec, workdir=find_example())

    async def status(self) -> WorkloadStatus:
        return (await self.holdfast.status(self.name)).status

    async def comes_to(
        self, reached: Callable[[WorkloadStatus], bool], what: str, *, within: float = PATIENCE
    ) -> WorkloadStatus:
        """Wait until the status is so. Servers may be down meanwhile: then nobody knows, and we look again."""
        return await look_until(
            self.status, reached, f"{self.name}: {what}", within=within, is_over=lambda status: status.phase.is_final
        )

    async def works(self, *, epoch: int = 1) -> WorkloadStatus:
        """Wait until this epoch, or a later one, runs and has committed a checkpoint: there is work to lose."""

        def has_something_to_lose(status: WorkloadStatus) -> bool:
            saved_here = status.head is not None and status.head.epoch >= epoch
            return status.phase is Phase.RUNNING and status.epoch >= epoch and saved_here

        return await self.comes_to(has_something_to_lose, f"it works under epoch {epoch} and has saved")

    async def finishes(self, *, within: float = PATIENCE) -> WorkloadStatus:
        return await self.comes_to(lambda status: status.phase is Phase.FINISHED, "it finishes", within=within)

    async def is_over(self) -> None:
        """Leave the stage to the next story; a failed one shows its timeline here."""
        if not await self.holdfast.is_running(self.name):
            return
        for event in await self.holdfast.timeline(self.name):
            sys.stdout.write(f"{event.at:%H:%M:%S}  {event.what}\n")
        with suppress(InvalidState):  # it has ended meanwhile
            await self.holdfast.stop(self.name, reason="the story failed", save=False)

    async def report(self) -> WorkloadReport:
        return await self.holdfast.report(self.name)

    # What must hold in the end

    async def is_whole(self, *, steps: int = STEPS) -> WorkloadReport:
        """Equal weights, one machine at a time, closed books."""
        report = await self.leaves_nothing()
        assert await self.weights() == await asyncio.to_thread(self.undisturbed.weights, steps)
        for sighting in self.witness.doubles(self.name):
            assert _was_given_up(sighting, report), f"two machines did the same work at once: {sighting}"
        heads = [(each.sequence, each.epoch) for each in report.checkpoints]
        assert heads == sorted(heads) and len({sequence for sequence, _ in heads}) == len(heads), heads
        return report

    async def weights(self) -> str:
        """SHA-256 of the weights in the newest checkpoint, read back from the store."""
        folder = self.scratch / "result"
        await restore_folder(await self.holdfast.checkpoint(self.name), folder, settings=self.stage.settings)
        return digest(folder / WEIGHTS)

    async def leaves_no_machine(self) -> None:
        """By the market's own books."""
        await asyncio.to_thread(eventually, lambda: not self.alive(), f"{self.name} has no machine any more")

    async def leaves_nothing(self) -> WorkloadReport:
        """By the market's own books: no machine of ours is alive, and none was billed after our books let it go."""
        await self.leaves_no_machine()
        lines = self.bill()
        report = await self._closed_report({line["label"] for line in lines})
        let_go = {lease.label: lease.closed_at for lease in report.leases}
        assert len({line["label"] for line in lines}) == len(lines), "one label, one machine"
        for line in lines:
            assert line["until"] is not None, f"still billed: {line}"
            closed = let_go[line["label"]]
            assert closed is not None, f"let go at the market, and not by us: {line}"
            assert datetime.fromisoformat(line["until"]) <= closed, f"billed after its release: {line}"
        return report

    def alive(self) -> list[dict[str, Any]]:
        """Our machines that the market still has."""
        return [each for each in self.market.instances() if _belongs(each["label"], self.name)]

    def bill(self) -> list[dict[str, Any]]:
        """The market's lines for our machines, oldest first."""
        return [each for each in self.market.bill()["lines"] if _belongs(each["label"], self.name)]

    async def _closed_report(self, labels: set[str]) -> WorkloadReport:
        """The report once these leases are closed: machines that were lost are let go beside the story."""
        async with asyncio.timeout(PATIENCE):
            while True:
                report = await self.report()
                if all(lease.closed_at for lease in report.leases if lease.label in labels):
                    return report
                await asyncio.sleep(GLANCE)


def _was_given_up(sighting: Sighting, report: WorkloadReport) -> bool:
    """Whether all machines but the newest had been given up by then; out of reach, they could not be stopped."""
    older = sorted(sighting.epochs)[:-1]
    held = {incident.epoch_lost: incident.decided_at.timestamp() for incident in report.incidents}
    return all(sighting.at >= held[epoch] for epoch in older if epoch in held)


def _belongs(label: str | None, workload: str) -> bool:
    return (label or "").startswith(f"{workload}.e")
