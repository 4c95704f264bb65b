"""Pebble: machines on demand, each under a name that the account can give only once."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from holdfast.contracts.machines import (
    Instance,
    InstanceState,
    LaunchOrder,
    LaunchResult,
    Offer,
    Requirements,
    SshAddress,
    Terms,
)
from holdfast.policy.fitness import misfit
from holdfast.providers.base import Capabilities
from holdfast.providers.errors import LaunchUnsettled, ProviderUnavailable, RateLimited
from holdfast.settings import ProviderSettings
from pebble.client import Conflict, NotFound, NotSent, PebbleClient

NAME = "pebble"
_STATES = {
    "booting": InstanceState.STARTING,
    "up": InstanceState.RUNNING,
    "dead": InstanceState.EXITED,
}


class PebbleProvider:
    """`Provider` for one Pebble account."""

    name = NAME
    capabilities = Capabilities(usually_ready_within=timedelta(minutes=1))

    def __init__(self, client: PebbleClient) -> None:
        self._client = client

    async def search_offers(self, needs: Requirements) -> Sequence[Offer]:
        rows = _rows(await self._client.call("GET", "/offers"), "offers")
        now, offers = datetime.now(UTC), [_offer(row) for row in rows]
        # Pebble filters by nothing. A provider that does is not believed either: each limit is checked here.
        fitting = [each for each in offers if not misfit(each, needs, now=now, avoid_machines=frozenset())]
        return sorted(fitting, key=lambda offer: (offer.hourly, offer.offer_id))

    async def launch(self, order: LaunchOrder) -> LaunchResult:
        if adopted := await self._adopt(order.label):
            return adopted
        body = {"offer": order.offer.offer_id, "name": order.label, "disk": order.disk_gb, "key": order.ssh_public_key}
        try:
            # Never repeated by itself: the name would refuse a second machine, but other providers' would not.
            row = await self._client.call("POST", "/machines", json=body, repeatable=False)
            return LaunchResult(instance=_instance(row))
        except (NotSent, RateLimited):
            raise  # nothing was rented
        except Conflict as refusal:
            return await self._adopt(order.label) or LaunchResult(refusal=f"offer gone: {refusal}")
        except ProviderUnavailable as lost:
            return await self._settle(order.label, lost)

    async def inspect(self, instance_id: str) -> Instance:
        try:
            return _instance(await self._client.call("GET", f"/machines/{instance_id}"))
        except NotFound:
            return Instance(provider=NAME, instance_id=instance_id, state=InstanceState.GONE, detail="not known")

    async def list_owned(self, label: str | None = None) -> Sequence[Instance]:
        body = await self._client.call("GET", "/machines", params={} if label is None else {"name": label})
        found = [_instance(row) for row in _rows(body, "machines")]
        return [each for each in found if label is None or each.label == label]

    async def destroy(self, instance_id: str) -> bool:
        try:
            await self._client.call("DELETE", f"/machines/{instance_id}")
        except NotFound:
            return True
        return (await self.inspect(instance_id)).state is InstanceState.GONE

    async def close(self) -> None:
        await self._client.close()

    async def _adopt(self, label: str) -> LaunchResult | None:
        """The machine that wears the label. Pebble lists it at once, so there is no lag to wait out."""
        found = await self.list_owned(label)
        return LaunchResult(instance=found[0], adopted=True) if found else None

    async def _settle(self, label: str, lost: ProviderUnavailable) -> LaunchResult:
        """The answer was lost: what was rented, if anything, wears the label."""
        try:
            adopted = await self._adopt(label)
        except ProviderUnavailable as still:
            raise LaunchUnsettled(f"whether {label} was rented is not known: {still}") from still
        if adopted is None:
            raise LaunchUnsettled(f"whether {label} was rented is not known: {lost}") from lost
        return adopted


def open_pebble(settings: ProviderSettings) -> PebbleProvider:
    """The driver for the account of these settings. Connects with the first call."""
    return PebbleProvider(PebbleClient(settings, timeout=timedelta(seconds=30)))


def _rows(body: dict[str, Any], name: str) -> list[Any]:
    rows = body.get(name)
    if not isinstance(rows, list):
        raise ProviderUnavailable(f"Pebble answered without a list of {name}")
    return rows


def _offer(row: Any) -> Offer:
    try:
        return Offer(
            provider=NAME,
            offer_id=str(row["id"]),
            machine_id=str(row["machine"]),
            gpu=str(row["gpu"]),
            gpu_count=int(row["gpus"]),
            gpu_memory_gb=float(row["gpu_memory_gb"]),
            disk_gb=float(row["disk_gb"]),
            region=str(row["country"]),
            terms=Terms.ON_DEMAND,
            hourly=Decimal(str(row["hourly"])),
            verified=True,
        )
    except (KeyError, TypeError, ValueError, InvalidOperation) as odd:
        raise ProviderUnavailable("Pebble describes an offer in a way that we cannot read") from odd


def _instance(row: Any) -> Instance:
    """A row in our words. One that cannot be read is still a machine: so it is an error, not left out."""
    try:
        state = _STATES.get(row["state"], InstanceState.UNKNOWN)
        ssh = SshAddress(host=row["host"], port=int(row["port"])) if state is InstanceState.RUNNING else None
        return Instance(
            provider=NAME,
            instance_id=str(row["id"]),
            state=state,
            detail=f"Pebble says {row['state']}",
            label=str(row["name"]),
            machine_id=str(row["machine"]),
            gpu=str(row["gpu"]),
            gpu_count=int(row["gpus"]),
            region=str(row["country"]),
            terms=Terms.ON_DEMAND,
            hourly=Decimal(str(row["hourly"])),
            ssh=ssh,
        )
    except (KeyError, TypeError, ValueError, InvalidOperation) as odd:
        raise ProviderUnavailable("Pebble describes a machine in a way that we cannot read") from odd
