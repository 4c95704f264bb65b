"""The interface that every provider driver fulfils: five verbs, and its abilities as data.

What holds for every driver, and is tested by the conformance suite:

- Answers are facts, never hopes: an empty or odd reply raises `ProviderUnavailable`; it never means "no machines".
- Constraints are re-checked on what comes back; a provider that ignores a filter is not believed.
- Every verb may be repeated. `launch` looks for its label before it rents again; `destroy` is done when the
  provider does not know the instance.
- No verb retries by itself beyond what its own pacing needs; Temporal does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol, runtime_checkable

from holdfast.contracts.machines import Instance, LaunchOrder, LaunchResult, Offer, Requirements, Terms
from holdfast.contracts.money import Charge


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a provider can do, for policy to read. No code outside a driver asks which provider it is."""

    interruptible: bool = False
    pauses: bool = False  # implements `Pauses`
    changes_bid: bool = False  # implements `ChangesBid`
    snapshots: bool = False  # implements `KeepsSnapshots`
    tells_prices: bool = False  # implements `TellsPrices`
    advises_capacity: bool = False  # implements `AdvisesCapacity`
    tells_charges: bool = False  # implements `TellsCharges`
    runs_images: bool = True  # `LaunchOrder.image` is a container image; else a machine image of its settings is used
    notice: timedelta | None = None  # warning given before an interruption; None: none
    shows_all: bool = False  # a search that names no GPU returns every offer; else only some of the cheapest
    finds_by_label: bool = True  # `list_owned` can be trusted to show labels
    listing_lag: timedelta = timedelta()  # how long a new instance may be missing from listings
    usually_ready_within: timedelta = timedelta(minutes=5)
    machine_can_end_itself: bool = False  # gives the machine a key that can destroy only itself


class Provider(Protocol):
    """One account at one provider. Safe for concurrent use in one event loop."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def search_offers(self, needs: Requirements) -> Sequence[Offer]:
        """Return offers that meet every need, cheapest first. An empty answer means that there are none."""
        ...

    async def launch(self, order: LaunchOrder) -> LaunchResult:
        """Rent the offer under its label, or adopt the instance that already wears the label and can run.

        A refusal (offer gone, bid too low) is an answer; a machine that a refused order left behind, in this
        call or an earlier one, is destroyed before the answer is given.

        Raises:
            LaunchUnsettled: the answer was lost and the label cannot be found; repeat the call.
        """
        ...

    async def inspect(self, instance_id: str) -> Instance:
        """Return the provider's present word; state GONE when it does not know the instance."""
        ...

    async def list_owned(self, label: str | None = None) -> Sequence[Instance]:
        """Return every instance of the account, or those with exactly this label. Complete, or an error."""
        ...

    async def destroy(self, instance_id: str) -> bool:
        """Ask for the end of the instance. True once the provider does not know it; call again until then."""
        ...

    async def close(self) -> None:
        """Release connections. The driver cannot be used afterwards."""
        ...


@runtime_checkable
class Pauses(Protocol):
    """A machine can be stopped with its disk kept, and started again, if its GPU is still free."""

    async def stop(self, instance_id: str) -> None: ...

    async def start(self, instance_id: str) -> Instance:
        """Ask for the start. State WAITING means that the GPU is taken by somebody else."""
        ...


@runtime_checkable
class ChangesBid(Protocol):
    """An interruptible machine's bid can be changed while it exists."""

    async def change_bid(self, instance_id: str, hourly: Decimal) -> None:
        """Bid `hourly` USD for the whole machine from now on."""
        ...


class SnapshotState(StrEnum):
    CREATING = "creating"
    READY = "ready"
    FAILED = "failed"
    GONE = "gone"  # the provider does not know it (any more)


@dataclass(frozen=True, kw_only=True)
class DiskSnapshot:
    """A copy of a machine's disk, kept apart from the machine. Billed until it is dropped."""

    name: str
    state: SnapshotState
    disk_gb: float | None = None
    taken_at: datetime | None = None
    detail: str = ""  # the provider's own words, for people


@runtime_checkable
class KeepsSnapshots(Protocol):
    """A machine's disk can be copied, and a machine be rented elsewhere that begins with that copy.

    `LaunchOrder.from_snapshot` names the copy. Use it only when READY.
    """

    async def take_snapshot(self, instance_id: str, name: str) -> DiskSnapshot:
        """Ask for a copy under this name; the same name again is the same copy."""
        ...

    async def find_snapshot(self, name: str) -> DiskSnapshot:
        """The provider's present word; state GONE when it does not know it."""
        ...

    async def list_snapshots(self) -> Sequence[DiskSnapshot]:
        """Every copy that wears our mark. Complete, or an error."""
        ...

    async def drop_snapshot(self, name: str) -> bool:
        """Ask for its end. True once the provider does not know it; call again until then."""
        ...


@dataclass(frozen=True, kw_only=True)
class PricePoint:
    """What a kind of machine cost at a moment, in USD per hour and GPU."""

    at: datetime
    gpu: str
    region: str = ""  # "" where the feed is of the whole market
    hourly: Decimal  # the median, or the only price that the feed tells
    low: Decimal | None = None  # the 10th percentile
    high: Decimal | None = None  # the 90th percentile
    terms: Terms = Terms.ON_DEMAND  # also where the feed does not tell terms apart


@runtime_checkable
class TellsPrices(Protocol):
    """The provider has a feed of its past prices."""

    async def price_history(self, gpu: str, since: datetime) -> Sequence[PricePoint]:
        """Oldest first; empty when the feed has nothing of this GPU."""
        ...


@runtime_checkable
class AdvisesCapacity(Protocol):
    """The provider estimates whether an offer could be rented now."""

    async def obtainability(self, offers: Sequence[Offer]) -> Mapping[str, float]:
        """From offer id to a likelihood between 0 and 1, for those of which the provider says anything."""
        ...


@runtime_checkable
class TellsCharges(Protocol):
    """The provider tells what it charges, machine by machine."""

    async def charges(self, since: datetime) -> Sequence[Charge]:
        """One for each machine that was charged for since then, with all that it cost from then on. Complete."""
        ...
