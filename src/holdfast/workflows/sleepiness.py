"""How many replicas an endpoint wants awake, and for how long without requests."""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from temporalio import workflow

from holdfast.contracts.endpoints import Costs, EndpointSpec, Replica
from holdfast.policy.callers import Callers

_KEPT = 20
_UNMEASURED = timedelta(minutes=5)


class Sleepiness:
    """Keeps what was measured of pauses and wakes, and asks the policies."""

    def __init__(self, spec: EndpointSpec, costs: Costs) -> None:
        self._spec = spec
        self._pauses = list(costs.pauses)
        self._wakes = list(costs.wakes)
        self._hurried = False

    def paused(self, took: timedelta) -> None:
        self._pauses = [*self._pauses, took][-_KEPT:]

    def woke(self, took: timedelta) -> None:
        self._hurried = False
        self._wakes = [*self._wakes, took][-_KEPT:]

    def costs(self, gaps: Sequence[timedelta]) -> Costs:
        return Costs(pauses=tuple(self._pauses), wakes=tuple(self._wakes), gaps=tuple(gaps))

    def hurry(self) -> None:
        """Sleep as soon as nobody calls."""
        self._hurried = True

    def after(self, replicas: Sequence[Replica]) -> tuple[timedelta, str]:
        """Time without requests before a replica sleeps, and why so long."""
        if self._spec.sleep.after is not None:
            return self._spec.sleep.after, "as its spec says"
        return _UNMEASURED, "nothing was measured yet"

    def wanted(self, callers: Callers, awake: Sequence[Replica]) -> int:
        """How many replicas are to be awake now."""
        scale = self._spec.scale
        if callers.holders:
            load = callers.in_flight + callers.waiting
            return min(max(math.ceil(load / scale.in_flight), 1, scale.minimum), scale.maximum)
        now = workflow.now()
        kept = [each for each in awake if self._hurried is False and self._sleeps_at(each, callers, awake) > now]
        return min(max(len(kept), scale.minimum), scale.maximum)

    def moments(self, callers: Callers, replicas: Sequence[Replica]) -> Iterator[datetime]:
        """When something may change by time alone."""
        if (expiry := callers.next_expiry()) is not None:
            yield expiry
            return
        awake = [each for each in replicas if each.wanted]
        for each in awake:
            yield self._sleeps_at(each, callers, awake)

    def _sleeps_at(self, replica: Replica, callers: Callers, replicas: Sequence[Replica]) -> datetime:
        after, _ = self.after(replicas)
        awake_since = replica.ready_at or workflow.now()
        quiet_since = max(callers.last_call or awake_since, awake_since)
        return max(quiet_since + after, awake_since + self._spec.sleep.least)
