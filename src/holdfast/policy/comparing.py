"""What rented machines cost beside what a reference would have cost for the same work.

- Paid is everything that the meter says: while machines ran, booted, stood still with their disks, and failed to start;
  and what was sent to the store, at a price for traffic that whoever asks names.
- Useful is the time that machines ran, less starts that failed, work that was lost and done again, and recoveries: a
  reference that is never taken away would have needed no more than that.
- The reference is paid for useful hours alone. So interruptions are paid for on our side only.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from holdfast.contracts.machines import InstanceState
from holdfast.contracts.references import CheckedReference
from holdfast.contracts.savings import Comparison, LossLine, MachineLife, Paid

GIGABYTE = 10**9
_HOUR_US = 3_600_000_000
_MICROSECOND = timedelta(microseconds=1)
_MICRODOLLAR = Decimal("0.000001")
NOTHING = timedelta()


@dataclass
class Tally:
    """What one name's machines with one kind of GPU did in one stretch of time."""

    name: str
    gpu: str
    gpus: int
    machines: set[str] = field(default_factory=set)
    failed_starts: set[str] = field(default_factory=set)
    losses: int = 0
    ran: timedelta = NOTHING
    failed: timedelta = NOTHING  # of that, in starts that failed
    lost: timedelta = NOTHING  # work that had to be done again
    recovering: timedelta = NOTHING
    sent: int = 0  # bytes to the store
    work: Decimal = Decimal(0)
    booting: Decimal = Decimal(0)
    storage: Decimal = Decimal(0)
    failing: Decimal = Decimal(0)

    @property
    def has_any(self) -> bool:
        return bool(self.machines or self.losses or self.sent)

    @property
    def useful(self) -> timedelta:
        return max(self.ran - self.failed - self.lost - self.recovering, NOTHING)


def tallies(
    lives: Iterable[MachineLife], losses: Iterable[LossLine], *, since: datetime | None, until: datetime
) -> list[Tally]:
    """By name, GPU and number of GPUs. The losses are of this stretch of time already.

    A stretch may have losses without a machine: the first checkpoint is sent before one is rented.
    """
    found: dict[tuple[str, str, int], Tally] = {}
    names: dict[str, tuple[str, str, int]] = {}
    others: dict[str, tuple[str, str, int]] = {}  # whose machine is of another time
    for life in sorted(lives, key=lambda each: (each.opened_at, each.label)):
        key = (life.endpoint or life.workload, life.gpu, life.gpu_count)
        tally = found.setdefault(key, Tally(*key))
        if _add(tally, life, since, until):
            names[life.workload] = key
        if life.opened_at < until or life.workload not in others:
            others[life.workload] = key
    for loss in losses:
        key_of = names.get(loss.workload) or others.get(loss.workload)
        if key_of is not None:  # of a name that changed its GPU, they count on the newest
            tally = found[key_of]
            tally.losses += loss.losses
            tally.lost += loss.work_lost
            tally.recovering += loss.recovering
            tally.sent += loss.bytes_sent
    return [found[key] for key in sorted(found) if found[key].has_any]


