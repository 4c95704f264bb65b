"""Renting effectively once, although TensorDock has no idempotency key and names may repeat: the name is the label."""

import re
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from holdfast.contracts.machines import Instance, InstanceState, LaunchOrder, LaunchResult, Terms
from holdfast.providers.errors import LaunchUnsettled, ProviderUnavailable, RateLimited
from holdfast.providers.tensordock import nodes
from holdfast.providers.tensordock.answers import NotFound, Refused
from holdfast.providers.tensordock.client import TensorDockClient
from holdfast.providers.tensordock.endpoints import DELETE, DEPLOY
from holdfast.providers.tensordock.fleet import Fleet, checked
from holdfast.providers.tensordock.offers import parts_of
from holdfast.providers.tensordock.sizes import Size, price_of, shortage, size_of
from holdfast.providers.tensordock.states import state_of
from holdfast.providers.tensordock.wire import HostnodeRow, InstanceRow, one_of, read
from holdfast.providers.wrappers.web import NotSent

Sleep = Callable[[float], Awaitable[None]]

_POLL = 1.0
_ORPHAN_PATIENCE = 60.0  # seconds in which a machine that must not exist is expected to go
# What a deploy that failed half-way, or a death before anybody used it, leaves behind.
_CANNOT_RUN = (InstanceState.STOPPED, InstanceState.STOPPING, InstanceState.INTERRUPTED, InstanceState.FAILED)
_KIND = "virtualmachine"
_SSH = 22
# Words about the order itself. Whatever else is refused may be accepted by another node.
_OUR_MISTAKE = re.compile(r"\b(ssh_key\w*|image|name|cloud_init)\b.*\b(must|required|invalid|limited)\b", re.IGNORECASE)


