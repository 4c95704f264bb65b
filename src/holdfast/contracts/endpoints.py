"""An endpoint: what its owner writes in YAML, what its workflow carries, and what it and the gateways tell each other.

It is a front for workloads, its replicas: each is a workload like any other, with its failover, its checkpoints and
its bill. The endpoint decides how many of them are awake.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Self

from pydantic import Field, field_validator, model_validator

from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.hours import HoursSpec
from holdfast.contracts.incidents import Phases
from holdfast.contracts.machines import Lease
from holdfast.contracts.spec import PauseMode, ServiceSpec, WorkloadSpec
from holdfast.contracts.workload import Phase
from holdfast.contracts.written import DAY, HOUR, MONTH, Duration, Line, Strict

ENDPOINT_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$"
MOST_REPLICAS = 50
RESERVED = ("v1", "healthz", "metrics")
"""First parts of a path that the gateway keeps for itself."""
LINGER = timedelta(seconds=5)
"""How long a gateway without requests keeps its pass before it gives it back."""


class ScaleSpec(Strict):
    """How many replicas."""

    minimum: int = Field(default=0, ge=0, le=MOST_REPLICAS, description="kept awake also while nobody calls")
    maximum: int = Field(default=1, ge=1, le=MOST_REPLICAS)
    in_flight: int = Field(default=8, ge=1, le=10_000, description="requests that one replica answers at a time")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is more than maximum {self.maximum}")
        return self


class SleepSpec(Strict):
    """When and how a replica sleeps."""

    mode: PauseMode = Field(default=PauseMode.STOP, description="stop: disk kept and billed; checkpoint: let go")
    after: Duration | None = Field(
        default=None,
        ge=timedelta(seconds=1),
        le=MONTH,
        description="time without requests; leave out: computed from what a pause costs and how requests come",
    )
    least: Duration = Field(
        default=timedelta(minutes=1), ge=timedelta(), le=DAY, description="awake at least so long after each wake"
    )


class DoorSpec(Strict):
    """What a gateway holds callers to."""

    open: bool = Field(default=False, description="callers need no token")
    queue: int = Field(default=1000, ge=1, le=100_000, description="requests that one gateway holds while it wakes")
    wait: Duration = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=1),
        le=HOUR,
        description="how long a request is held before it is answered with 503",
    )
    pass_for: Duration = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=5),
        le=HOUR,
        description="how long a gateway may send after it last asked; one that dies keeps replicas awake so long",
    )
    body_mb: float = Field(default=32, gt=0, le=4096, description="the largest request")
    patience: Duration = Field(
        default=timedelta(minutes=10),
        ge=timedelta(seconds=1),
        le=DAY,
        description="how long a replica, or a caller who sends or reads, may be silent in the middle of a request",
    )


class EndpointSpec(Strict):
    """An HTTP service that sleeps while nobody calls."""

    name: str = Field(pattern=ENDPOINT_PATTERN, description="lower-case letters, digits and dashes, 42 at most")
    models: tuple[Line, ...] = Field(
        default=(), max_length=100, description="names under which /v1/… reaches it; its own name always does"
    )
    service: ServiceSpec = Field(default_factory=ServiceSpec)
    workload: WorkloadSpec = Field(description="what a replica runs; its name is given by the endpoint")
    scale: ScaleSpec = Field(default_factory=ScaleSpec)
    sleep: SleepSpec = Field(default_factory=SleepSpec)
    awake: tuple[HoursSpec, ...] = Field(
        default=(),
        max_length=20,
        description="hours in which the minimum, or one, is kept awake; it wakes before calls",
    )
    door: DoorSpec = Field(default_factory=DoorSpec)

    @model_validator(mode="before")
    @classmethod
    def _named_by_the_endpoint(cls, given: object) -> object:
        if isinstance(given, Mapping) and isinstance(work := given.get("workload"), Mapping) and "name" not in work:
            name = str(given.get("name"))
            named = name if re.fullmatch(ENDPOINT_PATTERN, name) else "endpoint"  # one mistake is not to be told twice
            return {**given, "workload": {**work, "name": replica_name(named, 0)}}
        return given

    @field_validator("workload")
    @classmethod
    def _served_by_the_endpoint(cls, workload: WorkloadSpec) -> WorkloadSpec:
        if workload.service is not None or workload.hibernate is not None:
            raise ValueError("it is the endpoint that has a service, and that sleeps: no service and no hibernate here")
        return workload

    @field_validator("name")
    @classmethod
    def _not_the_gateways_own(cls, name: str) -> str:
        if name in RESERVED:
            raise ValueError(f"{name!r} is a path of the gateway's own")
        return name


def replica_name(endpoint: str, number: int) -> str:
    """The workload that is this replica."""
    return f"{endpoint}-r{number}"


def endpoint_of(workload: str) -> str:
    """The endpoint that would call a replica so; "" where none would."""
    endpoint, _, number = workload.rpartition("-r")
    return endpoint if number.isdecimal() else ""


class EndpointPhase(StrEnum):
    """Where an endpoint is."""

    COLD = "cold"  # no machine and no disk: the next wake begins with a search
    WAKING = "waking"
    READY = "ready"
    DRAINING = "draining"  # nobody calls any more; about to sleep
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class Route:
    """One replica that answers."""

    replica: str  # the workload's name
    lease: Lease  # where it is; a replica that moved has another one
    port: int


ANSWER_WITHIN = timedelta(seconds=20)
"""Whoever calls while nobody is awake hears after so long why not, and calls again."""


@dataclass(frozen=True, kw_only=True)
class WakeRequest:
    """Signal `called`, and update `wake`: a gateway has requests, or keeps its pass."""

    gateway: str  # which one; the same for all its life
    in_flight: Mapping[str, int] = field(default_factory=dict)  # requests at each replica
    waiting: int = 0  # requests that no replica has yet
    broken: tuple[str, ...] = ()  # labels of leases at which nothing answered
    answer_within: timedelta | None = None  # also if nobody is awake by then; None: the workflow's own limit


@dataclass(frozen=True, kw_only=True)
class Pass:
    """The answer of query `pass_now`, and of update `wake`: for so long, from when it was asked for, requests may go to
    these replicas."""

    phase: EndpointPhase
    reason: str = ""
    routes: tuple[Route, ...] = ()  # empty: none is awake yet; ask again
    refused: bool = False  # it is not woken, whoever calls: do not ask again
    room: int | None = None  # requests that these replicas answer at a time: whoever has more of them asks at once
    valid_for: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class IdleNotice:
    """Signal `idle`: a gateway has no more requests, and gives its pass back."""

    gateway: str
    quiet_for: timedelta  # since its last request ended


@dataclass(frozen=True, kw_only=True)
class EndpointCard:
    """What every gateway knows of an endpoint, awake or not."""

    name: str
    models: tuple[str, ...]
    token_hashes: tuple[str, ...]  # SHA-256 of each, in hex
    door: DoorSpec
    aliases: tuple[str, ...] = ()  # further names that lead to it: those of deployments


@dataclass(frozen=True, kw_only=True)
class Duty:
    """Signal `duty`: the deployment that an endpoint belongs to says what it is there for, and who may call."""

    serving: bool  # False: it is kept for a rollback; it may fall asleep, and nobody wakes it
    token_hashes: tuple[str, ...]  # SHA-256 of each, in hex
    handover: timedelta = timedelta()  # so long it is still woken, by gateways that have not heard of it


class WokenFrom(StrEnum):
    """What a replica had when it was asked to wake."""

    COLD = "cold"  # nothing but its files in the store
    STOP = "stop"  # a machine that was stopped
    CHECKPOINT = "checkpoint"  # its last checkpoint
    FAILOVER = "failover"  # it was awake, and lost its machine


@dataclass(frozen=True, kw_only=True)
class WakePhases:
    """Where the time of a wake went. A phase that did not happen is zero."""

    place: timedelta = timedelta()  # asked → the provider accepted an order, or a start
    boot: timedelta = timedelta()  # → the machine can be reached
    connect: timedelta = timedelta()  # → agent in place and machine probed
    fetch: timedelta = timedelta()  # → its files are there, verified
    load: timedelta = timedelta()  # → its process says that it can serve
    first_byte: timedelta = timedelta()  # of the answer that said so

    def total(self) -> timedelta:
        return sum((self.place, self.boot, self.connect, self.fetch, self.load, self.first_byte), timedelta())


@dataclass(frozen=True, kw_only=True)
class Wake:
    """One wake of one replica, as the record keeps it."""

    endpoint: str
    replica: str
    epoch: int
    woken_from: WokenFrom
    asked_at: datetime
    ready_at: datetime
    phases: WakePhases


@dataclass(frozen=True, kw_only=True)
class Replica:
    """One workload behind an endpoint, as it last said how it is."""

    name: str
    phase: Phase | None = None  # None: there is no such workload
    reason: str = ""
    wanted: bool = False  # awake
    lease: Lease | None = None
    started_at: datetime | None = None  # its process
    ready_at: datetime | None = None  # None: it cannot serve, by all that is known
    port: int = 0  # on which it does
    asked_at: datetime | None = None  # since when it is wanted awake and is not; None: it is, or is not wanted
    woken_from: WokenFrom = WokenFrom.COLD
    leaving_since: datetime | None = None  # gets no new requests since then
    slept_from: datetime | None = None  # when it was last told to sleep
    failures: int = 0  # in a row
    not_before: datetime | None = None  # it is not tried again until then
    head: CheckpointRef | None = None  # what it saved last, before its end too: one that begins anew goes on from there

    def hourly(self) -> Decimal:
        """USD now; of a machine that is stopped its disk, where its provider says what that costs."""
        if self.lease is None:
            return Decimal(0)
        return (self.lease.storage_hourly or Decimal(0)) if self.phase is Phase.PAUSED else self.lease.hourly


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A gateway that may send requests."""

    gateway: str
    asked_at: datetime
    until: datetime
    in_flight: dict[str, int]  # by replica
    waiting: int
    missed_since: datetime | None = None  # its pass has run out, and nothing was heard of it since somebody looked


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What was measured of pauses and wakes, newest last."""

    pauses: tuple[timedelta, ...] = ()
    wakes: tuple[timedelta, ...] = ()
    gaps: tuple[timedelta, ...] = ()  # from the end of the last request to the next


@dataclass(frozen=True, kw_only=True)
class Needed:
    """So many replicas were needed until that moment."""

    replicas: int
    until: datetime


@dataclass(frozen=True, kw_only=True)
class EndpointState:
    """What an endpoint carries from run to run."""

    phase: EndpointPhase
    since: datetime
    replicas: tuple[Replica, ...] = ()
    holders: tuple[Holder, ...] = ()
    last_call: datetime | None = None
    wakes: int = 0
    phases: Mapping[str, Phases] = field(default_factory=dict)  # where the time of wakes went that are not over yet
    costs: Costs = Costs()
    needed: tuple[Needed, ...] = ()
    resting: bool = False  # kept for a rollback
    woken_until: datetime | None = None  # although it is


@dataclass(frozen=True, kw_only=True)
class EndpointInput:
    """Start an endpoint. Only `spec` is needed; the rest is Holdfast's own."""

    spec: EndpointSpec
    token_hashes: tuple[str, ...] = ()
    workdir: CheckpointRef | None = None  # the files of its replicas, already in the store
    deployment: str = ""  # that it is a release of; then gateways know it only while it has the traffic
    resume: EndpointState | None = None


@dataclass(frozen=True, kw_only=True)
class ScaleRequest:
    """Update `scale`. What is None stays."""

    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True, kw_only=True)
class EndpointStatus:
    """The answer of the query `status`."""

    name: str
    phase: EndpointPhase
    reason: str
    since: datetime
    replicas: tuple[Replica, ...]
    wanted: int
    in_flight: int
    waiting: int
    sleeps_after: timedelta  # without requests
    why_after: str  # given, or how it was computed
    hourly: Decimal  # USD, of what runs now
    wakes: int
    tokens: int
    minimum: int = 0  # replicas that are kept awake
    maximum: int = 1
