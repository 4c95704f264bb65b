"""What sleeping saved, from the meters of machines and the time between them.

1. A run of a workload is cut into stretches: what each machine's meter says, and the time after a machine that was let
   go because its workload was put to sleep, up to the next machine.
2. Asleep is only what nothing else covers: no stopped machine beside one that starts or runs, or after the run is over,
   and no time between machines while any is charged for.
3. A stretch asleep would have cost, always awake, what its machine was last charged for running. Every other stretch
   would have cost what it did.
4. Totals are sums of stretches, exactly: an amount is made exact to a trillionth of a dollar once, in its stretch.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from holdfast.contracts.machines import InstanceState
from holdfast.contracts.savings import MachineLife, MeterLine, Mode, SavingsLine, Stretch

Span = tuple[datetime, datetime]
NO_PRICE = "what the machine costs while it runs is not known"
_HOUR_US = 3_600_000_000
_MICROSECOND = timedelta(microseconds=1)
_TRILLIONTH = Decimal("0.000000000001")
_ASLEEP = (Mode.STOPPED, Mode.LET_GO)
_MODES = {InstanceState.RUNNING: Mode.AWAKE, InstanceState.STARTING: Mode.WAKING, InstanceState.STOPPED: Mode.STOPPED}


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """A stretch that is not priced yet."""

    life: MachineLife
    span: Span
    mode: Mode
    hourly: Decimal
    awake_hourly: Decimal | None  # when it last ran; None: it had not run
    meter: int


def stretches(lives: Iterable[MachineLife], *, since: datetime | None, until: datetime) -> list[Stretch]:
    """Every stretch that has a part between the two moments, cut to them; by name, workload and time."""
    runs: dict[tuple[str, int], list[MachineLife]] = defaultdict(list)
    for life in lives:
        runs[life.workload, life.generation].append(life)
    found = (
        _priced(piece, span)
        for run in runs.values()
        for piece in _pieces(sorted(run, key=lambda each: (each.opened_at, each.label)), until)
        if (span := _cut(piece.span, since, until))
    )
    return sorted(found, key=lambda each: (each.name, each.workload, each.since, each.label, each.meter))


def line(name: str, rows: Iterable[Stretch]) -> SavingsLine:
    """The stretches added up."""
    time: dict[Mode | None, timedelta] = defaultdict(timedelta)
    paid: dict[Mode | None, Decimal] = defaultdict(Decimal)
    reference = saved = Decimal(0)
    for row in rows:
        mode = None if row.uncounted else row.mode
        time[mode] += row.length
        paid[mode] += row.paid
        reference += row.reference or 0
        saved += row.saved or 0
    return SavingsLine(
        name=name,
        awake=time[Mode.AWAKE],
        waking=time[Mode.WAKING],
        stopped=time[Mode.STOPPED],
        let_go=time[Mode.LET_GO],
        down=time[Mode.DOWN],
        uncounted=time[None],
        paid_awake=paid[Mode.AWAKE],
        paid_waking=paid[Mode.WAKING],
        paid_asleep=paid[Mode.STOPPED] + paid[Mode.LET_GO],
        paid_down=paid[Mode.DOWN],
        paid_uncounted=paid[None],
        reference=reference,
        saved=saved,
        percent=_percent(saved, reference),
    )


def lines(rows: Iterable[Stretch]) -> list[SavingsLine]:
    """One for each name, in order."""
    groups: dict[str, list[Stretch]] = defaultdict(list)
    for row in rows:
        groups[row.name].append(row)
    return [line(name, groups[name]) for name in sorted(groups)]


def _percent(saved: Decimal, reference: Decimal) -> float | None:
    return float(round(100 * saved / reference, 2)) if reference else None


def _pieces(run: Sequence[MachineLife], now: datetime) -> Iterator[_Piece]:
    """What one run of a workload was made of."""
    metered = [piece for life in run for piece in _metered(life, now)]
    yield from (each for each in metered if each.mode is not Mode.STOPPED)
    at_work = [each.span for each in metered if each.mode in (Mode.AWAKE, Mode.WAKING)]
    over = [(life.over_at, now) for life in run if life.over_at is not None]  # what is left then sleeps for nobody
    stopped = [each for each in metered if each.mode is Mode.STOPPED]
    for piece, covered in _once(stopped, _merged([*at_work, *over])):
        yield replace(piece, mode=Mode.DOWN) if covered else piece
    charged = _merged(each.span for each in metered)
    yield from (piece for piece, covered in _once(_between(run, now), charged) if not covered)


def _metered(life: MachineLife, now: datetime) -> Iterator[_Piece]:
    """A machine that is stopped before it ever ran for this workload stands by; it has not put anything to sleep."""
    ran_at: Decimal | None = None
    for row in sorted(life.meter, key=lambda each: each.number):
        mode = _MODES.get(row.state, Mode.DOWN)
        if mode is Mode.AWAKE:
            ran_at = row.hourly
        elif mode is Mode.STOPPED and ran_at is None:
            mode = Mode.DOWN
        span = (row.since, row.until or now)
        yield _Piece(life=life, span=span, mode=mode, hourly=row.hourly, awake_hourly=ran_at, meter=row.number)


def _between(run: Sequence[MachineLife], now: datetime) -> Iterator[_Piece]:
    """From a machine that was let go for a sleep to the moment its workload was told to wake, or ended, or now."""
    for index, life in enumerate(run):
        if not life.asleep or life.closed_at is None:
            continue
        ends = [each for each in (life.over_at, now) if each is not None]
        if index + 1 < len(run):
            ends.append(run[index + 1].wanted_at or run[index + 1].opened_at)
        yield _Piece(
            life=life,
            span=(life.closed_at, min(ends)),
            mode=Mode.LET_GO,
            hourly=Decimal(0),
            awake_hourly=_last_ran_at(life.meter),
            meter=0,
        )


def _last_ran_at(meter: Sequence[MeterLine]) -> Decimal | None:
    ran = [row for row in meter if row.state is InstanceState.RUNNING]
    return max(ran, key=lambda row: row.number).hourly if ran else None


def _once(pieces: Iterable[_Piece], cover: Sequence[Span]) -> Iterator[tuple[_Piece, bool]]:
    """The pieces, cut where the cover begins and ends, and whether it lies there; what two share is covered once."""
    seen: datetime | None = None
    for piece in sorted(pieces, key=lambda each: each.span):
        begin, end = piece.span
        met = min(max(begin, seen), end) if seen is not None else begin
        if begin < met:
            yield replace(piece, span=(begin, met)), True
        for span, covered in _apart((met, end), cover):
            yield replace(piece, span=span), covered
        seen = end if seen is None else max(seen, end)


def _apart(span: Span, cover: Sequence[Span]) -> Iterator[tuple[Span, bool]]:
    """The parts of a span in order, and whether the cover, which is merged, lies over them."""
    at, end = span
    index = bisect_right(cover, at, key=lambda each: each[1])
    while at < end:
        if index == len(cover) or cover[index][0] >= end:
            yield (at, end), False
            return
        begin, until = cover[index]
        if at < begin:
            yield (at, begin), False
        yield (max(at, begin), min(until, end)), True
        at, index = min(until, end), index + 1


def _merged(spans: Iterable[Span]) -> list[Span]:
    """What they cover together, in order and without overlaps."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif begin < end:
            found.append((begin, end))
    return found


def _cut(span: Span, since: datetime | None, until: datetime) -> Span | None:
    """None where nothing is left of it."""
    begin = span[0] if since is None else max(span[0], since)
    end = min(span[1], until)
    return (begin, end) if begin < end else None


def _priced(piece: _Piece, span: Span) -> Stretch:
    asleep = piece.mode in _ASLEEP
    rate = piece.awake_hourly or None if asleep else piece.hourly  # nobody rents out a running machine for nothing
    paid = _amount(piece.hourly, span)
    reference = None if rate is None else _amount(rate, span)
    return Stretch(
        name=piece.life.endpoint or piece.life.workload,
        workload=piece.life.workload,
        since=span[0],
        until=span[1],
        mode=piece.mode,
        hourly=piece.hourly,
        reference_hourly=rate,
        paid=paid,
        reference=reference,
        saved=None if reference is None else reference - paid,
        label=piece.life.label,
        meter=piece.meter,
        uncounted="" if rate is not None else NO_PRICE,
    )


def _amount(hourly: Decimal, span: Span) -> Decimal:
    held = (span[1] - span[0]) // _MICROSECOND
    return (hourly * held / _HOUR_US).quantize(_TRILLIONTH, rounding=ROUND_HALF_EVEN)