class Launcher:
    """Rents an offer under a label, or adopts what already wears the label."""

    def __init__(
        self,
        client: TensorDockClient,
        fleet: Fleet,
        *,
        provider: str,
        image: str,
        lag: float,
        clock: Callable[[], float],
        sleep: Sleep,
    ) -> None:
        self._client = client
        self._fleet = fleet
        self._provider = provider
        self._image = image
        self._lag = lag  # seconds in which a new machine may be missing from the list
        self._clock = clock
        self._sleep = sleep

    async def launch(self, order: LaunchOrder) -> LaunchResult:
        """As `Provider.launch` promises. Waits for the listing lag only when an answer was, or may have been, lost."""
        if adopted := await (self._adopt_late(order) if order.repeated else self._adopt(order)):
            return adopted
        size, node = size_of(order), await nodes.one(self._client, parts_of(order.offer.offer_id)[0])
        if node is None or (changed := _change(order, size, node)):
            return LaunchResult(refusal=f"offer gone: {changed if node else 'TensorDock does not know its host node'}")
        try:
            answer = await self._client.call(DEPLOY, body=self._body(order, size, node))
        except Refused as refusal:
            return await self._after_refusal(order, refusal)
        except (NotSent, RateLimited):
            raise  # nothing was rented
        except ProviderUnavailable as lost:
            return await self._settle(order, lost)
        row = read(InstanceRow, {"status": "queued"} | one_of(answer))
        if row is None:
            return await self._settle(order, ProviderUnavailable("TensorDock rented without naming the machine"))
        return LaunchResult(instance=_newborn(order, row, self._provider))

    async def remove(self, number: str) -> bool:
        """Ask for the end of a machine; True once TensorDock does not know it."""
        try:
            await self._client.call(DELETE, about=checked(number))
        except NotFound:
            return await self._fleet.find(number) is None
        except Refused:
            # It may be on its way out already, and refuse to be ended twice: then only the next look can tell.
            if await self._fleet.find(number) is None:
                return True
            raise
        return await self._fleet.find(number) is None

    async def _after_refusal(self, order: LaunchOrder, refusal: Refused) -> LaunchResult:
        """Nothing should have been made. A look at the list shows what was, now or by an earlier try."""
        if left := await self._adopt(order):
            return left
        if _OUR_MISTAKE.search(str(refusal)):
            raise refusal
        return LaunchResult(refusal=f"offer gone: {refusal}")

    async def _settle(self, order: LaunchOrder, cause: Exception) -> LaunchResult:
        """The answer was lost: what was rented, if anything, wears the label."""
        try:
            adopted = await self._adopt_late(order)
        except ProviderUnavailable as still:
            cause, adopted = still, None
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
        """Take the first machine that wears the label and can run; any other was rented by mistake and goes.

        Where none can run, an earlier try of this order failed and could not finish cleaning up.
        """
        wearing = await self._fleet.every(order.label)
        kept = next((row for row in wearing if state_of(row) not in _CANNOT_RUN), None)
        for row in wearing:
            if row is not kept:
                await self._remove_for_good(row.id)
        if kept is not None:
            return LaunchResult(instance=_newborn(order, kept, self._provider), adopted=True)
        left = "; ".join(row.status for row in wearing)
        return LaunchResult(refusal=f"rented, but it cannot run: {left}") if wearing else None

    async def _remove_for_good(self, number: str) -> None:
        until = self._clock() + _ORPHAN_PATIENCE
        while not await self.remove(number):
            if self._clock() >= until:
                raise LaunchUnsettled(f"machine {number} is left over and does not go away")
            await self._sleep(_POLL)

    def _body(self, order: LaunchOrder, size: Size, node: HostnodeRow) -> dict[str, Any]:
        wanted: dict[str, Any] = {
            "name": order.label,
            "type": _KIND,
            # A machine image of the settings: TensorDock runs no containers.
            "image": self._image,
            "resources": {
                "vcpu_count": size.vcpus,
                "ram_gb": size.memory_gb,
                "storage_gb": size.disk_gb,
                "gpus": {parts_of(order.offer.offer_id)[1]: {"count": size.gpus}},
            },
            "hostnode_id": node.id,
            "useDedicatedIp": False,
            "port_forwards": _forwards(order.label, node),
            "ssh_key": order.ssh_public_key.strip(),
        }
        if order.onstart:
            wanted["cloud_init"] = {"runcmd": [order.onstart]}
        return {"data": {"type": _KIND, "attributes": wanted}}


def _change(order: LaunchOrder, size: Size, node: HostnodeRow) -> str:
    """Why a node does not give any more what it offered; "" when it does."""
    wanted = parts_of(order.offer.offer_id)[1]
    gpus = next((each for each in node.available_resources.gpus if each.v0_name == wanted), None)
    if gpus is None:
        return f"its host node has no {order.offer.gpu} any more"
    if lacks := shortage(size, gpus, node.available_resources):
        return lacks
    hourly, _ = price_of(size, gpus, node)
    as_offered = size.disk_gb <= order.offer.disk_gb
    return f"it costs ${hourly}/h by now" if as_offered and hourly > order.offer.hourly else ""


def _forwards(label: str, node: HostnodeRow) -> list[dict[str, int]]:
    """A way in for SSH. Two launches at a time should not ask for the same port, so the label chooses."""
    ports = node.available_resources.available_ports
    if not ports:
        return []
    return [{"internal_port": _SSH, "external_port": ports[zlib.crc32(label.encode()) % len(ports)]}]


def _newborn(order: LaunchOrder, row: InstanceRow, provider: str) -> Instance:
    """What is known of a machine by its order, for lists and the answers to orders tell little."""
    offer = order.offer
    return Instance(
        provider=provider,
        instance_id=row.id,
        state=state_of(row),
        detail=row.status,
        label=order.label,
        machine_id=offer.machine_id,
        host_id=offer.host_id,
        gpu=offer.gpu,
        gpu_count=offer.gpu_count,
        region=offer.region,
        terms=Terms.ON_DEMAND,
        hourly=offer.hourly,
        storage_hourly=offer.storage_hourly,
        charged=offer.hourly,
    )
