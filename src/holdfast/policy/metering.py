"""What a machine cost: intervals of its life, each at one rate."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from holdfast.contracts.machines import InstanceState

_HOUR_US = 3_600_000_000
_MICROSECOND = timedelta(microseconds=1)
_MICRODOLLAR = Decimal("0.000001")


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A stretch of time in one state. Open while `until` is None."""

    state: InstanceState
    hourly: Decimal  # USD per hour, as charged in this state
    since: datetime
    until: datetime | None = None


def rate(state: InstanceState, *, hourly: Decimal, storage_hourly: Decimal | None) -> Decimal:
    """USD per hour in a state, where the provider itself does not say.

    A provider that tells no price of the disk is taken to charge the whole price whatever the state: our meter may
    say too much then, never too little.
    """
    if state is InstanceState.GONE:
        return Decimal(0)
    if state is InstanceState.RUNNING or storage_hourly is None:
        return hourly
    return storage_hourly


def cost(intervals: Iterable[Interval], *, now: datetime, since: datetime | None = None) -> Decimal:
    """USD up to `now`, exact to a millionth; with `since`, only what was spent from then on."""
    total = sum((each.hourly * _held(each, since, now) / _HOUR_US for each in intervals), Decimal(0))
    return total.quantize(_MICRODOLLAR, rounding=ROUND_HALF_EVEN)


def time_in(intervals: Iterable[Interval], *, now: datetime, running: bool) -> timedelta:
    """How long the machine ran, or was kept without running."""
    wanted = (each for each in intervals if (each.state is InstanceState.RUNNING) is running)
    return sum((_MICROSECOND * _held(each, None, now) for each in wanted), timedelta())


def _held(interval: Interval, since: datetime | None, now: datetime) -> int:
    """Microseconds of the interval that fall between the two moments."""
    begin = interval.since if since is None else max(interval.since, since)
    end = now if interval.until is None else min(interval.until, now)
    return max(end - begin, timedelta()) // _MICROSECOND
