"""A workload's spec: what its owner writes in YAML and signs with money.

Strict on purpose: an unknown key, a wrong unit or an impossible limit is refused before anything is spent.
"""

import re
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from holdfast.contracts.hours import HoursSpec
from holdfast.contracts.machines import Requirements, Terms
from holdfast.contracts.written import DAY, HOUR, MONTH, Duration, Line, Strict, Text, Word, parse_duration

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$"
SECRET_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"  # noqa: S105 (how one is called, not what it is)
Objective = Annotated[timedelta, Field(gt=timedelta(), le=MONTH), BeforeValidator(parse_duration)]
DEFAULT_IMAGE = "pytorch/pytorch:2.6.0-cuda12.4-cudnn9-runtime"
MOST_VARIABLES = 200
MOST_TOGETHER = 131_072  # characters of all variables: a history holds many copies of a spec


def _variable_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,255}", name):
        raise ValueError(f"{name[:80]!r} is not an environment variable's name")
    if name.startswith("HOLDFAST_"):
        raise ValueError(f"{name!r}: names with HOLDFAST_ are set by Holdfast itself")
    return name


def _country_code(region: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2}", region):
        raise ValueError(f"{region!r} is not a two-letter country code such as US or DE")
    return region.upper()


def inside_home(workspace: str) -> str:
    """Raises ValueError for what is no folder below the login's home."""
    parts = workspace.split("/")
    if workspace.startswith("/") or ".." in parts or not workspace.strip("./ ") or parts[0] == ".holdfast":
        raise ValueError("must be a folder below the login's home, such as workspace or work/train")
    return workspace.rstrip("/")


Region = Annotated[str, AfterValidator(_country_code)]
VariableName = Annotated[str, AfterValidator(_variable_name)]


class ResourcesSpec(Strict):
    """The machine that is wanted."""

    gpu: Word | None = Field(default=None, description="GPU model, such as RTX 4090; leave out for any")
    gpu_count: int = Field(default=1, ge=1, le=16)
    gpu_memory_gb: float = Field(default=0, ge=0, le=4096)
    cpu_cores: float = Field(default=0, ge=0, le=4096)
    memory_gb: float = Field(default=0, ge=0, le=65_536)
    disk_gb: int = Field(default=20, ge=8, le=16_384)
    terms: Terms = Field(default=Terms.INTERRUPTIBLE)
    regions: tuple[Region, ...] = Field(
        default=(), max_length=250, description="two-letter country codes, in order of preference"
    )
    min_reliability: float = Field(default=0, ge=0, le=1)
    min_download_mbps: float = Field(default=0, ge=0, le=1_000_000)


class Quiesce(StrEnum):
    """What is done to the work while its workspace is read."""

    NONE = "none"
    HOOK = "hook"
    FREEZE = "freeze"


class CheckpointSpec(Strict):
    """When and how state is saved."""

    every: Duration = Field(default=timedelta(minutes=10), ge=timedelta(seconds=1), le=MONTH)
    quiesce: Quiesce = Quiesce.NONE
    hook: Text | None = Field(
        default=None, validate_default=True, description="shell command that makes the work write its state"
    )
    exclude: tuple[Line, ...] = Field(
        default=(), max_length=250, description="glob patterns under the workspace that are not saved"
    )
    keep: int = Field(default=5, ge=1, le=1000, description="newest checkpoints kept; checkpoint zero always is")
    verify_last: bool = Field(
        default=False, description="read the last checkpoint back from the store before the machine goes"
    )

    @field_validator("hook")
    @classmethod
    def _hook_is_named(cls, hook: str | None, others: ValidationInfo) -> str | None:
        if others.data.get("quiesce") is Quiesce.HOOK and not hook:
            raise ValueError("a hook is needed by quiesce: hook")
        return hook


class Strategy(StrEnum):
    """A way to get going again after a loss."""

    WARMPOOL = "warmpool"
    REGIONAL = "regional"
    SNAPSHOT = "snapshot"
    COLDSTART = "coldstart"


