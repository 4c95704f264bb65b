"""The drivers under test: how the suite opens an account with each, and what it must know of its provider."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic import SecretStr

from holdfast.contracts.machines import InstanceState, Offer, Requirements, Terms
from holdfast.embedded import GOOGLE_KEY_FILE
from holdfast.providers.base import Provider
from holdfast.providers.conformance.subject import Subject, Verb
from holdfast.providers.gcp import driver as gcp
from holdfast.providers.gcp import endpoints as gcp_endpoints
from holdfast.providers.gcp.config import GcpConfig
from holdfast.providers.tensordock import driver as tensordock
from holdfast.providers.tensordock import endpoints as tensordock_endpoints
from holdfast.providers.tensordock.config import TensorDockConfig
from holdfast.providers.vast.config import VastConfig
from holdfast.providers.vast.driver import connect
from holdfast.providers.vast.endpoints import PACES
from holdfast.providers.wrappers.metered import metered
from holdfast.providers.wrappers.pacing import Pacer
from holdfast.simcloud.tensordock.names import node_id
from holdfast.telemetry.metrics import Metrics
from tests.simmarket import RunningMarket

LAG = timedelta(seconds=1)
"""The listing lag that a driver whose provider lists late is told to expect."""

Report = Mapping[str, Any]
"""What the market's control API tells of an instance or a slot."""


@dataclass
class QuickTime:
    """A clock that jumps when somebody sleeps: minimum intervals cost no real time."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def _key_of(market: RunningMarket) -> str:
    return market.api_key


def _id_of(report: Report) -> str:
    return str(report["alias"] or report["id"])


def _target_of(instance_id: str) -> str:
    return instance_id


def _is_slot_of(slot: Report, offer: Offer) -> bool:
    return str(slot["offer"]) == offer.offer_id


def _line(number: int, gpu: str, price: str) -> Mapping[str, object]:
    place = {"machine": 80000 + number, "host": 8, "region": "Mali, ML"}
    return {"gpu": gpu, "price": price, "bid": "0.05", "share": 0.01, "reliability": 0.5} | place


@dataclass(frozen=True, kw_only=True)
class Driver:
    """One driver, its provider, and how the simulated market's controls act on that provider.

    The defaults of the last four are for a market whose instances go by their alias or number, and whose slots are
    offered one by one.
    """

    subject: Subject
    open: Callable[[str, str], Provider]
    """From the market's base URL and its account's key."""
    calls: Mapping[Verb, tuple[str, ...]]
    """The names by which the wire layer's table knows the calls that serve a verb."""
    key_of: Callable[[RunningMarket], str] = _key_of
    """What opens the account."""
    id_of: Callable[[Report], str] = _id_of
    """An instance's id as the driver tells it."""
    target_of: Callable[[str], str] = _target_of
    """From the driver's id to what the control API calls the instance."""
    is_slot_of: Callable[[Report, Offer], bool] = _is_slot_of
    """Whether an offer rents this slot."""
    line: Callable[[int, str, str], Mapping[str, object]] = _line
    """One more slot for a crowd, by running number, GPU and price; all in a region of their own."""
    crowd_region: str = "ML"

    @property
    def name(self) -> str:
        """The provider's."""
        return self.subject.name


def _vast(url: str, key: str) -> Provider:
    time = QuickTime()
    config = VastConfig(api_key=SecretStr(key), base_url=url, listing_lag=LAG, answer_timeout=timedelta(seconds=1.5))
    pacer = Pacer(PACES, patience=timedelta(hours=1), clock=time.clock, sleep=time.sleep)
    # Metered as in production: the suite holds for the wrapper, too.
    return metered(connect(config, pacer=pacer), Metrics())


VAST = Driver(
    subject=Subject(
        name="vast",
        gpu="RTX 4090",
        never_was="4711",
        page=25,
        page_of_offers=64,
        searches=(
            Requirements(gpu_memory_gb=40, regions=("US", "NL")),
            Requirements(gpu="H100 SXM", gpu_count=8, terms=Terms.ON_DEMAND, memory_gb=256, cpu_cores=32),
            Requirements(min_reliability=0.99, max_hourly=Decimal("0.40"), min_download_mbps=700, disk_gb=100),
        ),
    ),
    open=_vast,
    calls={
        Verb.SEARCH: ("search",),
        Verb.RENT: ("rent",),
        Verb.FIND: ("list",),
        Verb.LIST: ("list",),
        Verb.SHOW: ("show",),
        Verb.DESTROY: ("destroy",),
        Verb.STOP: ("change",),
        Verb.START: ("change",),
    },
)


