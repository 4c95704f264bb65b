"""What we say that sleeping saved is what the market's bill says."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from holdfast.contracts.savings import Mode, SavingsOrder, Stretch
from holdfast.contracts.spec import PauseMode
from holdfast.contracts.workload import Phase
from tests.scenarios.conftest import Tell
from tests.scenarios.stage import eventually
from tests.scenarios.story import Story

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Slept:
    """From when it was known to be asleep until somebody woke it: its sleep was no shorter."""

    since: datetime
    until: datetime

    @property
    def length(self) -> timedelta:
        return self.until - self.since


@pytest.mark.long
async def test_savings_are_what_the_market_did_not_charge(tell: Tell) -> None:
    story = tell("sleeper", steps=90)
    await story.begins()
    await story.works()
    stopped = await _sleeps(story, PauseMode.STOP)
    await story.works(epoch=2)
    let_go = await _sleeps(story, PauseMode.CHECKPOINT)
    await story.finishes()
    await story.leaves_nothing()
    found = await story.holdfast.savings(SavingsOrder(name=story.name, rows=True))
    first, second = story.bill()

    kept = _only(found.rows, Mode.STOPPED)
    free = _unused(first)
    assert stopped.length <= kept.length <= free + SECOND
    (gpu,) = {Decimal(each["gpu_rate"]) for each in first["periods"]} - {0}
    assert kept.reference_hourly is not None and kept.reference_hourly - kept.hourly == gpu
    assert kept.saved is not None and abs(kept.saved - _worth(gpu, kept.length)) <= Decimal("1e-11")

    between = _only(found.rows, Mode.LET_GO)
    gap = datetime.fromisoformat(second["from"]) - datetime.fromisoformat(first["until"])
    assert let_go.length <= between.length <= gap
    assert between.paid == 0 and between.reference_hourly == kept.reference_hourly

    assert found.total.saved == kept.saved + (between.saved or 0)
    rounding = sum((_worth(_rate(each), SECOND) for line in (first, second) for each in line["periods"]), Decimal(0))
    assert abs(found.total.paid - Decimal(first["total"]) - Decimal(second["total"])) <= rounding


async def _sleeps(story: Story, mode: PauseMode) -> Slept:
    """Until the market has charged nothing for a GPU for some seconds."""
    await story.holdfast.pause(story.name, mode=mode)
    await story.comes_to(lambda status: status.phase is Phase.PAUSED, "it is paused")
    if mode is PauseMode.CHECKPOINT:
        await story.leaves_nothing()
    since = datetime.now(UTC)
    await asyncio.to_thread(eventually, lambda: datetime.now(UTC) - since > 3 * SECOND, "it has slept")
    until = datetime.now(UTC)
    await story.holdfast.resume(story.name)
    return Slept(since, until)


def _only(rows: tuple[Stretch, ...], mode: Mode) -> Stretch:
    (found,) = (row for row in rows if row.mode is mode)
    return found


def _unused(line: dict[str, Any]) -> timedelta:
    """How long its GPU was not charged for, between times when it was."""
    used = [each for each in line["periods"] if Decimal(each["gpu_rate"])]
    moments = [(datetime.fromisoformat(each["from"]), datetime.fromisoformat(each["until"])) for each in used]
    return sum((after[0] - before[1] for before, after in pairwise(moments)), timedelta())


def _rate(period: dict[str, Any]) -> Decimal:
    return Decimal(period["gpu_rate"]) + Decimal(period["storage_rate"])


def _worth(hourly: Decimal, span: timedelta) -> Decimal:
    return hourly * (span // timedelta(microseconds=1)) / (HOUR // timedelta(microseconds=1))