class Order(StrEnum):
    """Which strategy of a ladder comes first."""

    WRITTEN = "written"
    AUTO = "auto"


class Alone(StrEnum):
    """What a machine does with its work when nobody renews its lease."""

    STOP = "stop"
    FINISH = "finish"


class WhenStalled(StrEnum):
    """What is done about work that runs and gets nowhere."""

    NOTIFY = "notify"  # it may be right: an evaluation, a download
    RESTART = "restart"  # on its machine, with what is on the disk; it moves when that did not help
    MOVE = "move"


class FailoverSpec(Strict):
    """What may be done when the machine is lost."""

    ladder: tuple[Strategy, ...] = Field(
        default=(Strategy.WARMPOOL, Strategy.SNAPSHOT, Strategy.COLDSTART),
        min_length=1,
        description="the strategies that may be tried: warmpool, regional, snapshot, coldstart",
    )
    order: Order = Field(
        default=Order.WRITTEN,
        description="try them as the ladder is written, or by the recovery time and cost that are expected of each",
    )
    pool: str | None = Field(
        default=None, pattern=NAME_PATTERN, description="the warm pool whose standbys may be taken"
    )
    regions: tuple[Region, ...] = Field(
        default=(), max_length=250, description="where regional goes after the lost machine's own region, in this order"
    )
    race: int = Field(default=1, ge=1, le=4, description="machines rented at once; the first that is ready is kept")
    hedge: Duration | None = Field(
        default=None,
        ge=timedelta(seconds=1),
        le=DAY,
        description="rent one machine more when none is ready after so long; leave out for never",
    )
    rung_timeout: Duration = Field(
        default=timedelta(minutes=30),
        ge=timedelta(seconds=10),
        le=DAY,
        description="how long one strategy may take before the next is tried",
    )
    per_day: int = Field(
        default=48, ge=1, le=1000, description="moves to another machine in 24 hours; beyond it waits, or for a person"
    )
    silence: Duration = Field(
        default=timedelta(seconds=30),
        ge=timedelta(seconds=2),
        le=DAY,
        description="how long a machine may be silent, while our side is proven healthy, before it is given up",
    )
    deadman: Duration = Field(
        default=timedelta(minutes=15),
        ge=timedelta(seconds=10),
        le=MONTH,
        description="how long a machine works on without hearing from us before its agent stops the work",
    )
    alone: Alone = Field(
        default=Alone.STOP,
        description="whether the work is stopped at the end of that time, or may finish without us",
    )
    end_after: Duration = Field(
        default=timedelta(hours=1),
        ge=timedelta(seconds=1),
        le=MONTH,
        description="how long after that the machine stays as it is before it ends itself, if its provider lets it",
    )
    contract_margin: Duration = Field(
        default=timedelta(minutes=15),
        ge=timedelta(),
        le=MONTH,
        description="how long before its contract ends a machine is left for another one; 0s: it is stayed on",
    )
    payback: Duration | None = Field(
        default=None,
        ge=timedelta(minutes=1),
        le=MONTH,
        description="leave for a cheaper machine when the move has paid for itself after so long; leave out for never",
    )
    disk_every: Duration | None = Field(
        default=None,
        ge=timedelta(minutes=10),
        le=MONTH,
        description="keep a copy of the disk this fresh, for the next machine, at providers that copy disks; or none",
    )
    stalled_after: Duration | None = Field(
        default=None,
        ge=timedelta(seconds=5),
        le=MONTH,
        description="work that has made no progress for so long, its GPU idle, is stalled; leave out for never",
    )
    when_stalled: WhenStalled = Field(
        default=WhenStalled.NOTIFY, description="what is done about it: notify, restart, or move to another machine"
    )
    boot_timeout: Duration = Field(default=timedelta(minutes=8), ge=timedelta(seconds=5), le=DAY)
    tries: int = Field(default=4, ge=1, le=20, description="offers tried by one strategy before the next strategy")
    lose_work: bool = Field(default=False, description="may start without a checkpoint although there was one")

    @field_validator("ladder")
    @classmethod
    def _no_rung_twice(cls, ladder: tuple[Strategy, ...]) -> tuple[Strategy, ...]:
        if len(set(ladder)) != len(ladder):
            raise ValueError("each strategy may stand in the ladder once")
        return ladder


