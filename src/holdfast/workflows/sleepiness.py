"""How many replicas an endpoint wants awake, which of them, and for how long without requests."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from temporalio import workflow

from holdfast.contracts.endpoints import Costs, EndpointPhase, EndpointSpec, Needed, Replica, replica_name
from holdfast.contracts.spec import PauseMode
from holdfast.contracts.workload import Phase
from holdfast.policy import scaling
from holdfast.policy.callers import Callers
from holdfast.policy.hours import hours_at
from holdfast.policy.idle_time import Gap, IdleTime, Price, idle_time
from holdfast.policy.percentiles import nearest_rank

_KEPT = 20
_LATER = timedelta(minutes=1)
_GUESSES = {
    PauseMode.STOP: (timedelta(seconds=15), timedelta(minutes=1)),
    PauseMode.CHECKPOINT: (timedelta(minutes=1),) * 2,
}
"""How long a pause and a wake take, until one was measured."""


class Sleepiness:
    """Keeps what was measured of pauses and wakes, and asks the policies."""

    def __init__(self, costs: Costs, needed: Sequence[Needed]) -> None:
        self._pauses = list(costs.pauses)
        self._wakes = list(costs.wakes)
        self._peaks = tuple(scaling.Peak(each.replicas, each.until) for each in needed)
        self._hurried_at: datetime | None = None
        self.reason = ""  # for the number that was wanted last
        self.again_at: datetime | None = None  # by time alone something else may be wanted then

    def paused(self, took: timedelta) -> None:
        self._pauses = [*self._pauses, took][-_KEPT:]

    def woke(self, took: timedelta) -> None:
        self._wakes = [*self._wakes, took][-_KEPT:]

    def costs(self, gaps: Sequence[timedelta]) -> Costs:
        return Costs(pauses=tuple(self._pauses), wakes=tuple(self._wakes), gaps=tuple(gaps))

    def needed(self) -> tuple[Needed, ...]:
        return tuple(Needed(replicas=each.replicas, until=each.until) for each in self._peaks)

    def hurry(self) -> None:
        """Sleep as soon as nobody calls; until somebody calls after this."""
        self._hurried_at = workflow.now()

    def _is_hurried(self, callers: Callers) -> bool:
        """What a gateway told before is no new call: it stands in its pass until it gives that back."""
        if (since := self._hurried_at) is not None and callers.load_since(since):
            self._hurried_at = None
        return self._hurried_at is not None

    def after(self, spec: EndpointSpec, replicas: Iterable[Replica], gaps: Sequence[timedelta]) -> IdleTime:
        """Time without requests before a replica sleeps, and why so long."""
        if spec.sleep.after is not None:
            return IdleTime(after=spec.sleep.after, reason="as its spec says")
        price = self._price(spec, replicas)
        if price is None:
            return IdleTime(after=_GUESSES[spec.sleep.mode][1], reason="until there is a price and a wake was measured")
        return idle_time([Gap(each.total_seconds()) for each in gaps], price, least=timedelta(seconds=1))

    def _price(self, spec: EndpointSpec, replicas: Iterable[Replica]) -> Price | None:
        lease = next((each.lease for each in replicas if each.lease is not None), None)
        if lease is None:
            return None
        pausing, waking = _GUESSES[spec.sleep.mode]
        return Price(
            running=lease.hourly,
            asleep=(lease.storage_hourly or Decimal(0)) if spec.sleep.mode is PauseMode.STOP else Decimal(0),
            pausing=nearest_rank(self._pauses, 50) if self._pauses else pausing,
            waking=nearest_rank(self._wakes, 50) if self._wakes else waking,
        )

    def decide(self, spec: EndpointSpec, callers: Callers, replicas: Sequence[Replica]) -> scaling.Scaling:
        """Who is to wake, to stay and to go."""
        now = workflow.now()
        hurried = self._is_hurried(callers)
        hours = hours_at(now, spec.awake) if spec.awake else None
        limits = scaling.Limits(
            scale=spec.scale,
            idle=timedelta() if hurried else self.after(spec, replicas, callers.gaps).after,
            least=timedelta() if hurried else spec.sleep.least,
            within_hours=None if hours is None else hours.within,
        )
        reports = [
            scaling.Report(
                age=now - each.asked_at,
                valid_for=(each.until if each.missed_since is None else now + _LATER) - each.asked_at,
                in_flight=each.in_flight,
                waiting=each.waiting,
            )
            for each in callers.holders
        ]
        quiet_for = max(now - callers.last_call, timedelta()) if callers.last_call else timedelta()
        known = _as_the_policy_knows_them(spec, replicas, now)
        answer = scaling.scale(now, reports, known, limits, peaks=self._peaks, quiet_for=quiet_for)
        self._peaks, self.reason = answer.peaks, answer.reason
        moments = [answer.again_at, hours.until if hours else None, callers.next_expiry()]
        self.again_at = min((each for each in moments if each is not None), default=None)
        return answer


def _as_the_policy_knows_them(spec: EndpointSpec, replicas: Sequence[Replica], now: datetime) -> list[scaling.Replica]:
    """All that there may be, but those that have just failed: they are neither up nor to be tried."""
    known = {each.name: each for each in replicas}
    for number in range(spec.scale.maximum):
        known.setdefault(name := replica_name(spec.name, number), Replica(name=name))
    return [
        scaling.Replica(name=each.name, phase=_phase_of(each), since=_since(each) or now)
        for each in known.values()
        if each.wanted or each.not_before is None or each.not_before <= now
    ]


def _phase_of(replica: Replica) -> EndpointPhase:
    if not replica.wanted:
        return EndpointPhase.COLD if replica.phase is None else EndpointPhase.PAUSED
    if replica.leaving_since is not None:
        return EndpointPhase.DRAINING
    # One that could not be put to sleep is let alone for a while, as one that has just woken.
    rests = replica.ready_at is None or (replica.not_before is not None and replica.not_before > workflow.now())
    return EndpointPhase.WAKING if rests else EndpointPhase.READY


def _since(replica: Replica) -> datetime | None:
    if replica.phase is Phase.PAUSED and not replica.wanted:
        return replica.slept_from
    return replica.leaving_since or replica.ready_at or replica.asked_at
