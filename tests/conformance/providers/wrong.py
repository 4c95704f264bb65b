"""Drivers with one mistake each, of the kind that real clients make. The suite must find every one."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

from holdfast.contracts.machines import (
    Instance,
    InstanceState,
    LaunchOrder,
    LaunchResult,
    Offer,
    Requirements,
)
from holdfast.providers.base import Provider
from holdfast.providers.errors import CredentialsRefused, LaunchUnsettled, ProviderError, ProviderUnavailable

_tries = count(1)


class Wrapped:
    """A right driver, to be spoilt in one verb."""

    def __init__(self, right: Provider) -> None:
        self.right = right

    def __getattr__(self, name: str) -> Any:
        return getattr(self.right, name)


class TakesSilenceForAbsence(Wrapped):
    """Whatever goes wrong, the machine must be gone."""

    async def inspect(self, instance_id: str) -> Instance:
        try:
            return await self.right.inspect(instance_id)
        except ProviderError:
            return Instance(provider=self.right.name, instance_id=instance_id, state=InstanceState.GONE)


class TakesSilenceForNobody(Wrapped):
    """A list that cannot be had is empty."""

    async def list_owned(self, label: str | None = None) -> Sequence[Instance]:
        try:
            return await self.right.list_owned(label)
        except ProviderError:
            return []


class TakesSilenceForNoMarket(Wrapped):
    """A search that fails has found nothing."""

    async def search_offers(self, needs: Requirements) -> Sequence[Offer]:
        try:
            return await self.right.search_offers(needs)
        except ProviderUnavailable:
            return []


class AsksOnce(Wrapped):
    """To have asked for the end is enough."""

    async def destroy(self, instance_id: str) -> bool:
        with suppress(ProviderError):
            await self.right.destroy(instance_id)
        return True


class ForgetsLabels(Wrapped):
    """Every try is an order of its own."""

    async def launch(self, order: LaunchOrder) -> LaunchResult:
        return await self.right.launch(replace(order, label=f"forgetful-{next(_tries)}.e1"))


class TakesSilenceForRefusal(Wrapped):
    """An order whose answer was lost has rented nothing."""

    async def launch(self, order: LaunchOrder) -> LaunchResult:
        try:
            return await self.right.launch(order)
        except (LaunchUnsettled, ProviderUnavailable) as lost:
            return LaunchResult(refusal=str(lost))


class BelievesFilters(Wrapped):
    """What the provider sends will fit."""

    async def search_offers(self, needs: Requirements) -> Sequence[Offer]:
        return await self.right.search_offers(replace(needs, gpu=None, max_hourly=None))


class TakesAWrongKeyForRefusal(Wrapped):
    """A no is a no."""

    async def search_offers(self, needs: Requirements) -> Sequence[Offer]:
        try:
            return await self.right.search_offers(needs)
        except CredentialsRefused:
            return []


class SaysTooMuch(Wrapped):
    """Its flags promise what it cannot do."""

    @property
    def capabilities(self) -> Any:
        said = self.right.capabilities
        return replace(said, snapshots=not said.snapshots)
