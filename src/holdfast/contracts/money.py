"""Money: budgets and what stands against them, the meter of a machine, and what a provider says it charged.

Amounts are US dollars, rates US dollars per hour. A day is a day in UTC.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from holdfast.contracts.machines import InstanceState


class Scope(StrEnum):
    """Whose spending a budget limits."""

    SPEC = "spec"  # the present run of a workload, as its spec says
    WORKLOAD = "workload"  # the present run of a workload, as the operator says
    TENANT = "tenant"  # all workloads of a tenant


class Span(StrEnum):
    """Over what time a budget limits it."""

    TOTAL = "total"
    DAILY = "daily"


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A limit. Several may hold for one workload, and then each does."""

    scope: Scope
    name: str  # the workload's, or the tenant's
    span: Span
    amount: Decimal


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A budget, and how much of it is gone."""

    budget: Budget
    spent: Decimal  # by our meter
    reserved: Decimal  # by machines that are rented now, for what they are going to cost

    @property
    def left(self) -> Decimal:
        """What may still be reserved; below zero when the budget was lowered, or a machine cost more than foreseen."""
        return self.budget.amount - self.spent - self.reserved


@dataclass(frozen=True, kw_only=True)
class SetBudgetInput:
    """Replace a budget, or remove it."""

    scope: Scope
    name: str
    span: Span
    amount: Decimal | None  # None: no limit any more


@dataclass(frozen=True, kw_only=True)
class StandingsInput:
    """Ask how budgets stand: all, or those that hold for a workload of a tenant."""

    workload: str | None = None
    tenant: str | None = None


@dataclass(frozen=True, kw_only=True)
class BudgetWord:
    """What became of a workload's reservation at a look at its budgets."""

    look_again_after: timedelta
    used_up: str = ""  # which budget ends the work now, for people; "": none does


@dataclass(frozen=True, kw_only=True)
class MeterInput:
    """From `at` on, the machine under this label is in another state."""

    label: str
    state: InstanceState
    at: datetime
    charged: Decimal | None = None  # what the provider charges in this state; None: by the lease's own rates


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What the provider charges for one machine so far, all its parts together."""

    instance_id: str
    amount: Decimal


@dataclass(frozen=True, kw_only=True)
class ChargesInput:
    provider: str
    since: datetime


@dataclass(frozen=True, kw_only=True)
class ReconcileInput:
    provider: str
    since: datetime  # machines claimed before are left out: the bill may tell only the end of them
    charges: tuple[Charge, ...]


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Our meter beside the provider's bill, for the machines that both know."""

    provider: str
    metered: Decimal
    charged: Decimal
    machines: int
    beyond: bool  # more than is explained by rounding and by when each side learns of a change
    worst: str = ""  # the label that differs most; "" when none does
    unknown: int = 0  # machines on the provider's bill of which the records know nothing
    detail: str = ""  # why there is nothing to compare with; "": there is


@dataclass(frozen=True, kw_only=True)
class CostsInput:
    """Ask for cost lines, in the order in which they were opened."""

    after: str = ""  # the label of the last line already told; "" begins


@dataclass(frozen=True, kw_only=True)
class DayCost:
    day: str  # such as 2026-01-31
    cost: Decimal


@dataclass(frozen=True, kw_only=True)
class CostLine:
    """One machine that was ever rented, or was going to be, and what it cost by our meter."""

    label: str
    workload: str
    tenant: str
    provider: str
    instance_id: str  # "" when nothing was rented
    gpu: str
    terms: str
    hourly: Decimal  # charged while it runs, disk included
    bid: Decimal | None  # what was offered for it
    storage_hourly: Decimal | None  # charged while it is stopped
    opened_at: datetime
    closed_at: datetime | None
    running: timedelta
    stopped: timedelta  # it was kept, and did not run
    cost: Decimal  # up to now for an open line
    days: tuple[DayCost, ...]


@dataclass(frozen=True, kw_only=True)
class CostPage:
    lines: tuple[CostLine, ...]
    last: str  # where the next page begins; "": that was all


class By(StrEnum):
    """What cost lines are added up by."""

    WORKLOAD = "workload"
    PROVIDER = "provider"
    DAY = "day"


@dataclass(frozen=True, kw_only=True)
class CostGroup:
    """What a workload, a provider or a day cost."""

    name: str
    cost: Decimal
    machines: int


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The answer of `holdfast cost`: exactly one of `lines` and `groups` is told."""

    total: Decimal
    lines: tuple[CostLine, ...] = ()
    groups: tuple[CostGroup, ...] = ()
    drift: tuple[Drift, ...] = ()  # one for each provider that tells what it charges
