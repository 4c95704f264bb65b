"""What the record says about a workload: the JSON documents of `report`, `checkpoint ls` and `why`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.failover import Decision
from holdfast.contracts.incidents import Incident


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


@dataclass(frozen=True, kw_only=True)
class WorkloadReport:
    """A workload's whole record."""

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
