"""Machines: what is needed, what is offered, what was rented, and what its provider says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum


class Terms(StrEnum):
    """How firmly a machine is ours."""

    ON_DEMAND = "on_demand"
    INTERRUPTIBLE = "interruptible"  # cheaper; the provider may take it back for a higher bid


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What a machine must have. Every limit is re-checked on the offers that come back."""

    gpu: str | None = None  # the provider-neutral name, such as "RTX 4090"; None: any
    gpu_count: int = 1
    gpu_memory_gb: float = 0
    cpu_cores: float = 0
    memory_gb: float = 0
    disk_gb: int = 10
    terms: Terms = Terms.INTERRUPTIBLE
    exact_terms: bool = False  # else a machine on demand serves who accepts interruptible terms: it is only firmer
    max_hourly: Decimal | None = None  # USD per hour for the whole machine, disk included
    regions: tuple[str, ...] = ()  # two-letter country codes; empty: anywhere
    min_reliability: float = 0  # 0 to 1, by the provider's own score
    min_download_mbps: float = 0
    min_contract: timedelta = timedelta()  # how long the machine must stay rentable


@dataclass(frozen=True, kw_only=True)
class Offer:
    """Something a provider would rent now, at a price. It may be gone a moment later."""

    provider: str
    offer_id: str
    machine_id: str  # the hardware; stays the same from offer to offer
    host_id: str = ""  # its owner
    gpu: str
    gpu_count: int
    gpu_memory_gb: float
    cpu_cores: float = 0
    memory_gb: float = 0
    disk_gb: float = 0
    region: str = ""  # two-letter country code, or "" when the provider does not say
    place: str = ""  # the provider's own words, such as "Quebec, CA"
    terms: Terms
    hourly: Decimal  # USD per hour for the whole machine, disk included, at these terms
    storage_hourly: Decimal | None = None  # of that, for the disk: charged also while it is stopped; None: not told
    bid: Decimal | None = None  # USD per hour to bid so that the machine runs now (interruptible only)
    reliability: float | None = None
    download_mbps: float | None = None
    upload_mbps: float | None = None
    contract_ends: datetime | None = None
    verified: bool = False
    exclusive: bool = True  # one machine: who rents it leaves nothing for the next; else a kind of machine


class InstanceState(StrEnum):
    """The provider's word on one machine, in our words."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"  # by us; the disk is kept and billed
    INTERRUPTED = "interrupted"  # taken by the provider (outbid, contract over); the disk is kept and billed
    WAITING = "waiting"  # wants to run and has no GPU granted
    OFFLINE = "offline"  # the provider has lost sight of the machine
    EXITED = "exited"  # wanted to run, and its container ended
    FAILED = "failed"  # can never run: broken image, broken driver
    GONE = "gone"  # the provider does not know it (any more)
    UNKNOWN = "unknown"  # an answer that nothing can be concluded from


NO_NEWS = (InstanceState.RUNNING, InstanceState.STARTING, InstanceState.UNKNOWN)
"""What a provider says of a machine with which nothing is wrong, or nothing that is known."""


@dataclass(frozen=True, kw_only=True)
class SshAddress:
    host: str
    port: int
    user: str = "root"


@dataclass(frozen=True, kw_only=True)
class SelfDestruct:
    """The call by which a machine ends itself. The key is the machine's own and never leaves it."""

    url: str
    method: str = "DELETE"
    token_env: str  # the variable inside the machine that holds the key, which can end this machine only


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One machine as its provider describes it."""

    provider: str
    instance_id: str
    state: InstanceState
    detail: str = ""  # the provider's own words, for people
    label: str | None = None
    machine_id: str = ""
    host_id: str = ""
    gpu: str = ""
    gpu_count: int = 0
    region: str = ""
    terms: Terms | None = None
    hourly: Decimal | None = None  # USD per hour while it runs, disk included
    ssh: SshAddress | None = None  # only while it can be reached
    contract_ends: datetime | None = None
    self_destruct: SelfDestruct | None = None
    storage_hourly: Decimal | None = None  # USD per hour while it is stopped; None: not told
    charged: Decimal | None = None  # USD per hour in its present state; None: not told
    running_since: datetime | None = None  # by the provider's clock; None: it does not run, or not told


@dataclass(frozen=True, kw_only=True)
class Awaited(Instance):
    """A machine that was waited for."""

    recorded: bool = False  # the records know since when it runs


@dataclass(frozen=True, kw_only=True)
class LaunchOrder:
    """Rent this offer under this label. The label makes a repeated order harmless."""

    offer: Offer
    label: str
    image: str
    disk_gb: int
    ssh_public_key: str
    onstart: str = ""  # shell script that the provider runs at each start of the machine
    repeated: bool = False  # an earlier try may have rented it a moment ago, and it may not be listed yet
    from_snapshot: str = ""  # the disk begins as this copy; "": as the image says


@dataclass(frozen=True, kw_only=True)
class LaunchResult:
    """A refusal is an answer, not an error: exactly one of the two is set."""

    instance: Instance | None = None
    refusal: str = ""
    adopted: bool = False  # True when an earlier try had already rented it
    recorded: bool = False  # the records know of it
    from_snapshot: str = ""  # the copy with which its disk began; "": as the image says


@dataclass(frozen=True, kw_only=True)
class Lease:
    """Our claim on one instance."""

    workload: str
    epoch: int
    label: str
    provider: str
    instance_id: str
    machine_id: str
    host_id: str = ""
    gpu: str
    gpu_count: int
    region: str = ""
    terms: Terms
    hourly: Decimal
    since: datetime
    ssh: SshAddress | None = None
    host_key: str = ""  # the machine's public key, pinned at first contact, in authorized_keys format
    contract_ends: datetime | None = None
    self_destruct: SelfDestruct | None = None
    bid: Decimal | None = None  # USD per hour that was offered for it; `hourly` is what is charged
    storage_hourly: Decimal | None = None  # USD per hour while it is kept and does not run; None: not told
    running_since: datetime | None = None  # what is charged while it runs is charged from here on


class Conduct(StrEnum):
    """How a machine behaved while we had it, or tried to have it."""

    GOOD = "good"
    BAD = "bad"  # it failed us
    NEUTRAL = "neutral"  # what happened says nothing about it


@dataclass(frozen=True, kw_only=True)
class OpenLease:
    """A cost line that is not closed: its machine may cost money."""

    provider: str
    label: str
    instance_id: str  # "" when its launch was never heard of


@dataclass(frozen=True, kw_only=True)
class Gpu:
    name: str
    memory_mb: int
    driver: str = ""
    uuid: str = ""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a machine turned out to be, seen from the inside."""

    gpus: tuple[Gpu, ...]
    cpu_cores: int
    memory_mb: int
    disk_free_mb: int
    python: str
    kernel: str = ""
    is_root: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)
