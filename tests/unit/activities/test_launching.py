"""A machine begins with the copy of a disk that its order names, as long as that can be had."""

from dataclasses import replace
from decimal import Decimal

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from holdfast.activities.machines import MachineActivities
from holdfast.contracts.activities import LaunchInput
from holdfast.contracts.machines import Instance, InstanceState, LaunchOrder, LaunchResult, Offer, Terms
from holdfast.providers.base import Capabilities, DiskSnapshot, Provider, SnapshotState
from holdfast.providers.errors import ProviderUnavailable, RequestRejected
from tests.unit.providers.test_metered import Plain

READY, GONE = SnapshotState.READY, SnapshotState.GONE
OFFER = Offer(
    provider="copying",
    offer_id="o",
    machine_id="m",
    gpu="L4",
    gpu_count=1,
    gpu_memory_gb=24,
    terms=Terms.ON_DEMAND,
    hourly=Decimal(1),
)
ORDER = LaunchInput(offer=OFFER, label="train.e2.m4rk", image="", disk_gb=20, from_snapshot="hf-train-1-m4rk")


class Renting(Plain):
    """A provider that rents what is ordered, and keeps no copies."""

    def __init__(self) -> None:
        self.orders: list[LaunchOrder] = []

    async def launch(self, order: LaunchOrder) -> LaunchResult:
        self.orders.append(order)
        return LaunchResult(instance=Instance(provider="copying", instance_id="i", state=InstanceState.STARTING))


class Copying(Renting):
    """One that keeps copies, or has them vanish before they are used."""

    capabilities = Capabilities(snapshots=True)

    def __init__(self, *states: SnapshotState) -> None:
        super().__init__()
        self.states = list(states)  # as they are told, one look after the other
        self.rejects = False
        self.is_silent = False

    async def launch(self, order: LaunchOrder) -> LaunchResult:
        launched = await super().launch(order)
        if self.rejects and order.from_snapshot:
            raise RequestRejected("the copy was not found")
        return launched

    async def find_snapshot(self, name: str) -> DiskSnapshot:
        if self.is_silent:
            raise ProviderUnavailable("no answer")
        return DiskSnapshot(name=name, state=self.states.pop(0), disk_gb=50.0)

    async def take_snapshot(self, instance_id: str, name: str) -> DiskSnapshot:
        return await self.find_snapshot(name)

    async def list_snapshots(self) -> list[DiskSnapshot]:
        return []

    async def drop_snapshot(self, name: str) -> bool:
        return True


async def launch(provider: Provider, order: LaunchInput = ORDER) -> LaunchResult:
    activities = MachineActivities(provider, ssh_public_key="ssh-ed25519 AAAA")
    return await ActivityEnvironment().run(activities.launch, order)


def begun(provider: Renting) -> list[tuple[str, int]]:
    return [(order.from_snapshot, order.disk_gb) for order in provider.orders]


async def test_a_disk_begins_as_the_copy_and_is_no_smaller() -> None:
    provider = Copying(READY)
    assert (await launch(provider)).from_snapshot == ORDER.from_snapshot
    assert begun(provider) == [(ORDER.from_snapshot, 50)]


@pytest.mark.parametrize("state", [GONE, SnapshotState.FAILED, SnapshotState.CREATING])
async def test_a_copy_that_is_not_whole_is_done_without(state: SnapshotState) -> None:
    provider = Copying(state)
    assert (await launch(provider)).from_snapshot == ""
    assert begun(provider) == [("", 20)]


async def test_a_copy_of_which_nobody_can_tell_is_done_without() -> None:
    provider = Copying()
    provider.is_silent = True
    assert (await launch(provider)).from_snapshot == ""
    assert begun(provider) == [("", 20)]


async def test_a_copy_that_vanishes_between_the_look_and_the_order_is_done_without() -> None:
    provider = Copying(READY, GONE)
    provider.rejects = True
    launched = await launch(provider)
    assert launched.instance is not None and launched.from_snapshot == ""
    assert begun(provider) == [(ORDER.from_snapshot, 50), ("", 20)]


async def test_an_order_that_is_wrong_for_another_reason_stays_wrong() -> None:
    provider = Copying(READY, READY)
    provider.rejects = True
    with pytest.raises(ApplicationError, match="not found"):
        await launch(provider)


async def test_a_provider_that_keeps_no_copies_is_asked_for_none() -> None:
    provider = Renting()
    assert (await launch(provider)).from_snapshot == ""
    assert begun(provider) == [("", 20)]


async def test_an_order_without_a_copy_is_an_order_as_ever() -> None:
    provider = Copying()
    assert (await launch(provider, replace(ORDER, from_snapshot=""))).from_snapshot == ""
    assert begun(provider) == [("", 20)]
