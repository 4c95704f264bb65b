"""Whether a moment lies in hours of the week that people wrote down in local time, and until when that stays so.

The rules of a zone may change from one worker to the next. A workflow that replays asks again of the same moment; of
the answer only `until` may differ then, and no history tells how long a timer was meant to take.

Daylight saving: a stretch covers every moment at which its clock reads a time within it, and what lies between such
moments. So an hour that happens twice belongs to it both times; where the clock jumps over the beginning or the end,
the jump stands for it; and a stretch that is jumped over as a whole does not happen.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from holdfast.contracts.hours import Day, HoursSpec

_DAY: Final = timedelta(days=1)
# Two weeks ahead: the only stretch of one week may be jumped over. Two days back: one may have begun yesterday, and
# zones lie up to a day apart.
_BEHIND, _AHEAD = 2, 15
_SECOND: Final = timedelta(seconds=1)
_WEEK: Final = tuple(Day)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """The answer."""

    within: bool
    until: datetime | None  # the next change, in UTC; None: none in the next two weeks


def hours_at(moment: datetime, hours: Sequence[HoursSpec]) -> Hours:
    """Whether the moment is within any of the hours. Without hours none is.

    Raises:
        ValueError: the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("the moment has no time zone")
    now = moment.astimezone(UTC)
    for begins, ends in _united(stretch for spec in hours for stretch in _stretches(spec, now)):
        if now < begins:
            return Hours(within=False, until=begins)
        if now < ends:
            last_known = now + (_AHEAD - 2) * _DAY
            return Hours(within=True, until=ends if ends < last_known else None)
    return Hours(within=False, until=None)


def _united(stretches: Iterable[tuple[datetime, datetime]]) -> Iterator[tuple[datetime, datetime]]:
    """In their order, those that touch or overlap as one."""
    pending: tuple[datetime, datetime] | None = None
    for begins, ends in sorted(stretches):
        if pending and begins <= pending[1]:
            pending = (pending[0], max(pending[1], ends))
            continue
        if pending:
            yield pending
        pending = (begins, ends)
    if pending:
        yield pending


def _stretches(spec: HoursSpec, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Those that may matter at `now`, in UTC."""
    zone = spec.time_zone()
    today = now.astimezone(zone).date()
    for offset in range(-_BEHIND, _AHEAD + 1):
        day = today + offset * _DAY
        if _WEEK[day.weekday()] in spec.days:
            begins, ends = _moment(day, spec.begins, zone, last=False), _moment(_last_day(day, spec), spec.ends, zone)
            if begins < ends:
                yield begins, ends


def _last_day(day: date, spec: HoursSpec) -> date:
    return day if spec.begins < spec.ends else day + _DAY


def _moment(day: date, clock: time, zone: tzinfo, *, last: bool = True) -> datetime:
    """When a local clock first, or last, reads this time, in UTC; the jump, where it jumps over it."""
    local = datetime.combine(day, clock, zone)
    first, second = (local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if second < first:  # it does not exist: the fold says from which side of the jump it is counted (PEP 495)
        return _jump(second, first, zone)
    return second if last else first


def _jump(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """The moment in between at which the clock is set, to the second."""
    old = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after
