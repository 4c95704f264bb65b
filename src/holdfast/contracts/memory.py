"""What is remembered: how machines and places behaved each time, which are banned, and how long recoveries took."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.contracts.forecasts import PriceAhead
from holdfast.contracts.machines import Conduct
from holdfast.contracts.spec import Strategy


@dataclass(frozen=True, kw_only=True)
class MachineKey:
    """The hardware at its provider; it stays the same from offer to offer."""

    provider: str
    machine_id: str


@dataclass(frozen=True, kw_only=True)
class MachineMemory:
    """One machine as we remember it."""

    provider: str
    machine_id: str
    host_id: str = ""  # its owner
    gpu: str = ""
    good: int = 0  # times that it did what it promised
    bad: int = 0  # times that it failed us
    neutral: int = 0  # times that say nothing about it: outbid, refused, cancelled
    last_had: datetime | None = None
    banned_until: datetime | None = None  # None: it may be rented
    ban_reason: str = ""
    resting: int = 0  # machines of ours that are stopped on it now: who rents it may take their GPU
    measured: bool = False  # the next two are told: not so by older versions
    watched: timedelta = timedelta()  # of the last three days, the time with it, and an hour for each of its failures
    up: timedelta = timedelta()  # of that, the time that we had it


@dataclass(frozen=True, kw_only=True)
class StayLine:
    """One time that we had a machine, or tried to have it."""

    label: str
    opened_at: datetime
    closed_at: datetime | None
    conduct: Conduct | None  # None: not over, or of a time when it was not noted
    failed_in: str  # the step in which it failed us, or ""
    reason: str  # why it was let go


@dataclass(frozen=True, kw_only=True)
class MachineHistory:
    machine: MachineMemory
    stays: tuple[StayLine, ...]  # newest first, some of many


@dataclass(frozen=True, kw_only=True)
class PlaceLoss:
    """An interruptible machine that was taken back, and where: the record may hear of it only later."""

    provider: str
    region: str
    at: datetime
    gpu: str = ""  # "": of an older workflow, any


@dataclass(frozen=True, kw_only=True)
class RecallInput:
    machines: tuple[MachineKey, ...]
    lost: PlaceLoss | None = None
    gpus: tuple[str, ...] = ()  # that are on offer: what their prices are expected to do is told too
    workload: str = ""  # that is placed: what a loss costs it is told too
    saved_every: timedelta | None = None  # how often it is saved


@dataclass(frozen=True, kw_only=True)
class ListMachinesInput:
    provider: str | None = None
    banned_only: bool = False


@dataclass(frozen=True, kw_only=True)
class BanInput:
    """Ban a machine, or lift its ban and forget what was held against it until now."""

    provider: str
    machine_id: str
    until: datetime | None  # None lifts
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class PlaceMemory:
    """A provider, or a region of it, where one machine after the other failed us: nothing is rented there for a while.

    It is a breaker: when the time is over, or when there is nothing elsewhere, one machine is tried.
    """

    provider: str
    region: str  # "": all of the provider
    until: datetime
    reason: str


@dataclass(frozen=True, kw_only=True)
class PlaceRisk:
    """How likely a region is to take an interruptible machine back, by what became of ours with that GPU lately."""

    provider: str
    region: str
    hour: float  # the chance of a loss within so long, from now on
    six_hours: float
    day: float
    age: timedelta  # since the last loss there; where there was none, since our first machine there, or 12 hours
    losses: int  # of the last week
    watched: timedelta  # of the last week, the time with a machine there, or without one after a loss
    lost_at: datetime | None = None  # the last loss; None: none in two weeks
    gpu: str = ""  # its name; "": of an older record, any


@dataclass(frozen=True, kw_only=True)
class PlaceRisksInput:
    provider: str | None = None  # None: of all


@dataclass(frozen=True, kw_only=True)
class Recollection:
    """What placement remembers."""

    machines: tuple[MachineMemory, ...] = ()
    places: tuple[PlaceMemory, ...] = ()
    risks: tuple[PlaceRisk, ...] = ()
    ahead: tuple[PriceAhead, ...] = ()  # of the GPUs asked for, where a fresh forecast has skill
    per_loss: timedelta | None = None  # what a loss costs the workload, in time that is paid for; None: not asked for
    usual_risk: tuple[float, float, float] | None = None
    """The chance of a loss within 1, 6 and 24 hours in a place that is not among `risks`; None: not told by an older
    worker, whose own belief it was."""


@dataclass(frozen=True, kw_only=True)
class StrategyRecord:
    """What recoveries by one strategy took lately."""

    strategy: Strategy
    times: int
    typical: timedelta  # the median, from the decision until the work ran again
    spent: timedelta = timedelta()  # the median of what was paid for machines that did no work, at one machine's price
