"""Searching: from requirements to Vast.ai's query, and from its rows to offers that really fit."""

import math
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from holdfast.contracts.machines import Offer, Requirements, Terms
from holdfast.policy.fitness import misfit
from holdfast.providers.errors import ProviderUnavailable
from holdfast.providers.vast.client import VastClient
from holdfast.providers.vast.endpoints import SEARCH
from holdfast.providers.vast.states import moment
from holdfast.providers.vast.wire import OfferRow, country, read_offer

PAGE = 64
"""The most offers that one answer holds, whatever limit is asked for."""
ENOUGH = 64
_MIB_PER_GB = 1024  # cards are named after their memory in GiB
# Cards show a little less than their nominal memory: the search asks for less, and each offer is judged afterwards.
_MEMORY_SLACK = 0.95


async def search(client: VastClient, needs: Requirements, *, provider: str, now: datetime) -> list[Offer]:
    """The cheapest offers that fit, at least `ENOUGH` of them where there are so many. Cheapest first."""
    found: dict[str, Offer] = {}
    seen: set[int] = set()
    floor: dict[str, float] = {}
    while True:
        rows, shown = await _page(client, needs, floor)
        fresh = [row for row in rows if row.id not in seen]
        seen.update(row.id for row in fresh)
        found |= {offer.offer_id: offer for offer in _fitting(fresh, needs, provider, now)}
        ignored = not fresh and "gt" in floor  # a price floor that is not heeded leads round in a circle
        if shown < PAGE or len(found) >= ENOUGH or ignored:
            return sorted(found.values(), key=lambda offer: (offer.hourly, offer.offer_id))
        last = float(max(row.dph_total for row in rows))
        # Offers of the same price may go on where the page ended; a page of nothing else must be left behind.
        floor = {"gte": last} if fresh else {"gt": last}


def query_of(needs: Requirements) -> dict[str, Any]:
    """The search for these requirements, cheapest first. Limits of zero are left out."""
    query: dict[str, Any] = {
        "rentable": {"eq": True},
        "rented": {"eq": False},
        "verified": {"eq": True},
        "external": {"eq": False},
        "num_gpus": {"eq": needs.gpu_count},
        "disk_space": {"gte": needs.disk_gb},
        "type": "bid" if needs.terms is Terms.INTERRUPTIBLE else "on-demand",
        "allocated_storage": needs.disk_gb,
        "order": [["dph_total", "asc"]],
        "limit": PAGE,
    }
    least = {
        "gpu_ram": math.floor(needs.gpu_memory_gb * _MIB_PER_GB * _MEMORY_SLACK),
        "cpu_cores_effective": needs.cpu_cores,
        "cpu_ram": math.floor(needs.memory_gb * 1000 * _MEMORY_SLACK),
        "reliability2": needs.min_reliability,
        "inet_down": needs.min_download_mbps,
        "duration": needs.min_contract.total_seconds(),
    }
    query |= {field: {"gte": bound} for field, bound in least.items() if bound > 0}
    if needs.gpu is not None:
        query["gpu_name"] = {"in": _spellings(needs.gpu)}
    if needs.regions:
        query["geolocation"] = {"in": list(needs.regions)}
    if needs.max_hourly is not None:
        query["dph_total"] = {"lte": float(needs.max_hourly)}
    return query


def offer_of(row: OfferRow, *, provider: str, terms: Terms) -> Offer:
    """A row in our words. Of an interruptible offer, the price is what the least winning bid costs."""
    return Offer(
        provider=provider,
        offer_id=str(row.id),
        machine_id=str(row.machine_id),
        host_id=str(row.host_id or ""),
        gpu=row.gpu_name,
        gpu_count=row.num_gpus,
        gpu_memory_gb=round(row.gpu_ram / _MIB_PER_GB, 2),
        cpu_cores=row.cpu_cores_effective or 0,
        memory_gb=(row.cpu_ram or 0) / 1000,
        disk_gb=row.disk_space or 0,
        region=country(row.geolocation),
        place=row.geolocation or "",
        terms=terms,
        hourly=row.dph_total,
        storage_hourly=row.storage_total_cost,
        bid=row.min_bid if terms is Terms.INTERRUPTIBLE else None,
        reliability=row.reliability2,
        download_mbps=row.inet_down,
        upload_mbps=row.inet_up,
        contract_ends=moment(row.end_date),
        verified=row.verification == "verified",
    )


async def _page(client: VastClient, needs: Requirements, floor: dict[str, float]) -> tuple[list[OfferRow], int]:
    """The offers of one answer that can be read, and how many it showed: a full page goes on even if not all can."""
    query = query_of(needs)
    if floor:
        query["dph_total"] = query.get("dph_total", {}) | floor
    body = await client.call(SEARCH, body=query)
    rows = body.get("offers") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise ProviderUnavailable("Vast.ai answered a search without a list of offers")
    return _readable(rows), len(rows)


def _readable(rows: list[Any]) -> list[OfferRow]:
    read = [row for row in map(read_offer, rows) if row is not None]
    if rows and not read:
        raise ProviderUnavailable(f"none of {len(rows)} offers of Vast.ai could be read")
    return read


def _fitting(rows: Iterable[OfferRow], needs: Requirements, provider: str, now: datetime) -> Iterator[Offer]:
    for row in rows:
        offer = offer_of(row, provider=provider, terms=needs.terms)
        if _is_for_rent(row, offer, needs) and not misfit(offer, needs, now=now, avoid_machines=frozenset()):
            yield offer


def _is_for_rent(row: OfferRow, offer: Offer, needs: Requirements) -> bool:
    biddable = needs.terms is Terms.ON_DEMAND or (offer.bid is not None and offer.bid > Decimal(0))
    free = row.rentable is not False and row.rented is not True
    return free and biddable and offer.verified and offer.gpu_count == needs.gpu_count


def _spellings(gpu: str) -> list[str]:
    """The name as Vast.ai writes it, with spaces; and in capitals, for those who wrote it small."""
    plain = " ".join(gpu.replace("_", " ").split())
    return list(dict.fromkeys([plain, plain.upper()]))
