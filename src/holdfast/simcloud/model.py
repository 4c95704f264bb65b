"""What the market consists of, whatever provider's language it is told in.

A *slot* is a rentable share of one machine's GPUs. An *instance* is a tenancy of a slot, with a disk that stays when
the GPUs are taken away. Rates are US dollars per hour, times are in UTC.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field


class Container(StrEnum):
    """What a tenancy's container does. The values are neutral; the wire layers translate them."""

    ABSENT = "absent"
    CREATED = "created"
    LOADING = "loading"
    RUNNING = "running"
    EXITED = "exited"
    STOPPED = "stopped"
    OFFLINE = "offline"


class Wish(StrEnum):
    """What the tenant wants, or what the market decided in the tenant's place."""

    RUNNING = "running"
    STOPPED = "stopped"


class Stop(StrEnum):
    """Why an instance does not run."""

    USER = "user"
    OUTBID = "outbid"
    BID_TOO_LOW = "bid_too_low"
    TAKEN = "taken"
    CONTRACT_END = "contract_end"
    NO_CREDIT = "no_credit"
    DIED = "died"


class Flaw(StrEnum):
    """What is wrong with a machine that looks fine in its offer."""

    NEVER_BOOTS = "never_boots"
    WRONG_GPU = "wrong_gpu"
    NO_IMAGE = "no_image"
    BROKEN_RUNTIME = "broken_runtime"


class Numbered(BaseModel):
    """What the store keeps on a shelf, under its number."""

    id: int


class Hardware(BaseModel):
    """Facts of a slot that do not change."""

    gpu: str
    gpus: int
    gpu_shown_as: str  # to nvidia-smi
    gpu_ram: int  # MB usable, per GPU
    compute_capability: int  # times 100
    cuda: float
    driver: str
    gpu_arch: str = "nvidia"
    dlperf: float
    tflops: float
    gpu_fraction: float
    cpu: str
    cpu_cores: int
    cpu_share: float
    ram: int  # MB
    disk: float  # GB
    disk_speed: float  # MB/s
    upload: float  # Mbit/s
    download: float  # Mbit/s
    reliability: float
    verified: bool
    datacenter: bool
    region: str
    public_ip: str


class Rival(BaseModel):
    """Somebody else who wants a slot. Without a bid they rent on demand and outrank every bid."""

    bid: Decimal | None = None
    until: datetime | None = None


class Slot(Numbered):
    """A share of a machine as it stands on the market."""

    ask_id: int  # the id under which it is offered now; each rental uses one up
    machine_id: int
    host_id: int
    hardware: Hardware
    price: Decimal
    min_bid: Decimal
    storage_price: Decimal  # per GB and month of 30 days
    listed_at: datetime
    contract_end: datetime
    withdrawn: bool = False
    offline: bool = False
    flaw: Flaw | None = None
    rival: Rival | None = None
    kind: str = ""  # the provider's own name for such a machine, where machines come in kinds


class Order(BaseModel):
    """What a tenant asked for."""

    image: str
    disk: Decimal = Decimal(10)  # GB
    label: str | None = None
    bid: Decimal | None = None  # present: interruptible
    environment: dict[str, str] = Field(default_factory=dict)
    onstart: str | None = None
    runtype: str = "ssh"
    wish: Wish = Wish.RUNNING
    gpus: int | None = None  # of the slot's; None: all
    gpu_rate: Decimal | None = None  # where the provider's price depends on what is ordered; None: the slot's
    storage_rate: Decimal | None = None
    least_seconds: int = 0  # of running are charged each time that it comes up
    reserved: bool = False  # the GPUs are charged for as long as they are held, whether the machine runs or not


class OldWord(BaseModel):
    """What the provider still says, until when."""

    container: Container
    until: datetime


class Instance(Numbered):
    """One tenancy, from its acceptance to its destruction."""

    slot_id: int
    machine_id: int
    ask_id: int
    order: Order
    bid: Decimal | None
    gpu_rate: Decimal
    storage_rate: Decimal
    api_key: str
    keys: dict[int, str] = Field(default_factory=dict)
    created_at: datetime
    visible_at: datetime
    contract_end: datetime
    label: str | None
    wish: Wish
    granted: bool = False
    container: Container = Container.ABSENT
    stop: Stop | None = None
    message: str | None = None
    loading_at: datetime | None = None
    ready_at: datetime | None = None  # None while loading: it never will be
    started_at: datetime | None = None
    port: int | None = None
    boots: int = 0
    wipe: bool = False  # its disk is to be emptied before it comes up again
    seed: str | None = None  # a folder with what a new disk of it begins with
    address: str = "127.0.0.1"  # where its host listens
    alias: str = ""  # the name or UUID by which the provider's API calls it; "": by its number
    notes: dict[str, Any] = Field(default_factory=dict)  # what only the provider's own wire layer keeps of it
    old_word: OldWord | None = None
    death_word: Container = Container.EXITED
    cut: bool = False
    bytes_per_second: int | None = None
    destroyed_at: datetime | None = None

    @property
    def rests(self) -> bool:
        """Whether it is shut down and holds its GPUs nevertheless."""
        return self.granted and self.wish is Wish.STOPPED

    @property
    def interruptible(self) -> bool:
        """Whether a higher bid or an on-demand tenant may take its GPUs."""
        return self.bid is not None

    def said(self, slot: Slot, now: datetime) -> Container:
        """What the provider says the container does, which may lag behind the truth."""
        if slot.offline:
            return Container.OFFLINE
        if self.old_word is not None and now < self.old_word.until:
            return self.old_word.container
        return self.death_word if self.stop is Stop.DIED else self.container


class Holding(Numbered):
    """What costs money by its size alone for as long as it exists, and is no machine: a disk by itself, a snapshot.

    It takes its number from the same row as the instances do.
    """

    label: str | None
    rate: Decimal
    since: datetime


class Period(Numbered):
    """A stretch of one instance's life at constant rates. Open while ``end`` is None."""

    instance_id: int
    label: str | None
    state: Container
    gpu_rate: Decimal
    storage_rate: Decimal
    start: datetime
    end: datetime | None = None
    least_seconds: int = 0  # of it the GPUs are charged for at least


class AccountKey(Numbered):
    """An SSH public key of the account."""

    key: str
    created_at: datetime


class Trouble(StrEnum):
    """Ways in which the provider's API can fail."""

    LOST_RESPONSE = "lost_response"
    ACCEPTED_TWICE = "accepted_twice"
    HTTP_ERROR = "http_error"
    TOO_FREQUENT = "too_frequent"
    EMPTY_LIST = "empty_list"
    OTHER_SHAPE = "other_shape"  # status 200 and JSON that is not what was promised
    REFUSED_AS_OK = "refused_as_ok"  # status 200, and the body says that it failed
    LATENCY = "latency"
    DOWN = "down"


class Fault(Numbered):
    """One scripted failure of the API."""

    trouble: Trouble
    endpoint: str | None = None  # an endpoint's name, or None for all
    times: int | None = 1  # how often it strikes; None: until it expires or is cleared
    until: datetime | None = None
    status: int = 502
    seconds: Decimal = Decimal(0)


class Account(Numbered):
    """The tenant's account and the market's own adjustable habits."""

    id: int = 1
    credit: Decimal  # before the bill
    settled: Decimal = Decimal(0)  # the cost of all closed periods
    listing_lag: Decimal = Decimal(0)  # seconds
    notes: dict[str, Any] = Field(default_factory=dict)  # what only the provider's own wire layer keeps of it
