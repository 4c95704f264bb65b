"""The bill: every second of every instance at the rates of that second.

GPUs are charged while the container runs, or for as long as they are held where the provider reserves them; the disk
for as long as the instance exists; nothing while its host is offline. A life is cut into periods of constant rates;
every second that a period started counts, and where the provider has a least charge, that much of each run. What is no
machine and costs money by its size, a disk by itself or a snapshot, has a line of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from holdfast.simcloud.model import Container, Holding, Instance, Period
from holdfast.simcloud.store import Store

_HOUR = Decimal(3600)
_SECOND = timedelta(seconds=1)
_FREE = Decimal(0)


@dataclass(frozen=True, kw_only=True)
class Line:
    """What one instance cost so far."""

    instance_id: int
    label: str | None
    gpu: Decimal
    storage: Decimal
    running: timedelta
    existed_from: datetime
    existed_until: datetime | None
    periods: tuple[Period, ...]

    @property
    def total(self) -> Decimal:
        """GPU and storage together."""
        return self.gpu + self.storage


class Bill:
    """Writes periods as instances change, and adds them up."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def turn(self, instance: Instance, *, offline: bool, now: datetime) -> None:
        """Note the instance's present state. Opens a new period only if something that matters changed."""
        current = self._open_period(instance.id)
        wanted = None if instance.destroyed_at is not None else _period(instance, offline=offline, now=now)
        if current is not None and wanted is not None and _same(current, wanted):
            return
        if current is not None:
            self._close(current, now)
        if current is not None and wanted is not None and current.gpu_rate:
            wanted.least_seconds = 0  # it was charged with the period in which it came up
        if wanted is not None:
            wanted.start = now if current is not None else instance.created_at
            wanted.id = self._store.next_id("period", 1)
            self._store.periods.put(wanted, owner=instance.id)

    def hold(self, holding: Holding) -> None:
        """Charge for something by its size from now on."""
        self._store.holdings.put(holding)
        period = Period(
            id=self._store.next_id("period", 1),
            instance_id=holding.id,
            label=holding.label,
            state=Container.ABSENT,
            gpu_rate=_FREE,
            storage_rate=holding.rate,
            start=holding.since,
        )
        self._store.periods.put(period, owner=holding.id)

    def let_go(self, number: int, now: datetime) -> None:
        """It is gone, or somebody else pays for it. Idempotent."""
        self._store.holdings.remove(number)
        if (current := self._open_period(number)) is not None:
            self._close(current, now)

    def lines(self, now: datetime) -> list[Line]:
        """One line per instance that ever existed, by rising id."""
        lives: dict[int, list[Period]] = {}
        for period in self._store.periods.all():
            lives.setdefault(period.instance_id, []).append(period)
        return [_line(number, periods, now) for number, periods in sorted(lives.items())]

    def alive_at(self, moment: datetime) -> list[int]:
        """The instances that existed at a moment, for the audit."""
        return [
            period.instance_id
            for period in self._store.periods.all()
            if period.start <= moment and (period.end is None or moment < period.end)
        ]

    def spent(self, now: datetime) -> Decimal:
        """The bill's total, without walking through its history."""
        existing = [*self._store.instances(), *self._store.holdings.all()]
        open_periods = [self._open_period(one.id) for one in existing]
        running = (_cost_of(period, now) for period in open_periods if period is not None)
        return self._store.account().settled + sum(running, _FREE)

    def _close(self, period: Period, now: datetime) -> None:
        self._store.periods.put(period.model_copy(update={"end": now}), owner=period.instance_id)
        account = self._store.account()
        account.settled += _cost_of(period, now)
        self._store.put_account(account)

    def _open_period(self, instance_id: int) -> Period | None:
        last = self._store.periods.last_of(instance_id)
        return last if last is not None and last.end is None else None


def cost(rate: Decimal, start: datetime, end: datetime) -> Decimal:
    """The price of the seconds started between two moments, at a rate per hour."""
    return rate * started_seconds(start, end) / _HOUR


def started_seconds(start: datetime, end: datetime) -> int:
    """How many seconds were started; a whole second that ends exactly does not start the next."""
    return -((start - end) // _SECOND)


def total(lines: Iterable[Line]) -> Decimal:
    """The sum of the bill."""
    return sum((line.total for line in lines), _FREE)


def _cost_of(period: Period, end: datetime) -> Decimal:
    return _gpu_cost(period, end) + cost(period.storage_rate, period.start, end)


def _gpu_cost(period: Period, end: datetime) -> Decimal:
    return period.gpu_rate * max(started_seconds(period.start, end), period.least_seconds) / _HOUR


def _period(instance: Instance, *, offline: bool, now: datetime) -> Period:
    holds = instance.order.reserved and instance.granted
    charged = (instance.container is Container.RUNNING or holds) and not offline
    return Period(
        id=0,
        instance_id=instance.id,
        label=instance.label,
        state=Container.OFFLINE if offline else instance.container,
        gpu_rate=instance.gpu_rate if charged else _FREE,
        storage_rate=_FREE if offline else instance.storage_rate,
        start=now,
        least_seconds=instance.order.least_seconds if charged else 0,
    )


def _same(one: Period, other: Period) -> bool:
    return (one.state, one.gpu_rate, one.storage_rate) == (other.state, other.gpu_rate, other.storage_rate)


def _line(number: int, periods: list[Period], now: datetime) -> Line:
    spans = [(period, period.start, period.end or now) for period in periods]
    running = [(start, end) for period, start, end in spans if period.state is Container.RUNNING]
    return Line(
        instance_id=number,
        label=periods[-1].label,
        gpu=sum((_gpu_cost(period, end) for period, _, end in spans), _FREE),
        storage=sum((cost(period.storage_rate, start, end) for period, start, end in spans), _FREE),
        running=sum((end - start for start, end in running), timedelta()),
        existed_from=periods[0].start,
        existed_until=periods[-1].end,
        periods=tuple(periods),
    )
