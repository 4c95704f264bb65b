"""The demo's plot: train, take the first machine away, kill the second, and let the run finish."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from holdfast.cli.demo.findings import DemoFailed
from holdfast.cli.demo.stage import Stage
from holdfast.cli.demo.telling import Say, Teller
from holdfast.client.holdfast import Holdfast
from holdfast.contracts.workload import Phase, WorkloadStatus

LOOK_EVERY = 0.25  # seconds between two looks at the workload
PATIENCE = timedelta(minutes=5)


@dataclass(frozen=True)
class Blow:
    """Something that the market does to the machine of one epoch, once that machine has saved its work."""

    epoch: int
    announcement: str
    strike: Callable[[], object]


async def play(holdfast: Holdfast, stage: Stage, say: Say) -> WorkloadStatus:
    """Run the workload to its end, telling what happens; the last status.

    Raises:
        DemoFailed: it ended in another way than finished, or not in time.
    """
    name = stage.spec.name
    started = await holdfast.run(stage.spec, workdir=stage.workdir)
    say(f"{name} is started; the cheapest offer that fits is ${started.cheapest.hourly:.3f}/h")
    blows = [
        Blow(1, "** somebody bids more: the first machine is taken away", lambda: stage.market.outbid(name)),
        Blow(2, "** the second machine dies without notice", lambda: stage.market.kill(name)),
    ]
    teller = Teller(say)
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while True:
            status = (await holdfast.status(name)).status
            teller.tell(await holdfast.timeline(name))
            if status.phase.is_final:
                break
            if blows and _is_ripe(status, blows[0]):
                blow = blows.pop(0)
                say(blow.announcement)
                await asyncio.to_thread(blow.strike)
            await asyncio.sleep(LOOK_EVERY)
    if status.phase is not Phase.FINISHED or blows:
        raise DemoFailed(f"the run ended as {status.phase} ({status.reason}) with {len(blows)} blows still to come")
    return status


def _is_ripe(status: WorkloadStatus, blow: Blow) -> bool:
    """Strike when this epoch runs and has committed a checkpoint of its own: then there is something to lose."""
    saved_here = status.head is not None and status.head.epoch == blow.epoch
    return status.phase is Phase.RUNNING and status.epoch == blow.epoch and saved_here