def _add(tally: Tally, life: MachineLife, since: datetime | None, until: datetime) -> bool:
    """Whether any of it lies in this time."""
    seen = False
    for row in life.meter:
        begin = row.since if since is None else max(row.since, since)
        held = max(min(row.until or until, until) - begin, NOTHING)
        if not held:
            continue
        seen = True
        amount = row.hourly * (held // _MICROSECOND) / _HOUR_US
        if row.state is InstanceState.RUNNING:
            tally.ran += held
        if life.failed:
            tally.failing += amount
            tally.failed += held if row.state is InstanceState.RUNNING else NOTHING
        elif row.state is InstanceState.RUNNING:
            tally.work += amount
        elif row.state is InstanceState.STARTING:
            tally.booting += amount
        else:
            tally.storage += amount
    if seen:
        tally.machines.add(life.label)
        tally.failed_starts |= {life.label} if life.failed else set()
    return seen


def compared(tally: Tally, chosen: CheckedReference | None, *, egress_per_gb: Decimal, month: str = "") -> Comparison:
    """Beside a reference; None: there is none for this GPU."""
    reference = None if chosen is None else chosen.reference
    egress = _exact(egress_per_gb * tally.sent / GIGABYTE)
    paid = Paid(
        work=_exact(tally.work),
        booting=_exact(tally.booting),
        storage=_exact(tally.storage),
        failed_starts=_exact(tally.failing),
        egress=egress,
    )
    would = None if reference is None else worth(reference.hourly, tally.useful * tally.gpus)
    worked = tally.ran - tally.failed
    wasted = min(tally.lost + tally.recovering, worked)
    return Comparison(
        name=tally.name,
        month=month,
        gpu=tally.gpu,
        gpus=tally.gpus,
        machines=len(tally.machines),
        failed_starts=len(tally.failed_starts),
        losses=tally.losses,
        ran=tally.ran,
        work_lost=tally.lost,
        recovering=tally.recovering,
        useful=tally.useful,
        bytes_sent=tally.sent,
        paid=paid,
        paid_total=paid.total,
        of_which_wasted=_exact(tally.work * _micro(wasted) / _micro(worked)) if worked else Decimal(0),
        reference=reference,
        remarks=() if chosen is None else chosen.flags,
        would_have_cost=would,
        saved=None if would is None else would - paid.total,
        percent=percent(paid.total, would),
    )


def worth(hourly: Decimal, span: timedelta) -> Decimal:
    """What a stretch of time costs, exact to a millionth of a dollar."""
    return _exact(hourly * _micro(span) / _HOUR_US)


def percent(paid: Decimal, would: Decimal | None) -> float | None:
    """What was saved, of what it would have cost, to a hundredth."""
    return float(round(100 * (would - paid) / would, 2)) if would else None


def first_of(lives: Iterable[MachineLife], losses: Iterable[LossLine], until: datetime) -> datetime:
    """When the first thing on record of these machines happened; `until` where nothing did."""
    told = list(lives)
    names = {life.workload for life in told}
    events = [loss.first_at for loss in losses if loss.workload in names and loss.first_at is not None]
    return min((*events, *(life.opened_at for life in told)), default=until)


def months(since: datetime | None, until: datetime, first: datetime) -> list[tuple[str, datetime, datetime]]:
    """The months, in UTC, that lie in a stretch of time, each cut to it; nothing is on record before `first`."""
    begin = max(since, first) if since is not None else first
    found = []
    while begin < until:
        month = datetime(begin.year, begin.month, 1, tzinfo=UTC)
        after = datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
        found.append((f"{month:%Y-%m}", begin, min(after, until)))
        begin = after
    return found


def summed(rows: Sequence[Comparison], name: str) -> Comparison:
    """The rows added up; what has no reference is in no sum but its own."""
    told = [each for each in rows if each.would_have_cost is not None]
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in told:
        for part in ("work", "booting", "storage", "failed_starts", "egress"):
            sums[part] += getattr(row.paid, part)
    paid = Paid(**sums) if told else Paid()
    would = sum((each.would_have_cost or Decimal(0) for each in told), Decimal(0))
    return Comparison(
        name=name,
        month=rows[0].month if rows and all(each.month == rows[0].month for each in rows) else "",
        gpu="",
        gpus=0,
        machines=sum(each.machines for each in told),
        failed_starts=sum(each.failed_starts for each in told),
        losses=sum(each.losses for each in told),
        ran=_time(each.ran * each.gpus for each in told),
        work_lost=_time(each.work_lost * each.gpus for each in told),
        recovering=_time(each.recovering * each.gpus for each in told),
        useful=_time(each.useful * each.gpus for each in told),
        bytes_sent=sum(each.bytes_sent for each in told),
        paid=paid,
        paid_total=paid.total,
        of_which_wasted=sum((each.of_which_wasted for each in told), Decimal(0)),
        reference=None,
        remarks=tuple(sorted({each for row in told for each in row.remarks})),
        would_have_cost=would,
        saved=would - paid.total,
        percent=percent(paid.total, would),
    )


def _time(spans: Iterable[timedelta]) -> timedelta:
    return sum(spans, NOTHING)


def _micro(span: timedelta) -> int:
    return span // _MICROSECOND


def _exact(amount: Decimal) -> Decimal:
    return amount.quantize(_MICRODOLLAR, rounding=ROUND_HALF_EVEN)
