"""Searching: one offer for each node and GPU on which a machine of the wanted size can be had.

TensorDock filters and orders nothing that could be relied on: all of it is done here. There are no bids and no
interruptions, so what is found is firm, whatever terms are asked for.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from holdfast.contracts.machines import Offer, Requirements, Terms
from holdfast.policy.fitness import misfit
from holdfast.providers.tensordock import nodes
from holdfast.providers.tensordock.client import TensorDockClient
from holdfast.providers.tensordock.countries import country_code
from holdfast.providers.tensordock.gpus import memory_gb, neutral_name
from holdfast.providers.tensordock.nodes import Node
from holdfast.providers.tensordock.sizes import Size, price_of, shortage, size_for
from holdfast.providers.tensordock.wire import GpusOfNode

_MBPS = 1000


async def search(client: TensorDockClient, needs: Requirements, *, provider: str, now: datetime) -> list[Offer]:
    """Every offer that fits, cheapest first."""
    found = _fitting(await nodes.every(client), needs, provider, now)
    return sorted(found, key=lambda offer: (offer.hourly, offer.offer_id))


def offer_of(node: Node, gpus: GpusOfNode, size: Size, *, provider: str) -> Offer:
    """A machine of this size on a node, in our words."""
    hourly, disk = price_of(size, gpus, node.row)
    place, uptime = node.place, node.row.uptime_percentage
    return Offer(
        provider=provider,
        offer_id=offer_id(node.row.id, gpus.v0_name),
        machine_id=node.row.id,
        host_id=place.organization or "",
        gpu=neutral_name(gpus.v0_name),
        gpu_count=size.gpus,
        gpu_memory_gb=memory_gb(gpus.v0_name),
        cpu_cores=size.vcpus,
        memory_gb=size.memory_gb,
        disk_gb=size.disk_gb,
        region=country_code(place.country),
        place=", ".join(part for part in (place.city, place.stateprovince, place.country) if part),
        terms=Terms.ON_DEMAND,
        hourly=hourly,
        storage_hourly=disk,
        reliability=None if uptime is None else uptime / 100,
        download_mbps=_mbps(place.network_speed_gbps),
        upload_mbps=_mbps(place.network_speed_upload_gbps),
        verified=True,  # TensorDock lets nobody in whom it has not looked at
        exclusive=gpus.available_count < 2 * size.gpus,
    )


def offer_id(node: str, v0_name: str) -> str:
    """One GPU model on one node."""
    return f"{node}:{v0_name}"


def parts_of(number: str) -> tuple[str, str]:
    """The node and the GPU of an offer's id."""
    node, _, v0_name = number.partition(":")
    return node, v0_name


def _fitting(found: Iterable[Node], needs: Requirements, provider: str, now: datetime) -> Iterator[Offer]:
    size = size_for(needs)
    for node in found:
        for gpus in node.row.available_resources.gpus:
            offer = offer_of(node, gpus, size, provider=provider)
            lacks = shortage(size, gpus, node.row.available_resources)
            if not lacks and not misfit(offer, needs, now=now, avoid_machines=frozenset()):
                yield offer


def _mbps(gbps: float | None) -> float | None:
    return None if gbps is None else gbps * _MBPS
