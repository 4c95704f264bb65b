"""One job's story on the stage, and what must hold in the end."""

import asyncio
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from holdfast.client.errors import HoldfastError
from holdfast.client.holdfast import Holdfast
from holdfast.contracts.jobs import JobPhase, JobSpec, JobStatus
from holdfast.simcloud.control import SimControl
from tests.scenarios.looking import GLANCE, look_until
from tests.scenarios.stage import PATIENCE, Stage, eventually

# It counts on from what it finds, writes down how far it is, and ends, once it may.
COUNT = """\
i=$(cat count 2>/dev/null || echo 0); echo "begins at $i"
while [ "$i" -lt {steps} ]; do
  i=$((i + 1)); echo "$i" > .count; mv .count count
  echo "{{\\"step\\": $i, \\"total\\": {steps}}}" > .p; mv .p "$HOLDFAST_PROGRESS_FILE"
  echo "{{\\"step\\": $i, \\"left\\": $(({steps} - i))}}" >> "$HOLDFAST_METRICS_FILE"
  sleep {pace}
done
while [ -n {goes_on_at} ] && [ ! -e {goes_on_at} ]; do sleep 0.1; done
mkdir -p out; cp count out/count; echo "counted to $i\""""


def counting(
    name: str, *, steps: int = 20, pace: float = 0.1, goes_on_at: Path | None = None, **changes: Any
) -> JobSpec:
    """With `goes_on_at` it does not end before there is such a file."""
    waits = shlex.quote("" if goes_on_at is None else str(goes_on_at))
    return JobSpec.model_validate(
        {
            "name": name,
            "command": COUNT.format(steps=steps, pace=pace, goes_on_at=waits),
            "outputs": ["out"],
            "resources": {"gpu": "RTX 4090", "terms": "interruptible", "disk_gb": 10},
            "price": {"max_hourly": "0.60"},
            "providers": ["vast"],
            "checkpoint": {"every": "1s"},
            "failover": {"silence": "2s", "boot_timeout": "30s"},
            "stop_grace": "1s",
        }
        | changes
    )


@dataclass
class Job:
    """A job of its own on a stage that is shared."""

    spec: JobSpec
    stage: Stage
    holdfast: Holdfast
    folder: Path

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def market(self) -> SimControl:
        return self.stage.market

    async def begins(self, *, workdir: Path | None = None) -> None:
        await self.holdfast.jobs.submit(self.spec, workdir=workdir, base=self.folder)

    async def status(self) -> JobStatus:
        return (await self.holdfast.jobs.status(self.name)).status

    async def comes_to(self, reached: Callable[[JobStatus], bool], what: str, *, within: float = PATIENCE) -> JobStatus:
        """Wait until the status is so. Servers may be down meanwhile: then nobody knows, and we look again."""
        return await look_until(
            self.status, reached, f"{self.name}: {what}", within=within, is_over=lambda status: status.phase.is_final
        )

    async def works(self, *, step: int = 1) -> JobStatus:
        """Wait until its work says that it has done so many steps. Workers may be away meanwhile."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(HoldfastError):  # nobody knows: we look again
                    view = await self.holdfast.jobs.status(self.name)
                    assert not view.status.phase.is_final, view.status
                    if view.live is not None and (view.live.step or 0) >= step:
                        return view.status
                await asyncio.sleep(GLANCE)

    async def ends(self, phase: JobPhase) -> JobStatus:
        """Wait for its end; nothing is left of it at the market."""
        async with asyncio.timeout(PATIENCE):
            status = await self.holdfast.jobs.wait(self.name)
        assert status.phase is phase, status
        await asyncio.to_thread(eventually, lambda: not self.alive(), f"{self.name} has no machine any more")
        return status

    async def log(self) -> str:
        return "".join([text async for text in self.holdfast.jobs.logs(self.name).so_far()])

    async def fetched(self) -> Path:
        folder = self.folder / "fetched"
        await self.holdfast.jobs.fetch(self.name, folder)
        return folder

    def alive(self) -> list[dict[str, Any]]:
        """Its machines that the market still has."""
        return [each for each in self.market.instances() if _belongs(each["label"], self.name)]

    def bill(self) -> list[dict[str, Any]]:
        """The market's lines for its machines, oldest first."""
        return [each for each in self.market.bill()["lines"] if _belongs(each["label"], self.name)]

    def let_go_at(self) -> datetime:
        """When the market's books let the last machine go."""
        return max(datetime.fromisoformat(line["until"]) for line in self.bill())

    async def is_over(self) -> None:
        """Leave the stage to the next story."""
        try:
            if not (await self.status()).phase.is_final:
                await self.holdfast.jobs.cancel(self.name, save=False)
        except HoldfastError:
            return  # it never began


def _belongs(label: str | None, job: str) -> bool:
    return (label or "").startswith(f"{job}-a")
