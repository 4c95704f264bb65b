"""The wrapper that counts calls: the same abilities, each call with its outcome."""

from decimal import Decimal

import pytest
from prometheus_client import CollectorRegistry

from holdfast.contracts.machines import Instance, LaunchOrder, LaunchResult, Offer, Requirements
from holdfast.providers.base import Capabilities, ChangesBid, Pauses, Provider
from holdfast.providers.errors import ProviderUnavailable
from holdfast.providers.wrappers.metered import metered
from holdfast.telemetry.metrics import Metrics
from tests.unit.providers.wire import HTML, INSTANCE, YES, Wire, listing


class Plain:
    """A provider with the five verbs and nothing else."""

    name = "plain"
    capabilities = Capabilities()

    async def search_offers(self, needs: Requirements) -> list[Offer]:
        return []

    async def launch(self, order: LaunchOrder) -> LaunchResult:
        return LaunchResult(refusal="never")

    async def inspect(self, instance_id: str) -> Instance:
        raise ProviderUnavailable(instance_id)

    async def list_owned(self, label: str | None = None) -> list[Instance]:
        return []

    async def destroy(self, instance_id: str) -> bool:
        return True

    async def close(self) -> None:
        pass


class Pausing(Plain):
    async def stop(self, instance_id: str) -> None:
        pass

    async def start(self, instance_id: str) -> Instance:
        raise ProviderUnavailable(instance_id)


class Bidding(Plain):
    async def change_bid(self, instance_id: str, hourly: Decimal) -> None:
        pass


@pytest.mark.parametrize("provider", [Plain(), Pausing(), Bidding(), Wire().provider()])
def test_the_wrapper_has_exactly_the_abilities_of_what_it_wraps(provider: Provider) -> None:
    wrapped = metered(provider, Metrics(CollectorRegistry()))
    assert isinstance(wrapped, Pauses) == isinstance(provider, Pauses)
    assert isinstance(wrapped, ChangesBid) == isinstance(provider, ChangesBid)
    assert (wrapped.name, wrapped.capabilities) == (provider.name, provider.capabilities)


async def test_every_call_is_counted_with_its_outcome() -> None:
    registry = CollectorRegistry()
    wire = Wire(list=[listing(INSTANCE), HTML], change=YES)
    provider = metered(wire.provider(), Metrics(registry))
    assert len(await provider.list_owned()) == 1
    with pytest.raises(ProviderUnavailable):
        await provider.list_owned()
    assert isinstance(provider, Pauses)
    await provider.stop("1")
    counted = {
        (sample.labels["verb"], sample.labels["outcome"]): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "holdfast_provider_call_seconds_count"
    }
    assert counted == {("list_owned", "ok"): 1, ("list_owned", "ProviderUnavailable"): 1, ("stop", "ok"): 1}
