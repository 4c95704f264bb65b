"""What Google says of Spot machines: what they cost in the last weeks, and how likely one can be had now.

Both calls are young. A project that may not use them, or a region that has nothing to say, is no error: of that nothing
is told.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from holdfast.contracts.machines import Offer, Terms
from holdfast.policy.fitness import plain_gpu
from holdfast.providers.base import PricePoint
from holdfast.providers.gcp.answers import Refused
from holdfast.providers.gcp.client import GcpClient
from holdfast.providers.gcp.endpoints import CAPACITY, HISTORY
from holdfast.providers.gcp.kinds import Kind, card_name, kind_of, last_part, region_of
from holdfast.providers.gcp.prices import money

_SPOT = {"provisioningModel": "SPOT"}


async def price_history(client: GcpClient, found: Sequence[Kind], gpu: str, since: datetime) -> list[PricePoint]:
    """The Spot prices of the smallest machine with this GPU, region by region, oldest first; USD for each GPU."""
    smallest: dict[str, Kind] = {}
    for kind in sorted(found, key=lambda each: (each.count, each.cores, each.zone)):
        if kind.count and plain_gpu(card_name(kind.card)) == plain_gpu(gpu):
            smallest.setdefault(kind.region, kind)
    points = [point for kind in smallest.values() for point in await _history_of(client, kind, since)]
    return sorted(points, key=lambda point: (point.at, point.region))


async def obtainability(client: GcpClient, offers: Sequence[Offer]) -> dict[str, float]:
    """From offer id to a likelihood between 0 and 1, for the Spot offers of which Google says anything."""
    asked: dict[tuple[str, str], list[Offer]] = defaultdict(list)
    for offer in offers:
        kind = kind_of(offer.offer_id)
        if kind is not None and not kind.attached and offer.terms is Terms.INTERRUPTIBLE:
            asked[kind.region, kind.machine].append(offer)
    told: dict[str, float] = {}
    for (region, machine), theirs in asked.items():
        likely = await _advice(client, region, machine)
        for offer in theirs:
            zone = offer.offer_id.split("/", 1)[0]
            if zone in likely:
                told[offer.offer_id] = likely[zone]
    return told


async def _history_of(client: GcpClient, kind: Kind, since: datetime) -> list[PricePoint]:
    properties: dict[str, Any] = {"machineType": kind.machine, "scheduling": _SPOT}
    if kind.attached:
        properties["guestAccelerators"] = [{"acceleratorType": kind.card, "acceleratorCount": kind.count}]
    body = {
        "types": ["PRICE"],
        "instanceProperties": properties,
        "locationPolicy": {"location": f"zones/{kind.zone}"},
    }
    try:
        answer = await client.call(HISTORY, zone=kind.region, body=body)
    except Refused:
        return []
    rows = answer.get("priceHistory", [])
    points = [_point(row, kind) for row in rows] if isinstance(rows, list) else []
    return [point for point in points if point is not None and point.at >= since]


def _point(row: Any, kind: Kind) -> PricePoint | None:
    try:
        at = datetime.fromisoformat(str(row["interval"]["startTime"]))
        price = money(row["listPrice"])
    except (LookupError, TypeError, ValueError):
        return None
    if price is None or price <= 0 or at.tzinfo is None:
        return None
    return PricePoint(
        at=at,
        gpu=card_name(kind.card),
        region=kind.region,
        hourly=price / Decimal(kind.count),
        terms=Terms.INTERRUPTIBLE,
    )


async def _advice(client: GcpClient, region: str, machine: str) -> Mapping[str, float]:
    body = {
        "size": 1,
        "instanceProperties": {"scheduling": _SPOT},
        "instanceFlexibilityPolicy": {"instanceSelections": {"wanted": {"machineTypes": [machine]}}},
        "distributionPolicy": {"targetShape": "ANY_SINGLE_ZONE"},
    }
    try:
        answer = await client.call(CAPACITY, zone=region, body=body)
    except Refused:
        return {}
    found: dict[str, float] = {}
    rows = answer.get("recommendations", [])
    for row in rows if isinstance(rows, list) else []:
        for zone, likelihood in _shards(row, region):
            found[zone] = max(likelihood, found.get(zone, 0.0))
    return found


def _shards(row: Any, region: str) -> list[tuple[str, float]]:
    try:
        likelihood = float(row["scores"]["obtainability"])
        zones = [last_part(str(shard["zone"])) for shard in row["shards"]]
    except (LookupError, TypeError, ValueError):
        return []
    return [(zone, likelihood) for zone in zones if region_of(zone) == region and 0 <= likelihood <= 1]