def _tensordock(url: str, key: str) -> Provider:
    time, secret = QuickTime(), SecretStr(key)
    config = TensorDockConfig(
        api_key=secret,
        legacy_key=secret,
        legacy_token=secret,
        base_url=f"{url}/tensordock",
        listing_lag=LAG,
        answer_timeout=timedelta(seconds=1.5),
    )
    pacer = Pacer(tensordock_endpoints.PACES, patience=timedelta(hours=1), clock=time.clock, sleep=time.sleep)
    return metered(tensordock.connect(config, pacer=pacer), Metrics())


def _stands_on(slot: Report, offer: Offer) -> bool:
    return node_id(int(slot["machine_id"])) == offer.machine_id


TENSORDOCK = Driver(
    subject=Subject(
        name="tensordock",
        gpu="RTX 4090",
        never_was="6f0d8c4e-6f2b-4a39-9b7f-2f3c0f9a1d55",
        searches=(
            Requirements(gpu_memory_gb=40, regions=("US", "NL"), terms=Terms.ON_DEMAND),
            Requirements(gpu="H100 SXM", gpu_count=8, terms=Terms.ON_DEMAND, memory_gb=126, cpu_cores=32),
            Requirements(min_reliability=0.99, max_hourly=Decimal("0.45"), disk_gb=200, terms=Terms.ON_DEMAND),
        ),
        terms=(Terms.ON_DEMAND,),
        bids=False,
        tells_machine=False,
        once_per_offer=False,
        when_host_dies=(InstanceState.STOPPED,),
        when_out_of_sight=None,
    ),
    open=_tensordock,
    calls={
        Verb.SEARCH: ("hostnodes",),
        Verb.RENT: ("deploy",),
        Verb.FIND: ("list",),
        Verb.LIST: ("list",),
        Verb.SHOW: ("show",),
        Verb.DESTROY: ("delete",),
        Verb.STOP: ("legacy_stop",),
        Verb.START: ("start",),
    },
    is_slot_of=_stands_on,
)


def _gcp(url: str, key: str) -> Provider:
    time = QuickTime()
    config = GcpConfig(
        key=SecretStr(key), compute_url=f"{url}/gcp", catalog_url=f"{url}/gcp", answer_timeout=timedelta(seconds=1.5)
    )
    pacer = Pacer(gcp_endpoints.PACES, patience=timedelta(hours=1), clock=time.clock, sleep=time.sleep)
    return metered(gcp.connect(config, pacer=pacer), Metrics())


def _holds(slot: Report, offer: Offer) -> bool:
    zone, _, _ = offer.machine_id.partition("/")
    return (slot["region"], slot["gpu"]) == (zone, f"{offer.gpu_count}x {offer.gpu}")


GCP = Driver(
    subject=Subject(
        name="gcp",
        gpu="L4",
        never_was="holdfast-sim/us-central1-a/never-was",
        searches=(
            Requirements(gpu_memory_gb=40, regions=("US", "NL"), max_hourly=Decimal(20)),
            Requirements(gpu="H100 SXM", gpu_count=8, terms=Terms.ON_DEMAND, memory_gb=256, cpu_cores=32),
            Requirements(gpu="T4", disk_gb=200, memory_gb=20),
        ),
        bids=False,
        prepaid=False,
        once_per_offer=False,
        when_host_dies=(InstanceState.EXITED,),
        when_out_of_sight=None,
        disk_gb=50,
    ),
    open=_gcp,
    key_of=lambda market: (market.data_dir / GOOGLE_KEY_FILE).read_text(),
    calls={
        Verb.SEARCH: ("machine_types",),
        Verb.RENT: ("insert",),
        Verb.FIND: ("get",),
        Verb.LIST: ("aggregated",),
        Verb.SHOW: ("get",),
        Verb.DESTROY: ("delete",),
        Verb.STOP: ("stop",),
        Verb.START: ("start",),
    },
    id_of=lambda report: f"holdfast-sim/{report['region']}/{report['alias']}",
    target_of=lambda instance_id: instance_id.split("/")[-1],
    is_slot_of=_holds,
)

DRIVERS = (VAST, TENSORDOCK, GCP)