class PauseMode(StrEnum):
    """How a machine sleeps."""

    STOP = "stop"  # stopped at its provider: its disk is kept and billed; its GPU may be taken by somebody else
    CHECKPOINT = "checkpoint"  # saved, verified and let go: nothing is billed but the store


Percent = Annotated[float, Field(ge=0, le=100)]


class HibernateSpec(Strict):
    """When work that is not used sleeps. What is not known counts as use."""

    after: Duration | None = Field(
        default=timedelta(minutes=30),
        ge=timedelta(seconds=5),
        le=MONTH,
        description="without use for so long; null: only by the hours of awake",
    )
    mode: PauseMode = Field(
        default=PauseMode.CHECKPOINT, description="stop: disk kept and billed; checkpoint: saved and let go"
    )
    gpu_below: Percent = Field(
        default=5, description="percent, mean of all GPUs; at or above it is used; 100: not looked at"
    )
    cpu_below: Percent = Field(
        default=10, description="percent of all cores together, as the heartbeat tells it; 100: not looked at"
    )
    warn: Duration = Field(
        default=timedelta(minutes=5),
        ge=timedelta(),
        le=DAY,
        description="how long before it sleeps that is told; at most half of after",
    )
    awake: tuple[HoursSpec, ...] = Field(
        default=(), max_length=20, description="hours outside of which it sleeps, used or not; none: no such hours"
    )

    @model_validator(mode="after")
    def _sleeps_some_time(self) -> Self:
        if self.after is None and not self.awake:
            raise ValueError("give after, or the hours in which it is awake; without both it never sleeps")
        return self

    def warned_after(self) -> timedelta | None:
        """Without use for so long that it is told; None: it sleeps by its hours only."""
        return None if self.after is None else self.after - min(self.warn, self.after / 2)


class ObjectivesSpec(Strict):
    """What `holdfast report` measures against."""

    rto: Objective | None = Field(default=None, description="longest time without progress after a loss")
    rpo: Objective | None = Field(default=None, description="most work, in time, that a loss may cost")


class DeadlineRule(StrEnum):
    """How spot and on demand are weighed against each other; each meets the deadline where it can be met."""

    UNIFORM = "uniform_progress"
    THRIFTY = "thrifty"
    GREEDY = "greedy"


class DeadlineSpec(Strict):
    """By when work must be done, on interruptible machines as far as that is safe, and on demand where it is not."""

    work: Duration = Field(
        ge=timedelta(minutes=1), le=MONTH, description="how long the work takes on one machine without a break"
    )
    within: Duration | None = Field(
        default=None, ge=timedelta(minutes=1), le=2 * MONTH, description="by then, counted from the start"
    )
    by: AwareDatetime | None = Field(default=None, description="or by this moment, with its time zone")
    changeover: Duration = Field(
        default=timedelta(minutes=10),
        ge=timedelta(seconds=2),
        le=DAY,
        description="the longest from wanting a machine to progress on it: rent, boot, restore, start",
    )
    rule: DeadlineRule = DeadlineRule.THRIFTY

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if (self.within is None) is (self.by is None):
            raise ValueError("give either within or by")
        least = self.work + self.changeover
        if self.within is not None and self.within < least:
            raise ValueError(f"cannot be met: the work and one changeover take {least.total_seconds() / 3600:.2f} h")
        return self


class PolicySpec(Strict):
    """What is weighed over the whole life of the work."""

    deadline: DeadlineSpec | None = None


