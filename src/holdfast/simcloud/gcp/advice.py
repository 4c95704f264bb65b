"""Advice of a region: what Spot machines cost now and cost before, how often they were taken back, and how likely one
can be had. The past is made up from the present price and the seed; the present is true.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from starlette.requests import Request

from holdfast.simcloud.gcp import fleet, pricing
from holdfast.simcloud.gcp.bodies import body, child, children
from holdfast.simcloud.gcp.envelopes import Row, invalid
from holdfast.simcloud.gcp.kinds import MACHINE_TYPES, accelerator_of, type_of
from holdfast.simcloud.gcp.names import last, region_of, time, whole
from holdfast.simcloud.gcp.records import Machine
from holdfast.simcloud.gcp.zones import a_region
from holdfast.simcloud.model import Slot
from holdfast.simcloud.sim import Rules, Sim

_DAYS = 30
_KINDS = ("PRICE", "PREEMPTION")
_SWING = 0.08  # of the price, up and down in the past
_NANOS = Decimal(10**9)


async def capacity_history(sim: Sim, request: Request) -> Row:
    """Spot prices and preemption rates of a machine type in one zone, or in the region."""
    where, given = a_region(sim, request), await body(request)
    kinds = given.get("types") or []
    if not kinds or any(kind not in _KINDS for kind in kinds):
        raise invalid("resource.types", f"'{kinds}'. Must be some of {', '.join(_KINDS)}")
    wanted = child(given.get("instanceProperties"), "resource.instanceProperties")
    if child(wanted.get("scheduling"), "resource.scheduling").get("provisioningModel") != "SPOT":
        raise invalid("resource.instanceProperties.scheduling.provisioningModel", "only SPOT has a history")
    location = str(child(given.get("locationPolicy"), "resource.locationPolicy").get("location") or f"regions/{where}")
    slot = _slot(sim, wanted, where, last(location) if "zones/" in location else None)
    now = sim.clock.now()
    found: Row = {"location": location, "machineType": slot.kind}
    if "PRICE" in kinds:
        found["priceHistory"] = [_price(sim, slot, now, day) for day in reversed(range(_DAYS))]
    if "PREEMPTION" in kinds:
        found["preemptionHistory"] = [_preemption(sim, slot, now, day) for day in reversed(range(_DAYS))]
    return found


async def capacity(sim: Sim, request: Request) -> Row:
    """How likely so many machines can be had together, zone by zone: certain, or not at all."""
    where, given = a_region(sim, request), await body(request)
    size = whole(given.get("size", 1), "resource.size", most=1000)
    wanted = child(given.get("instanceProperties"), "resource.instanceProperties")
    model = child(wanted.get("scheduling"), "resource.scheduling").get("provisioningModel", "STANDARD")
    policy = child(given.get("distributionPolicy"), "resource.distributionPolicy")
    zones = [last(zone.get("zone")) for zone in children(policy.get("zones"), "resource.distributionPolicy.zones")]
    here = [zone for zone in fleet.zones(sim) if region_of(zone) == where and (not zones or zone in zones)]
    flexible = child(given.get("instanceFlexibilityPolicy"), "resource.instanceFlexibilityPolicy")
    selections = child(flexible.get("instanceSelections"), "instanceSelections").values()
    kinds = [last(kind) for each in selections for kind in each.get("machineTypes") or []]
    if not kinds or any(kind not in MACHINE_TYPES for kind in kinds):
        raise invalid("resource.instanceFlexibilityPolicy.instanceSelections", f"'{kinds}'. Unknown machine types")
    told = [(zone, kind, _free(sim, zone, kind)) for zone in here for kind in kinds]
    best = sorted(told, key=lambda each: -each[2])
    return {"recommendations": [_recommendation(each, size, model) for each in best]}


def _recommendation(told: tuple[str, str, int], size: int, model: str) -> Row:
    zone, kind, free = told
    score = 0.9 if free > size else 0.5 if free == size else 0.05
    shard = {"zone": f"zones/{zone}", "machineType": kind, "instanceCount": size, "provisioningModel": model}
    scores = {"obtainability": score, "estimatedUptime": f"{int(86_400 * score)}s"}
    return {"scores": scores, "shards": [shard]}


def _free(rules: Rules, zone: str, kind: str) -> int:
    tenants = {instance.slot_id for instance in rules.store.instances() if instance.granted}
    slots = [slot for slot in rules.store.slots.all() if (slot.hardware.region, slot.kind) == (zone, kind)]
    return sum(slot.id not in tenants and slot.rival is None and not slot.withdrawn for slot in slots)


def _slot(rules: Rules, wanted: Row, region: str, zone: str | None) -> Slot:
    kind = last(wanted.get("machineType"))
    accelerators = children(wanted.get("guestAccelerators"), "resource.instanceProperties.guestAccelerators")
    for slot in rules.store.slots.all():
        here = slot.hardware.region == zone if zone else region_of(slot.hardware.region) == region
        if here and slot.kind == kind and (not accelerators or _has(slot, accelerators[0])):
            return slot
    raise invalid("resource.instanceProperties.machineType", f"'{kind}' is not known in {zone or region}")


def _has(slot: Slot, accelerator: Row) -> bool:
    if type_of(slot).accelerator is None and accelerator.get("acceleratorCount") is None:
        return True
    machine = Machine(
        machine_type=slot.kind,
        zone=slot.hardware.region,
        scheduling={},
        accelerator=last(accelerator.get("acceleratorType")) or accelerator_of(slot),
        accelerators=whole(accelerator.get("acceleratorCount"), "acceleratorCount", most=16),
    )
    return fleet.fits(slot, machine)


def _price(rules: Rules, slot: Slot, now: datetime, days_ago: int) -> Row:
    """Of one day; the last one goes on and has today's price."""
    price = pricing.hourly(rules, slot, spot=True)
    if days_ago:
        swing = _dice(rules, slot, now, days_ago, "price").uniform(-_SWING, _SWING)
        price = (price * (1 + Decimal(str(round(swing, 4))))).quantize(Decimal("0.000001"))
    units, nanos = divmod(price * _NANOS, _NANOS)
    money = {"currencyCode": "USD", "units": str(int(units)), "nanos": int(nanos)}
    return {"interval": _interval(now, days_ago), "listPrice": money}


def _preemption(rules: Rules, slot: Slot, now: datetime, days_ago: int) -> Row:
    rate = _dice(rules, slot, now, days_ago, "preemption").betavariate(1.5, 20)
    return {"interval": _interval(now, days_ago), "preemptionRate": round(rate, 4)}


def _interval(now: datetime, days_ago: int) -> Row:
    start = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days_ago)
    end = start + timedelta(days=1) if days_ago else now
    return {"startTime": time(start), "endTime": time(end)}


def _dice(rules: Rules, slot: Slot, now: datetime, days_ago: int, what: str) -> Random:
    day = (now - timedelta(days=days_ago)).date()
    return Random(f"{rules.profile.seed}/{slot.hardware.region}/{slot.kind}/{day}/{what}")  # noqa: S311
