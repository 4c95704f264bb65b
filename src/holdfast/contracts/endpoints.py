"""An endpoint: what its owner writes, what its workflow carries, and what gateways and workflow tell each other.

An endpoint is a front for workloads, its replicas: each is a workload like any other, with its failover, its
checkpoints and its bill. The endpoint decides how many of them are awake.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, field_validator, model_validator

from holdfast.contracts.machines import Lease
from holdfast.contracts.spec import DAY, HOUR, MONTH, Duration, Line, Strict, WorkloadSpec

ENDPOINT_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$"
MOST_REPLICAS = 50
RESERVED = ("v1", "healthz", "metrics")
"""First parts of a path that the gateway keeps for itself."""
LIST_ENDPOINTS = "list_endpoints"
"""The control worker's activity by which gateways read their directory: no argument, a list of `EndpointCard`."""
PASS_FOR = timedelta(minutes=5)
"""How long a gateway may send requests to replicas after it last asked. One that dies keeps them awake so long."""
LINGER = timedelta(seconds=5)
"""How long a gateway without requests keeps its pass before it gives it back."""


class PauseMode(StrEnum):
    """How a machine sleeps."""

    STOP = "stop"  # stopped at its provider: its disk is kept and billed; its GPU may be taken by somebody else
    CHECKPOINT = "checkpoint"  # saved, verified and let go: nothing is billed but the store


class ServiceSpec(Strict):
    """Where the work answers, on its machine. It is reached through SSH only, so that no port is open to strangers."""

    port: int = Field(ge=1, le=65_535, description="on which it listens, at 127.0.0.1")
    health: Line = Field(default="/health", pattern=r"^/", description="answers GET with 2xx once it can serve")
    ready_within: Duration = Field(
        default=timedelta(minutes=10),
        ge=timedelta(seconds=1),
        le=DAY,
        description="how long it may take from its start to its first 2xx",
    )


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
        description="without requests; leave out to have it computed from what a pause costs and how requests come",
    )
    least: Duration = Field(
        default=timedelta(minutes=1), ge=timedelta(), le=DAY, description="awake at least so long after each wake"
    )


class Day(StrEnum):
    MON, TUE, WED, THU, FRI, SAT, SUN = "mon", "tue", "wed", "thu", "fri", "sat", "sun"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone such as Europe/Berlin or UTC") from None
    return name


def _clock(text: object) -> object:
    if isinstance(text, str) and not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", text):
        raise ValueError(f"{text!r} is not a time of day such as 08:30")
    return text


class HoursSpec(Strict):
    """A stretch of the week in local time, daylight saving included. One that ends before it begins ends next day."""

    days: tuple[Day, ...] = Field(default=tuple(Day), min_length=1, description="on which it begins: mon … sun")
    begins: time = Field(description="such as 08:00")
    ends: time = Field(description="such as 18:30")
    zone: Annotated[str, AfterValidator(_zone)] = Field(default="UTC", description="such as Europe/Berlin")

    @field_validator("begins", "ends", mode="before")
    @classmethod
    def _time_of_day(cls, given: object) -> object:
        return _clock(given)

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.begins == self.ends:
            raise ValueError("begins and ends are the same time; leave hours out for always")
        return self


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
    service: ServiceSpec
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
            return {**given, "workload": {**work, "name": replica_name(str(given.get("name"))[:42], 0)}}
        return given

    @field_validator("name")
    @classmethod
    def _not_the_gateways_own(cls, name: str) -> str:
        if name in RESERVED:
            raise ValueError(f"{name!r} is a path of the gateway's own")
        return name


def replica_name(endpoint: str, number: int) -> str:
    """The workload that is this replica."""
    return f"{endpoint}-r{number}"


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


@dataclass(frozen=True, kw_only=True)
class WakeRequest:
    """Update `wake`: a gateway has requests, or keeps its pass."""

    gateway: str  # which one; the same for all its life
    in_flight: Mapping[str, int] = field(default_factory=dict)  # requests at each replica
    waiting: int = 0  # requests that no replica has yet
    broken: tuple[str, ...] = ()  # labels of leases at which nothing answered


@dataclass(frozen=True, kw_only=True)
class Pass:
    """The answer of update `wake`: for so long, from when it was asked for, requests may go to these replicas."""

    phase: EndpointPhase
    reason: str = ""
    routes: tuple[Route, ...] = ()  # empty: none is awake yet; ask again
    valid_for: timedelta = PASS_FOR


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
    phase: EndpointPhase


@dataclass(frozen=True, kw_only=True)
class WakePhases:
    """Where the time of a wake went. A phase that did not happen is zero."""

    place: timedelta = timedelta()  # asked → the provider accepted an order, or a start
    boot: timedelta = timedelta()  # → the machine can be reached
    connect: timedelta = timedelta()  # → agent in place and machine probed
    fetch: timedelta = timedelta()  # → its files are there, verified
    load: timedelta = timedelta()  # the process runs → it says that it can serve
    first_byte: timedelta = timedelta()  # of the answer to the health check that said so

    def total(self) -> timedelta:
        return sum((self.place, self.boot, self.connect, self.fetch, self.load, self.first_byte), timedelta())


@dataclass(frozen=True, kw_only=True)
class Wake:
    """One wake of one replica, as the record keeps it."""

    endpoint: str
    replica: str
    epoch: int
    how: str  # cold | stop | checkpoint | failover
    asked_at: datetime
    ready_at: datetime
    phases: WakePhases


@dataclass(frozen=True, kw_only=True)
class EndpointStatus:
    """The answer of the query `status`."""

    name: str
    phase: EndpointPhase
    reason: str
    since: datetime
    awake: tuple[Route, ...]
    wanted: int
    in_flight: int
    sleeps_after: timedelta | None  # without requests
    why_after: str  # given, or how it was computed
    hourly: Decimal  # USD, now
    wakes: int
