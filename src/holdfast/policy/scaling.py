"""How many replicas of an endpoint are awake, and which of them come and go.

More are woken as soon as the requests call for them. Fewer are kept only when fewer would have done for the whole idle
time, so that requests that come in waves do not send a replica to sleep between two of them. One that is to go takes no
more requests and ends those that it has.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from holdfast.contracts.endpoints import EndpointPhase, ScaleSpec
from holdfast.policy.idle_time import in_words

_UP = (EndpointPhase.READY, EndpointPhase.WAKING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a gateway last said."""

    age: timedelta
    valid_for: timedelta = timedelta(minutes=5)  # its pass, from then on
    in_flight: Mapping[str, int] = field(default_factory=dict)  # requests at each replica
    waiting: int = 0  # requests that no replica has yet

    @property
    def counts(self) -> bool:
        """Whether the gateway may still have requests: one that has let its pass run out is gone, and they with it."""
        return self.age < self.valid_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One replica, awake or not."""

    name: str
    phase: EndpointPhase  # cold, waking, ready, draining or paused
    since: datetime  # it is in this phase


class Peak(NamedTuple):
    """So many replicas were needed until that moment."""

    replicas: int
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Between what the number is kept, and how long a replica without use stays."""

    scale: ScaleSpec
    idle: timedelta
    least: timedelta = timedelta()  # awake after each wake
    within_hours: bool | None = None  # None: no hours are written down, and the minimum is kept always

    def floor(self) -> int:
        """The fewest that are kept awake now."""
        if self.within_hours is None:
            return self.scale.minimum
        return max(self.scale.minimum, 1) if self.within_hours else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """The answer, with its reason for people. Carry `peaks` to the next question."""

    wanted: int
    reason: str
    keep: tuple[str, ...] = ()  # draining ones that take requests again
    wake: tuple[str, ...] = ()  # in this order
    retire: tuple[str, ...] = ()  # take no more requests, and sleep when they have none
    peaks: tuple[Peak, ...] = ()
    again_at: datetime | None = None  # ask again then, if nothing happens before


def scale(
    now: datetime,
    reports: Sequence[Report],
    replicas: Sequence[Replica],
    limits: Limits,
    *,
    peaks: Sequence[Peak] = (),
    quiet_for: timedelta = timedelta(),
) -> Scaling:
    """What to do now. Never raises; equal input gives an equal answer.

    `peaks` are those of the last answer. `quiet_for` is how long there have been no requests, when there are none: the
    last question may have been asked while there were some.
    """
    fresh = [report for report in reports if report.counts]
    requests = sum(report.waiting + sum(report.in_flight.values()) for report in fresh)
    needed = -(-requests // limits.scale.in_flight)
    kept = _peaks(now, peaks, needed, limits.idle, quiet_for if not requests else timedelta())
    most, floor = max(peak.replicas for peak in kept), limits.floor()
    wanted = min(max(most, floor), limits.scale.maximum)
    keep, wake = _more(replicas, wanted)
    retire = _fewer(now, fresh, replicas, wanted, limits.least)
    changes = [*_expiries(now, fresh, kept, limits.idle), *_ripe(replicas, wanted, limits.least)]
    return Scaling(
        wanted=wanted,
        reason=_reason(requests, needed, most, limits),
        keep=keep,
        wake=wake,
        retire=retire,
        peaks=kept,
        again_at=min((each for each in changes if each > now), default=None),
    )


def in_flight_at(replica: str, reports: Iterable[Report]) -> int:
    """The requests that gateways have at this replica."""
    return sum(report.in_flight.get(replica, 0) for report in reports if report.counts)


def _peaks(
    now: datetime, before: Sequence[Peak], needed: int, idle: timedelta, quiet_for: timedelta
) -> tuple[Peak, ...]:
    """What was needed within the idle time, the most first; what is needed now is the last."""
    held = list(before)
    if held:  # what was needed at the last question was needed until it changed
        changed = now - max(quiet_for, timedelta())
        held[-1] = held[-1]._replace(until=max(held[-1].until, changed))
    return (*(peak for peak in held if peak.replicas > needed and now - peak.until < idle), Peak(needed, now))


def _more(replicas: Sequence[Replica], wanted: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those that are still awake first, then those with a disk, the last that slept first."""
    missing = max(wanted - sum(each.phase in _UP for each in replicas), 0)
    draining = sorted(_in(EndpointPhase.DRAINING, replicas), key=lambda each: (each.since, each.name))
    paused = sorted(_in(EndpointPhase.PAUSED, replicas), key=lambda each: (-each.since.timestamp(), each.name))
    cold = sorted(_in(EndpointPhase.COLD, replicas), key=lambda each: (len(each.name), each.name))
    keep = [each.name for each in draining[:missing]]
    wake = [each.name for each in (*paused, *cold)][: missing - len(keep)]
    return tuple(keep), tuple(wake)


def _fewer(
    now: datetime, reports: Sequence[Report], replicas: Sequence[Replica], wanted: int, least: timedelta
) -> tuple[str, ...]:
    """Those with the fewest requests first, of these the youngest. One that wakes replaces none that is ready."""
    ready = _in(EndpointPhase.READY, replicas)
    free = [each for each in ready if now - each.since >= least]
    free.sort(key=lambda each: (in_flight_at(each.name, reports), -each.since.timestamp(), each.name))
    return tuple(each.name for each in free[: max(len(ready) - wanted, 0)])


def _in(phase: EndpointPhase, replicas: Sequence[Replica]) -> list[Replica]:
    return [each for each in replicas if each.phase is phase]


def _expiries(now: datetime, reports: Sequence[Report], peaks: Sequence[Peak], idle: timedelta) -> Iterator[datetime]:
    """When less may be needed by time alone: what was needed is long enough ago, or a gateway is gone."""
    for peak in peaks[:-1]:
        yield peak.until + idle
    for report in reports:
        if report.waiting or any(report.in_flight.values()):
            yield now + report.valid_for - report.age


def _ripe(replicas: Sequence[Replica], wanted: int, least: timedelta) -> Iterator[datetime]:
    """When those that are too many have been awake for the least time."""
    ready = _in(EndpointPhase.READY, replicas)
    return (each.since + least for each in ready if len(ready) > wanted)


def _reason(requests: int, needed: int, most: int, limits: Limits) -> str:
    parts = [f"{_count(requests, 'request')}, {limits.scale.in_flight} at a time: {_count(needed, 'replica')}"]
    if most > needed:
        parts.append(f"{most} needed within the last {in_words(limits.idle.total_seconds())}")
    if most < limits.floor():
        parts.append(f"the minimum is {limits.floor()}" + (" in these hours" if limits.within_hours else ""))
    if max(most, limits.floor()) > limits.scale.maximum:
        parts.append(f"the maximum is {limits.scale.maximum}")
    return "; ".join(parts)


def _count(many: int, what: str) -> str:
    return f"{many} {what}" if many == 1 else f"{many} {what}s"
