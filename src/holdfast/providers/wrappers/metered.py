"""Counts and times every verb of a provider."""

from collections.abc import Sequence
from decimal import Decimal
from typing import cast

from holdfast.contracts.machines import Instance, LaunchOrder, LaunchResult, Offer, Requirements
from holdfast.providers.base import Capabilities, ChangesBid, Pauses, Provider
from holdfast.telemetry.metrics import Metrics


def metered(provider: Provider, metrics: Metrics) -> Provider:
    """The same provider, with the same abilities, that tells `metrics` of every call."""
    abilities = (isinstance(provider, Pauses), isinstance(provider, ChangesBid))
    return _CLASSES[abilities](provider, metrics)


class _Metered:
    def __init__(self, provider: Provider, metrics: Metrics) -> None:
        self._provider = provider
        self._metrics = metrics

    @property
    def name(self) -> str:
        return self._provider.name

    @property
    def capabilities(self) -> Capabilities:
        return self._provider.capabilities

    async def search_offers(self, needs: Requirements) -> Sequence[Offer]:
        with self._metrics.timed_provider_call(self.name, "search_offers"):
            return await self._provider.search_offers(needs)

    async def launch(self, order: LaunchOrder) -> LaunchResult:
        with self._metrics.timed_provider_call(self.name, "launch"):
            return await self._provider.launch(order)

    async def inspect(self, instance_id: str) -> Instance:
        with self._metrics.timed_provider_call(self.name, "inspect"):
            return await self._provider.inspect(instance_id)

    async def list_owned(self, label: str | None = None) -> Sequence[Instance]:
        with self._metrics.timed_provider_call(self.name, "list_owned"):
            return await self._provider.list_owned(label)

    async def destroy(self, instance_id: str) -> bool:
        with self._metrics.timed_provider_call(self.name, "destroy"):
            return await self._provider.destroy(instance_id)

    async def close(self) -> None:
        await self._provider.close()


class _MeteredPauses(_Metered):
    async def stop(self, instance_id: str) -> None:
        with self._metrics.timed_provider_call(self.name, "stop"):
            await cast(Pauses, self._provider).stop(instance_id)

    async def start(self, instance_id: str) -> Instance:
        with self._metrics.timed_provider_call(self.name, "start"):
            return await cast(Pauses, self._provider).start(instance_id)


class _MeteredBids(_Metered):
    async def change_bid(self, instance_id: str, hourly: Decimal) -> None:
        with self._metrics.timed_provider_call(self.name, "change_bid"):
            await cast(ChangesBid, self._provider).change_bid(instance_id, hourly)


class _MeteredBoth(_MeteredPauses, _MeteredBids):
    pass


# A wrapper that had methods which its provider lacks would lie to `isinstance`, hence one class for each pair.
_CLASSES: dict[tuple[bool, bool], type[_Metered]] = {
    (False, False): _Metered,
    (True, False): _MeteredPauses,
    (False, True): _MeteredBids,
    (True, True): _MeteredBoth,
}
