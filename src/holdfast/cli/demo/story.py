"""The demo's plot: train, take the first machine away, kill the second, and let the run finish."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from holdfast.cli import words
from holdfast.cli.demo.stage import Stage
from holdfast.client.holdfast import Holdfast
from holdfast.contracts.workload import Event, Phase, WorkloadStatus

Say = Callable[[str], None]
LOOK_EVERY = 0.25  # seconds between two looks at the workload
PATIENCE = timedelta(minutes=5)


class DemoFailed(Exception):
    """The plot did not come to its end; the message says at which point."""


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
    teller = _Teller(say)
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


class _Teller:
    """Prints each line of the timeline once."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._told: set[tuple[object, str]] = set()

    def tell(self, timeline: list[Event]) -> None:
        for event in timeline:
            if (event.at, event.what) not in self._told:
                self._told.add((event.at, event.what))
                self._say(f"{event.at:%H:%M:%S}  {words.without_raw_words(event.what)}")
