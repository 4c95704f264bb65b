"""The interface that every provider driver fulfils: five verbs, and its abilities as data.

What holds for every driver, and is tested by the conformance suite:

- Answers are facts, never hopes: an empty or odd reply raises `ProviderUnavailable`; it never means "no machines".
- Constraints are re-checked on what comes back; a provider that ignores a filter is not believed.
- Every verb may be repeated. `launch` looks for its label before it rents again; `destroy` is done when the
  provider does not know the instance.
- No verb retries by itself beyond what its own pacing needs; Temporal does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Protocol, runtime_checkable

from holdfast.contracts.machines import Instance, LaunchOrder, LaunchResult, Offer, Requirements


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a provider can do, for policy to read. No code outside a driver asks which provider it is."""

    interruptible: bool = False
    pauses: bool = False  # implements `Pauses`
    changes_bid: bool = False  # implements `ChangesBid`
    notice: timedelta | None = None  # warning given before an interruption; None: none
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
