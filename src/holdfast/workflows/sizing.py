"""How many standbys a pool keeps ready, where demand decides."""

from datetime import datetime, timedelta

from temporalio import workflow

from holdfast.contracts.pools import PoolSpec, Size
from holdfast.policy import pool_size
from holdfast.workflows import steps

LOOK_EVERY = timedelta(minutes=30)
_SOON = timedelta(seconds=1)


class Sizer:
    """Asks the records now and then. Grows at once; shrinks by what was too many for a whole hour."""

    def __init__(self, spec: PoolSpec, *, by_hand: bool) -> None:
        self._spec = spec
        self.by_hand = by_hand
        self.reason = ""
        self._due: datetime | None = None  # None: now
        self._too_many_since: datetime | None = None

    def _decides(self) -> bool:
        return self._spec.size is Size.DEMAND and not self.by_hand

    def look_now(self) -> None:
        """Do not wait until it is due."""
        self._due = None

    def until_due(self) -> timedelta:
        """Until the next look; for ever where a person decides."""
        if not self._decides():
            return timedelta.max
        return max((self._due or workflow.now()) - workflow.now(), _SOON)

    async def wanted(self, present: int) -> int | None:
        """How many are to be kept ready from now on; None: as many as now, by all that is known."""
        if not self._decides():
            self.reason = ""
            return None
        if self._due is not None and workflow.now() < self._due:
            return None
        demand = await steps.pool_demand(self._spec.name)
        if not self._decides():
            return None  # a person was faster
        self._due = workflow.now() + LOOK_EVERY
        found = pool_size.size(demand, minimum=self._spec.minimum, maximum=self._spec.maximum)
        self.reason = found.reason
        if found.target >= present:
            self._too_many_since = None
            return found.target
        self._too_many_since = self._too_many_since or workflow.now()
        return found.target if workflow.now() - self._too_many_since >= pool_size.SHRINKS_AFTER else None
