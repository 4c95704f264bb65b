"""Renting effectively once, although Vast.ai has no idempotency key: the label stands in for it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.contracts.machines import Instance, InstanceState, LaunchOrder, LaunchResult, Terms
from holdfast.providers.errors import LaunchUnsettled, ProviderUnavailable, RateLimited, RequestRejected
from holdfast.providers.vast.answers import Refused, Unpaid, contract_of
from holdfast.providers.vast.client import VastClient
from holdfast.providers.vast.endpoints import DESTROY, RENT
from holdfast.providers.vast.fleet import Fleet
from holdfast.providers.vast.keys import SshKeys
from holdfast.providers.vast.states import instance_of
from holdfast.providers.vast.wire import InstanceRow
from holdfast.providers.wrappers.web import NotSent

Sleep = Callable[[float], Awaitable[None]]

_SMALLEST_DISK = 8
_POLL = 1.0
_ORPHAN_PATIENCE = 60.0  # seconds in which a machine that must not exist is expected to go
# What a refused bid leaves behind, what lost its bid before anybody used it, and what has no image or driver to run.
_CANNOT_RUN = (InstanceState.STOPPED, InstanceState.INTERRUPTED, InstanceState.FAILED)


class Launcher:
    """Rents an offer under a label, or adopts what already wears the label."""

    def __init__(
        self,
        client: VastClient,
        fleet: Fleet,
        *,
        provider: str,
        listing_lag: timedelta,
        clock: Callable[[], float],
        sleep: Sleep,
    ) -> None:
        self._client = client
        self._fleet = fleet
        self._keys = SshKeys(client)
        self._provider = provider
        self._lag = listing_lag.total_seconds()
        self._clock = clock
        self._sleep = sleep

    async def launch(self, order: LaunchOrder) -> LaunchResult:
        """As `Provider.launch` promises. Waits for the listing lag only when an answer was, or may have been, lost."""
        if adopted := await (self._adopt_late(order) if order.repeated else self._adopt(order)):
            return adopted
        body = _body(order)
        await self._keys.ensure(order.ssh_public_key)
        try:
            answer = await self._client.call(RENT, number=int(order.offer.offer_id), body=body)
        except Refused as refusal:
            return await self._after_refusal(order, refusal)
        except Unpaid as unpaid:
            await self._remove_left_behind(unpaid.contract)
            raise
        except (NotSent, RateLimited):
            raise  # nothing was rented
        except ProviderUnavailable as lost:
            return await self._settle(order, lost)
        contract = contract_of(answer)
        if contract is None:
            return await self._settle(order, ProviderUnavailable("Vast.ai rented without naming the instance"))
        return LaunchResult(instance=self._newborn(order, contract))

    async def remove(self, number: int) -> bool:
        """Ask for the end of an instance; True once Vast.ai does not know it."""
        try:
            await self._client.call(DESTROY, number=number, body={})
        except Refused as refusal:
            if not refusal.no_such_instance:
                raise
        return await self._fleet.show(number) is None

    async def _after_refusal(self, order: LaunchOrder, refusal: Refused) -> LaunchResult:
        await self._remove_left_behind(refusal.contract)
        if refusal.contract is not None:
            return LaunchResult(refusal=f"bid refused: {refusal}")
        if refusal.no_such_offer:
            return LaunchResult(refusal=f"offer gone: {refusal}")
        if refusal.code == "invalid_price":
            return LaunchResult(refusal=f"bid refused: {refusal}")
        if refusal.code.startswith("invalid_") or refusal.status != 200:
            raise refusal
        return await self._settle(order, refusal)

    async def _settle(self, order: LaunchOrder, cause: Exception) -> LaunchResult:
        """The answer was lost: what was rented, if anything, wears the label."""
        try:
            adopted = await self._adopt_late(order)
        except ProviderUnavailable as still:
            cause = still
            adopted = None
        if adopted is None:
            message = f"whether {order.label} was rented is not known, and it is not in the list: {cause}"
            raise LaunchUnsettled(message) from cause
        return adopted

    async def _adopt_late(self, order: LaunchOrder) -> LaunchResult | None:
        """Look for the label until a machine rented by now must be listed. The last look has to get an answer."""
        until = self._clock() + self._lag
        while self._clock() < until:
            if adopted := await self._adopt_if_listed(order):
                return adopted
            await self._sleep(_POLL)
        return await self._adopt(order)

    async def _adopt_if_listed(self, order: LaunchOrder) -> LaunchResult | None:
        try:
            return await self._adopt(order)
        except ProviderUnavailable:
            return None  # as good as an empty list for now: the caller looks again

    async def _adopt(self, order: LaunchOrder) -> LaunchResult | None:
        """Take the oldest instance that wears the label and can run; any other was rented by mistake and goes.

        Where none can run, an earlier try of this order was refused and could not finish cleaning up.
        """
        wearing = [(row, self._seen(row)) for row in await self._fleet.every(order.label)]
        kept = next((row for row, seen in wearing if seen.state not in _CANNOT_RUN), None)
        for row, _ in wearing:
            if row is not kept:
                await self._remove_for_good(row.id)
        if kept is not None:
            await self._keys.attach(kept.id, order.ssh_public_key)
            return LaunchResult(instance=self._seen(kept), adopted=True)
        left = "; ".join(seen.detail for _, seen in wearing)
        return LaunchResult(refusal=f"rented, but it cannot run: {left}") if wearing else None

    async def _remove_left_behind(self, orphan: int | None) -> None:
        """A refused order may have left a stopped machine behind, whose disk is billed."""
        if orphan is not None:
            await self._remove_for_good(orphan)

    async def _remove_for_good(self, number: int) -> None:
        until = self._clock() + _ORPHAN_PATIENCE
        while not await self.remove(number):
            if self._clock() >= until:
                raise LaunchUnsettled(f"instance {number} is left over and does not go away")
            await self._sleep(_POLL)

    def _seen(self, row: InstanceRow) -> Instance:
        return instance_of(row, provider=self._provider, now=datetime.now(UTC))

    def _newborn(self, order: LaunchOrder, contract: int) -> Instance:
        """What is known of a machine at the moment when its rental was accepted."""
        offer = order.offer
        return Instance(
            provider=self._provider,
            instance_id=str(contract),
            state=InstanceState.STARTING,
            detail="accepted",
            label=order.label,
            machine_id=offer.machine_id,
            host_id=offer.host_id,
            gpu=offer.gpu,
            gpu_count=offer.gpu_count,
            region=offer.region,
            terms=offer.terms,
            hourly=offer.hourly,
            contract_ends=offer.contract_ends,
            storage_hourly=offer.storage_hourly,
            charged=offer.storage_hourly,
        )


def _body(order: LaunchOrder) -> dict[str, Any]:
    body: dict[str, Any] = {
        "client_id": "me",
        "image": order.image,
        "disk": max(order.disk_gb, _SMALLEST_DISK),
        "label": order.label,
        "env": {},
        "runtype": "ssh_direc ssh_proxy",
        "onstart": order.onstart,
        "target_state": "running",
        # Now or not at all: a machine that starts in an hour would be billed for nobody.
        "cancel_unavail": True,
    }
    if order.offer.terms is Terms.INTERRUPTIBLE:
        if order.offer.bid is None:
            raise RequestRejected(f"offer {order.offer.offer_id} is interruptible and names no bid")
        # The presence of a price is what makes a machine interruptible, whatever the search was for.
        body["price"] = float(order.offer.bid)
    return body
