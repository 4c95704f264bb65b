"""A warm pool: what its owner writes in YAML, what a `warm_pool` workflow carries, and what it answers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator, model_validator

from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.machines import Lease
from holdfast.contracts.names import pool_record
from holdfast.contracts.spec import (
    DEFAULT_IMAGE,
    NAME_PATTERN,
    FailoverSpec,
    PriceSpec,
    ResourcesSpec,
    WorkloadSpec,
    inside_home,
)
from holdfast.contracts.written import DAY, Duration, Line, Strict, Word

POOL_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$"
WorkloadName = Annotated[str, Field(pattern=NAME_PATTERN)]
MOST_STANDBYS = 50
STOPPED_SYNC_EVERY = timedelta(hours=6)
"""A stopped standby is started, and paid for, each time that it is brought up to date."""
HOST_EPOCH = 0
"""Under which a pool talks to its standbys: below every epoch of a workload, so that any of them fences it off."""


class Size(StrEnum):
    """What decides how many standbys are kept ready."""

    FIXED = "fixed"
    DEMAND = "demand"


class PoolSpec(Strict):
    """Machines that stand ready to take over from others."""

    name: str = Field(pattern=POOL_PATTERN, description="lower-case letters, digits and dashes, 42 at most")
    image: Line = Field(default=DEFAULT_IMAGE)
    resources: ResourcesSpec = Field(default_factory=ResourcesSpec)
    price: PriceSpec
    minimum: int = Field(default=0, ge=0, le=MOST_STANDBYS, description="standbys below which it cannot be resized")
    target: int = Field(default=1, ge=0, le=MOST_STANDBYS, description="standbys that are kept ready")
    maximum: int = Field(default=MOST_STANDBYS, ge=0, le=MOST_STANDBYS)
    size: Size = Field(
        default=Size.FIXED,
        description="demand: as many as losses call for, between minimum and maximum; target is how it begins",
    )
    stopped: bool = Field(
        default=False, description="stopped at their providers: only the disk is paid for, and a claim starts one"
    )
    spread: bool = Field(default=False, description="over the regions that the resources name, one after the other")
    sync: tuple[WorkloadName, ...] = Field(
        default=(), max_length=20, description="workloads whose newest checkpoint is kept on the standbys, in turn"
    )
    workspace: Line = Field(default="workspace", description="where: the same folder as in those workloads' specs")
    sync_every: Duration = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=1),
        le=DAY,
        description="how old what is known of a standby, and what it holds, may become",
    )
    boot_timeout: Duration = Field(default=timedelta(minutes=8), ge=timedelta(seconds=5), le=DAY)
    budget: Decimal | None = Field(
        default=None, ge=0, le=1_000_000, max_digits=20, description="USD for this run of the pool, all standbys"
    )
    tenant: str = Field(default="default", pattern=NAME_PATTERN, description="whose budgets it is paid from")
    providers: tuple[Word, ...] = Field(default=(), max_length=16, description="empty: every configured provider")

    @field_validator("workspace")
    @classmethod
    def _inside_home(cls, workspace: str) -> str:
        return inside_home(workspace)

    @field_validator("maximum")
    @classmethod
    def _in_order(cls, maximum: int, others: ValidationInfo) -> int:
        minimum, target = others.data.get("minimum", 0), others.data.get("target", 0)
        if not minimum <= target <= maximum:
            raise ValueError(f"minimum {minimum}, target {target} and maximum {maximum} must rise in this order")
        return maximum

    @model_validator(mode="after")
    def _whole(self) -> "PoolSpec":
        if self.size is Size.DEMAND and "maximum" not in self.model_fields_set:
            raise ValueError("with size: demand say the maximum as well: the most standbys that may be paid for")
        if self.stopped and "sync_every" not in self.model_fields_set:
            # Not by model_copy, which would count as said.
            object.__setattr__(self, "sync_every", STOPPED_SYNC_EVERY)
        return self

    def as_workload(self) -> WorkloadSpec:
        """What is rented, in the words of a workload that is never started: there is one road to a machine."""
        return WorkloadSpec(
            name=pool_record(self.name),
            image=self.image,
            command="true",
            workspace=self.workspace,
            resources=self.resources,
            price=self.price,
            budget=self.budget,
            tenant=self.tenant,
            providers=self.providers,
            failover=FailoverSpec(boot_timeout=self.boot_timeout, deadman=max(4 * self.sync_every, timedelta(hours=1))),
        )


class PoolPhase(StrEnum):
    """What a pool is about. Also the search attribute `HoldfastState`."""

    FILLING = "filling"  # fewer standbys than wanted
    READY = "ready"
    DRAINED = "drained"  # none is wanted
    ENDING = "ending"
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Standby:
    """A machine that stands ready."""

    lease: Lease  # the pool's own
    ready_at: datetime
    seen_at: datetime  # last, in good order
    serves: str = ""  # the workload whose checkpoint it keeps; "": none
    synced: CheckpointRef | None = None  # what is on its disk
    synced_at: datetime | None = None
    stopped: bool = False  # at its provider; only its disk is paid for

    @property
    def hourly(self) -> Decimal:
        """USD per hour as it is now; of a disk alone 0 where its provider does not say what that costs."""
        return (self.lease.storage_hourly or Decimal(0)) if self.stopped else self.lease.hourly


@dataclass(frozen=True, kw_only=True)
class ClaimRequest:
    """A workload wants a standby for its next epoch. The same workload and epoch again get the same answer."""

    pool: str
    workload: str
    epoch: int
    lost_machine: str = ""  # not this hardware again
    region: str = ""  # preferred
    avoid: tuple[str, ...] = ()  # machines that have failed the workload during this search


@dataclass(frozen=True, kw_only=True)
class ClaimAnswer:
    """Exactly one of the two is set."""

    lease: Lease | None = None  # the workload's own from now on, under its epoch
    refusal: str = ""
    synced: CheckpointRef | None = None  # what is on its disk
    stopped: bool = False  # it is to be started, if its GPU is still free


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """One that was taken."""

    workload: str
    epoch: int
    at: datetime
    answer: ClaimAnswer


@dataclass(frozen=True, kw_only=True)
class PoolState:
    """What a pool carries from run to run when it continues as new."""

    epoch: int
    target: int
    standbys: tuple[Standby, ...] = ()
    claims: tuple[Claimed, ...] = ()
    taken: int = 0  # in all
    lost: int = 0  # standbys that died unclaimed, in all
    by_hand: bool = False  # an operator said how many, whatever the demand is


@dataclass(frozen=True, kw_only=True)
class PoolInput:
    """Start a pool. Only `spec` is needed."""

    spec: PoolSpec
    resume: PoolState | None = None


@dataclass(frozen=True, kw_only=True)
class PoolStatus:
    """What a pool has and does."""

    name: str
    phase: PoolPhase
    detail: str
    target: int
    standbys: tuple[Standby, ...]
    hourly: Decimal  # USD, of all standbys together
    taken: int
    lost: int
    claims: tuple[Claimed, ...] = ()  # the newest, oldest first
    target_because: str = ""  # why so many, where demand decides


@dataclass(frozen=True, kw_only=True)
class ResizeRequest:
    target: int | None  # None: as demand wants, from now on


@dataclass(frozen=True, kw_only=True)
class PoolDemand:
    """What is on record of the losses that a pool is there for, of the last `days`."""

    days: int
    served: int  # workloads that run now and name this pool
    losses: int  # machines that these workloads lost, on no one's wish
    machine_hours: float  # that these workloads had
    claims: tuple[datetime, ...] = ()  # when standbys were taken, oldest first
    refill: timedelta | None = None  # the median from wanting a standby until it ran; None: never measured
    hazard: float | None = None  # losses an hour that the regions of its machines let one expect; None: not known


@dataclass(frozen=True, kw_only=True)
class HandOverInput:
    """A standby becomes a workload's machine: in one step the fence is raised and the cost line changes hands."""

    standby: str  # the label of the pool's cost line
    workload: str
    epoch: int


@dataclass(frozen=True, kw_only=True)
class HandOverResult:
    label: str  # of the workload's cost line