class ServiceSpec(Strict):
    """Where the work answers, on its machine. It is reached through SSH only, so that no port is open to strangers."""

    port: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="on which it listens, at 127.0.0.1; leave out for a free one. The work finds it as $PORT",
    )
    health: Line = Field(default="/health", pattern=r"^/[!-~]*$", description="answers GET with 2xx once it can serve")
    ready_within: Duration = Field(
        default=timedelta(minutes=10),
        ge=timedelta(seconds=1),
        le=DAY,
        description="how long it may take from its start to its first 2xx",
    )


class PriceSpec(Strict):
    """The limit on what is paid."""

    max_hourly: Decimal = Field(
        gt=0, le=1000, max_digits=20, description="USD per hour for the whole machine, disk included"
    )


class SecretRef(Strict):
    """The name of a secret that the host worker looks up; its value never enters a spec or a history."""

    secret: str = Field(pattern=SECRET_PATTERN)


class WorkloadSpec(Strict):
    """Work that must survive the death of its machine."""

    name: str = Field(pattern=NAME_PATTERN, description="lower-case letters, digits and dashes")
    image: Line = Field(default=DEFAULT_IMAGE)
    command: Text = Field(min_length=1, description="run by /bin/sh in the workspace")
    setup: Text | None = Field(default=None, description="run once on each new machine, before the command")
    workdir: Line | None = Field(default=None, description="local folder saved as checkpoint zero")
    workspace: Line = Field(default="workspace", description="folder on the machine, under the login's home")
    environment: dict[VariableName, Text | SecretRef] = Field(default_factory=dict, max_length=MOST_VARIABLES)
    resources: ResourcesSpec = Field(default_factory=ResourcesSpec)
    price: PriceSpec
    budget: Decimal | None = Field(
        default=None, ge=0, le=1_000_000, max_digits=20, description="USD for this run of the workload, all machines"
    )
    tenant: str = Field(default="default", pattern=NAME_PATTERN, description="whose budgets it is paid from")
    checkpoint: CheckpointSpec = Field(default_factory=CheckpointSpec)
    failover: FailoverSpec = Field(default_factory=FailoverSpec)
    hibernate: HibernateSpec | None = Field(default=None, description="sleep while it is not used")
    objectives: ObjectivesSpec = Field(default_factory=ObjectivesSpec)
    policy: PolicySpec = Field(default_factory=PolicySpec)
    service: ServiceSpec | None = Field(default=None, description="it answers HTTP; its callers count as use of it")
    stop_grace: Duration = Field(
        default=timedelta(seconds=30), ge=timedelta(), le=HOUR, description="between SIGTERM and SIGKILL"
    )
    providers: tuple[Word, ...] = Field(default=(), max_length=16, description="empty: every configured provider")

    @field_validator("workspace")
    @classmethod
    def _inside_home(cls, workspace: str) -> str:
        return inside_home(workspace)

    @field_validator("environment")
    @classmethod
    def _not_too_much(cls, environment: dict[str, str | SecretRef]) -> dict[str, str | SecretRef]:
        together = sum(len(name) + len(value) for name, value in environment.items() if isinstance(value, str))
        if together > MOST_TOGETHER:
            raise ValueError(f"should have at most {MOST_TOGETHER} characters together, not {together}")
        return environment

    def requirements(self) -> Requirements:
        """The machine that offers are searched for."""
        wanted = self.resources
        return Requirements(
            gpu=wanted.gpu,
            gpu_count=wanted.gpu_count,
            gpu_memory_gb=wanted.gpu_memory_gb,
            cpu_cores=wanted.cpu_cores,
            memory_gb=wanted.memory_gb,
            disk_gb=wanted.disk_gb,
            terms=wanted.terms,
            max_hourly=self.price.max_hourly,
            regions=wanted.regions,
            min_reliability=wanted.min_reliability,
            min_download_mbps=wanted.min_download_mbps,
            min_contract=2 * self.failover.contract_margin,  # else it would be left as soon as it is rented
        )
