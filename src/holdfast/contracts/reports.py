"""What the record says about a workload: the JSON documents of `report`, `checkpoint ls` and `why`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.failover import Decision
from holdfast.contracts.incidents import Incident


class Part(StrEnum):
    """A list in a report, by the name of its field."""

    INCIDENTS = "incidents"
    LEASES = "leases"
    CHECKPOINTS = "checkpoints"
    DECISIONS = "decisions"


@dataclass(frozen=True, kw_only=True)
class LeaseLine:
    """One cost line: one machine, from the intent to rent it until the provider no longer knew it."""

    label: str
    epoch: int
    provider: str
    instance_id: str
    machine_id: str
    gpu: str
    region: str
    hourly: Decimal  # USD
    opened_at: datetime
    launched_at: datetime | None
    closed_at: datetime | None
    closed_because: str
    cost: Decimal  # USD by our own meter, up to now for an open line
    bid: Decimal | None = None  # USD per hour that was offered; `hourly` is what is charged while it runs
    storage_hourly: Decimal | None = None  # USD per hour while it is kept and does not run; None: not told


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How one measure came out over all incidents; percentiles by nearest rank (`policy/percentiles`)."""

    measured: int  # incidents in which it is known
    p50: timedelta | None  # None: nothing measured
    p95: timedelta | None
    max: timedelta | None
    met: int | None  # of those measured, how many kept the objective; None without one


@dataclass(frozen=True, kw_only=True)
class StrategyLine:
    """What one strategy came to over all incidents."""

    strategy: str
    tries: int  # machines; several in one race
    successes: int  # recoveries, up to the first progress
    p50: timedelta | None  # of their recovery times
    p95: timedelta | None


@dataclass(frozen=True, kw_only=True)
class Recomputed:
    """A decision on record, made again from the history of the workflow that made it."""

    epoch: int
    made_at: datetime
    occasion: str
    strategy: str
    same: bool | None  # None: what it stood on is kept no longer
    why: str


@dataclass(frozen=True, kw_only=True)
class DrillReport:
    """How the rehearsal of a loss went."""

    workload: str
    passed: bool  # the work moved, within its objective if it has one
    moved: bool  # False: it went on where it was; the incident's reason says why
    incident: Incident  # `phases.detect` is the last save; a real loss has to be noticed first
    cost: Decimal  # USD, of all machines that were paid for while the work stood still
    budget: Decimal  # USD
    rto: timedelta | None  # the objective
    rto_met: bool | None


@dataclass(frozen=True, kw_only=True)
class WorkloadReport:
    """A workload's record: its sums over all of it, and of each list the newest that fit into one answer."""

    workload: str
    phase: str
    reason: str
    opened_at: datetime
    closed_at: datetime | None
    epoch: int
    rto: timedelta | None  # the objectives
    rpo: timedelta | None
    rto_met: bool | None  # by every incident; None without an objective, or while nothing was measured
    rpo_met: bool | None
    cost: Decimal
    incidents: tuple[Incident, ...]
    leases: tuple[LeaseLine, ...]
    checkpoints: tuple[CheckpointRef, ...]
    decisions: tuple[Decision, ...]
    incidents_total: int | None = None  # on record, told above or not; None from a worker that cut nothing
    leases_total: int | None = None
    checkpoints_total: int | None = None
    decisions_total: int | None = None
    worst_recovery_time: timedelta | None = None  # of all incidents
    worst_work_lost: timedelta | None = None
    recovery: Spread | None = None  # of all incidents; None where one list was asked for alone, or by an older worker
    loss: Spread | None = None  # of the work lost
    strategies: tuple[StrategyLine, ...] = ()

    def told(self, part: Part) -> tuple[Any, ...]:
        """What this report tells of a list."""
        entries: tuple[Any, ...] = getattr(self, part)
        return entries

    def total(self, part: Part) -> int:
        """How many entries the list has on record."""
        counted: int | None = getattr(self, f"{part}_total")
        return len(self.told(part)) if counted is None else counted
