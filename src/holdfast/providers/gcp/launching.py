"""Renting effectively once: Google gives a name once in a zone, and an order's name is made of its label.

A label is claimed for one offer, so all tries of an order are for one zone: there its machine is, or is nowhere.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from holdfast.contracts.machines import Instance, InstanceState, LaunchOrder, LaunchResult, Terms
from holdfast.providers.errors import LaunchUnsettled, ProviderUnavailable, RateLimited, RequestRejected
from holdfast.providers.gcp import operations
from holdfast.providers.gcp.answers import NameTaken, NoQuota, NotFound, Refused
from holdfast.providers.gcp.client import GcpClient
from holdfast.providers.gcp.config import LOGIN
from holdfast.providers.gcp.endpoints import DELETE, INSERT
from holdfast.providers.gcp.fleet import Fleet, checked
from holdfast.providers.gcp.kinds import Kind, kind_of
from holdfast.providers.gcp.names import LABEL_KEY, instance_id, label_of, name_of, request_id, wire_label
from holdfast.providers.gcp.offers import disk_for
from holdfast.providers.gcp.operations import Operations, Sleep, errors_of, words_of
from holdfast.providers.gcp.snapshots import SNAPSHOTS
from holdfast.providers.gcp.states import instance_of, label_worn, state_of
from holdfast.providers.gcp.wire import OperationError
from holdfast.providers.wrappers.web import NotSent

NOTICE_KEY = "holdfast-notice"
"""The metadata by which a machine knows how much notice was ordered for it, in seconds: the agent reads it."""

_POLL = 1.0
_ORPHAN_PATIENCE = 120.0  # seconds in which a machine that must not exist is expected to go
_CANNOT_RUN = (InstanceState.STOPPED, InstanceState.STOPPING, InstanceState.INTERRUPTED, InstanceState.FAILED)


_OURS_TO_NAME = re.compile(r"/(images|networks|subnetworks|snapshots)/")


class Launcher:
    """Rents an offer under a label, or adopts what already wears the label."""

    def __init__(
        self,
        client: GcpClient,
        fleet: Fleet,
        follower: Operations,
        *,
        provider: str,
        image: str,
        network: str,
        ssh_port: int,
        notice: timedelta,
        clock: Callable[[], float],
        sleep: Sleep,
    ) -> None:
        self._client = client
        self._fleet = fleet
        self._operations = follower
        self._provider = provider
        self._image = image
        self._network = network
        self._ssh_port = ssh_port
        self._notice = notice
        self._clock = clock
        self._sleep = sleep

    async def launch(self, order: LaunchOrder) -> LaunchResult:
        """As `Provider.launch` promises."""
        kind = kind_of(order.offer.offer_id)
        if kind is None:
            raise RequestRejected(f"{order.offer.offer_id!r} is no offer of Google's")
        number = instance_id(await self._client.project(), kind.zone, name_of(order.label))
        if adopted := await self._adopt(order, number):
            return adopted
        try:
            answer = await self._insert(order, kind)
        except NameTaken:
            return await self._settle(order, number, "Google says that it exists")
        except (NotSent, RateLimited):
            raise  # nothing was rented
        except (NoQuota, NotFound) as refused:
            if _OURS_TO_NAME.search(str(refused)):
                raise  # it is the settings that name what does not exist: no other zone would take the order
            # An earlier try may have been accepted without our hearing of it, and have used the quota up itself.
            return await self._adopt(order, number) or LaunchResult(refusal=f"offer gone: {refused}")
        except Refused as refused:
            return await self._refused(order, number, refused)
        except ProviderUnavailable as lost:
            return await self._settle(order, number, str(lost))
        return await self._outcome(order, kind, number, answer)

    async def remove(self, number: str) -> bool:
        """Ask for the end of a machine; True once Google does not know it."""
        zone, name = checked(number)
        row = await self._fleet.find(number)
        if row is None:
            return True
        with suppress(NotFound):  # somebody else was quicker; the look below tells
            await self._client.call(DELETE, zone=zone, name=name)
        return await self._fleet.find(number) is None

    async def _insert(self, order: LaunchOrder, kind: Kind) -> dict[str, Any]:
        params = {"requestId": request_id(order.label, f"insert/{order.offer.offer_id}")}
        return await self._client.call(INSERT, zone=kind.zone, params=params, body=self._body(order, kind))

    async def _outcome(self, order: LaunchOrder, kind: Kind, number: str, answer: dict[str, Any]) -> LaunchResult:
        """What became of an accepted order: an answer with status 200 is not yet a machine."""
        try:
            errors = errors_of(await self._operations.followed(kind.zone, answer))
        except ProviderUnavailable as lost:
            return await self._settle(order, number, str(lost))
        if errors:
            return await self._came_to_nothing(order, number, errors)
        return LaunchResult(instance=_newborn(order, kind, number, self._provider))

    async def _came_to_nothing(self, order: LaunchOrder, number: str, errors: list[OperationError]) -> LaunchResult:
        if any(each.code == operations.TAKEN for each in errors):
            return await self._settle(order, number, words_of(errors))
        # Google removes what a failed order made; that it did is not documented.
        await self._remove_for_good(number)
        return LaunchResult(refusal=f"offer gone: {words_of(errors)}")

    async def _refused(self, order: LaunchOrder, number: str, refused: Refused) -> LaunchResult:
        """The order is wrong; unless an earlier try of it was accepted nevertheless."""
        if adopted := await self._adopt(order, number):
            return adopted
        raise refused

    async def _settle(self, order: LaunchOrder, number: str, cause: str) -> LaunchResult:
        """The answer was lost: what was rented, if anything, has the name."""
        message = f"whether {order.label} was rented is not known: {cause}"
        try:
            adopted = await self._adopt(order, number)
        except ProviderUnavailable as still:
            raise LaunchUnsettled(f"{message}; and {still}") from still
        if adopted is None:
            raise LaunchUnsettled(message)
        return adopted

    async def _adopt(self, order: LaunchOrder, number: str) -> LaunchResult | None:
        """Take the machine of this name if it can run; one that cannot goes. Raises RequestRejected for a stranger."""
        row = await self._fleet.find(number)
        if row is None:
            return None
        if label_of(label_worn(row)) != order.label:
            raise RequestRejected(f"{number} exists at Google and does not wear the label {order.label}: not ours")
        if state_of(row) in _CANNOT_RUN:
            await self._remove_for_good(number)
            return LaunchResult(refusal=f"rented, but it cannot run: {row.status}")
        found = instance_of(row, provider=self._provider, ssh_port=self._ssh_port)
        return LaunchResult(instance=_adopted(order, found), adopted=True)

    async def _remove_for_good(self, number: str) -> None:
        until = self._clock() + _ORPHAN_PATIENCE
        while not await self.remove(number):
            if self._clock() >= until:
                raise LaunchUnsettled(f"machine {number} is left over and does not go away")
            await self._sleep(_POLL)

    def _source(self, order: LaunchOrder) -> dict[str, str]:
        """What the disk begins as: a copy, or a machine image of the settings, for Google runs no containers."""
        if order.from_snapshot:
            return {"sourceSnapshot": SNAPSHOTS.format(order.from_snapshot)}
        return {"sourceImage": self._image}

    def _body(self, order: LaunchOrder, kind: Kind) -> dict[str, Any]:
        spot = order.offer.terms is Terms.INTERRUPTIBLE
        disk = disk_for(order.disk_gb)
        wanted: dict[str, Any] = {
            "name": name_of(order.label),
            "machineType": f"zones/{kind.zone}/machineTypes/{kind.machine}",
            "labels": {LABEL_KEY: wire_label(order.label)},
            "scheduling": _scheduling(spot=spot, gpus=order.offer.gpu_count, notice=self._notice),
            "disks": [
                {
                    "boot": True,
                    "autoDelete": True,  # a machine that is deleted leaves nothing that bills
                    "initializeParams": {
                        **self._source(order),
                        "diskSizeGb": str(disk),
                        "diskType": f"zones/{kind.zone}/diskTypes/pd-balanced",
                        "labels": {LABEL_KEY: wire_label(order.label)},
                    },
                }
            ],
            "networkInterfaces": [
                {"network": self._network, "accessConfigs": [{"type": "ONE_TO_ONE_NAT", "name": "External NAT"}]}
            ],
            "metadata": {"items": _metadata(order, notice=self._notice if spot else timedelta())},
        }
        if kind.attached:
            card = f"zones/{kind.zone}/acceleratorTypes/{kind.card}"
            wanted["guestAccelerators"] = [{"acceleratorType": card, "acceleratorCount": kind.count}]
        return wanted


def _scheduling(*, spot: bool, gpus: int, notice: timedelta) -> dict[str, Any]:
    found: dict[str, Any] = {"automaticRestart": False}  # the workload's own life decides
    if gpus or spot:
        found["onHostMaintenance"] = "TERMINATE"  # GPUs cannot be moved to another host
    if spot:
        found |= {"provisioningModel": "SPOT", "instanceTerminationAction": "STOP"}
    if spot and notice:
        found["preemptionNoticeDuration"] = {"seconds": str(int(notice.total_seconds()))}
    return found


def _metadata(order: LaunchOrder, *, notice: timedelta) -> list[dict[str, str]]:
    items = {
        "ssh-keys": f"{LOGIN}:{order.ssh_public_key.strip()}",
        "block-project-ssh-keys": "true",  # who may enter the project may not enter our machines by that
        "enable-oslogin": "false",
    }
    if notice:  # a machine is not told otherwise how long it has
        items[NOTICE_KEY] = str(int(notice.total_seconds()))
    if order.onstart:
        items["startup-script"] = order.onstart
    return [{"key": key, "value": value} for key, value in items.items()]


def _newborn(order: LaunchOrder, kind: Kind, number: str, provider: str) -> Instance:
    offer = order.offer
    return Instance(
        provider=provider,
        instance_id=number,
        state=InstanceState.STARTING,
        label=order.label,
        machine_id=kind.machine_id,
        gpu=offer.gpu,
        gpu_count=offer.gpu_count,
        region=offer.region,
        terms=offer.terms,
        hourly=offer.hourly,
        storage_hourly=offer.storage_hourly,
        charged=offer.storage_hourly,  # only a machine that runs is charged for
    )


def _adopted(order: LaunchOrder, found: Instance) -> Instance:
    """Which machine it is, the order knows: a row alone does not tell what it costs."""
    offer = order.offer
    return replace(
        found,
        gpu=offer.gpu,
        gpu_count=offer.gpu_count,
        hourly=offer.hourly,
        storage_hourly=offer.storage_hourly,
        charged=None,
    )
