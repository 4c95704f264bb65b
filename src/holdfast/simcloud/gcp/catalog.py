"""Google's price list, the Cloud Billing Catalog: parts of machines, disks and snapshots, region by region."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from starlette.requests import Request

from holdfast.simcloud.gcp import fleet, pricing
from holdfast.simcloud.gcp.envelopes import Row, WireError
from holdfast.simcloud.gcp.kinds import type_of
from holdfast.simcloud.gcp.names import region_of, time, whole
from holdfast.simcloud.model import Slot
from holdfast.simcloud.sim import Sim

COMPUTE: Final = "6F81-5844-456A"
_MOST = 5000
_NANOS = Decimal(10**9)
_PLACES: Final = {
    "us-central1": "Americas",
    "us-east4": "Northern Virginia",
    "europe-west4": "Netherlands",
    "asia-southeast1": "Singapore",
}
_FAMILIES: Final = {"n1": "N1 Predefined Instance", "e2": "E2 Instance", "g2": "G2 Instance"}
_GPUS: Final = {
    "L4": "Nvidia L4 GPU",
    "T4": "Nvidia Tesla T4 GPU",
    "A100 SXM4 40GB": "Nvidia Tesla A100 GPU",
    "A100 SXM4": "Nvidia Tesla A100 80GB GPU",
    "H100 SXM": "Nvidia H100 80GB GPU",
}
_DISKS: Final = {
    "pd-standard": ("Storage PD Capacity", "PDStandard"),
    "pd-balanced": ("Balanced PD Capacity", "SSD"),
    "pd-ssd": ("SSD backed PD Capacity", "SSD"),
}
_BYTE_SECONDS = 2**30 * 3600


async def skus(sim: Sim, request: Request) -> Row:
    """The price list of Compute Engine, page by page. Raises WireError."""
    if request.path_params["service"] != COMPUTE:
        raise WireError(404, "notFound", "Service not found.")
    most = whole(request.query_params.get("pageSize") or _MOST, "pageSize", most=_MOST)
    start = whole(request.query_params.get("pageToken") or "0", "pageToken", least=0)
    rows = list(_rows(sim))
    token = str(start + most) if len(rows) > start + most else ""
    return {"skus": rows[start : start + most], "nextPageToken": token}


def _rows(sim: Sim) -> Iterator[Row]:
    now, seen = time(sim.clock.now()), set()
    for slot in sim.store.slots.all():
        region, family = region_of(slot.hardware.region), type_of(slot).family
        for part in ((region, family), (region, family, slot.hardware.gpu)):
            if part not in seen and part[-1] != "none":
                seen.add(part)
                for spot in (False, True):
                    yield from (_machine_skus if len(part) == 2 else _gpu_skus)(sim, slot, now, spot=spot)
    for region in sorted({region_of(zone) for zone in fleet.zones(sim)}):
        for kind, (words, group) in _DISKS.items():
            yield _sku(words, ("Storage", group), region, pricing.DISK_TYPES[kind], "GiBy.mo", now=now)
        yield _sku("Storage PD Snapshot", ("Storage", "PDSnapshot"), region, pricing.SNAPSHOT, "GiBy.mo", now=now)


def _machine_skus(sim: Sim, slot: Slot, now: str, *, spot: bool) -> Iterator[Row]:
    region, family = region_of(slot.hardware.region), type_of(slot).family
    parts, name = pricing.parts(sim, slot, spot=spot), _FAMILIES.get(family, f"{family.upper()} Instance")
    prefix = "Spot Preemptible " if spot else ""
    groups = ("N1Standard", "N1Standard") if family == "n1" else ("CPU", "RAM")
    yield _sku(f"{prefix}{name} Core", ("Compute", groups[0]), region, parts.core, "h", now=now, spot=spot)
    yield _sku(f"{prefix}{name} Ram", ("Compute", groups[1]), region, parts.memory, "GiBy.h", now=now, spot=spot)


def _gpu_skus(sim: Sim, slot: Slot, now: str, *, spot: bool) -> Iterator[Row]:
    name = f"{_GPUS[slot.hardware.gpu]}{' attached to Spot Preemptible VMs' if spot else ''}"
    price = pricing.parts(sim, slot, spot=spot).gpu
    yield _sku(name, ("Compute", "GPU"), region_of(slot.hardware.region), price, "h", now=now, spot=spot)


def _sku(
    words: str, category: tuple[str, str], region: str, price: Decimal, unit: str, *, now: str, spot: bool = False
) -> Row:
    family, group = category
    usage = "Preemptible" if spot else "OnDemand"
    number = f"{abs(_number(words, region)):012X}"
    sku = "-".join((number[:4], number[4:8], number[8:12]))
    units, nanos = divmod((price * _NANOS).to_integral_value(), _NANOS)
    money = {"currencyCode": "USD", "units": str(int(units)), "nanos": int(nanos)}
    return {
        "name": f"services/{COMPUTE}/skus/{sku}",
        "skuId": sku,
        "description": f"{words} {'in' if family == 'Storage' else 'running in'} {_PLACES.get(region, region)}",
        "category": {
            "serviceDisplayName": "Compute Engine",
            "resourceFamily": family,
            "resourceGroup": group,
            "usageType": usage,
        },
        "serviceRegions": [region],
        "pricingInfo": [{"summary": "", "pricingExpression": _expression(unit, money), "effectiveTime": now}],
        "serviceProviderName": "Google",
        "geoTaxonomy": {"type": "REGIONAL", "regions": [region]},
    }


def _expression(unit: str, money: Row) -> Row:
    hours = {"h": 3600, "GiBy.h": _BYTE_SECONDS, "GiBy.mo": _BYTE_SECONDS * 24 * 30}[unit]
    words = {"h": "hour", "GiBy.h": "gibibyte hour", "GiBy.mo": "gibibyte month"}[unit]
    return {
        "usageUnit": unit,
        "usageUnitDescription": words,
        "baseUnit": "s" if unit == "h" else "By.s",
        "baseUnitConversionFactor": hours,
        "displayQuantity": 1,
        "tieredRates": [{"startUsageAmount": 0, "unitPrice": money}],
    }


def _number(words: str, region: str) -> int:
    found = 0
    for letter in f"{words}/{region}":
        found = (found * 131 + ord(letter)) % 2**48
    return found
