"""The market's supply, demand and prices by GPU: now, and through the past.

The market keeps no past of its own. It tells one that goes with its slots: their prices per GPU, rising and falling
with the hour of the day and a little by chance; the same seed and moment always give the same price.
"""

import math
import random
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request

from holdfast.simcloud import contention
from holdfast.simcloud.model import Slot
from holdfast.simcloud.sim import Sim
from holdfast.simcloud.vast.bodies import whole_number
from holdfast.simcloud.vast.callers import Caller
from holdfast.simcloud.vast.envelopes import WireError
from holdfast.simcloud.vast.queries import Row

_DEFAULT_GPUS = "RTX 5090,RTX 4090,RTX 3090"
_DAY, _HOUR = 86_400, 3600
_SAMPLED, _MOST, _LEAST_STEP = 20, 1000, 60
_TIDE, _CHANCE = 0.06, 0.05  # how far prices go up and down, as a part of them
_VERIFIED = {"yes": (True,), "no": (False,), "all": (True, False)}
_HOSTING = {"secure_cloud": (True,), "community": (False,), "all": (True, False)}


async def gpu_current(sim: Sim, caller: Caller, request: Request) -> Row:
    """One row for each GPU that stands on the market."""
    caller.require(None)
    now = int(sim.clock.now().timestamp())
    found = _by_gpu(_chosen(sim, request))
    return {"success": True, "gpus": [_current(sim, gpu, slots, now) for gpu, slots in sorted(found.items())]}


async def gpu_history(sim: Sim, caller: Caller, request: Request) -> Row:
    """Series of counts and prices for the named GPUs, of the last day unless a range is named."""
    caller.require(None)
    asked = request.query_params.get("gpu_name", _DEFAULT_GPUS)
    names = [name.strip().replace("_", " ") for name in asked.split(",")]
    times = _times(request, int(sim.clock.now().timestamp()))
    found = _by_gpu(_chosen(sim, request))
    gpus = {
        gpu: _series(sim, gpu, slots, times) for gpu, slots in sorted(found.items()) if gpu in names or names == ["all"]
    }
    return {"success": True, "gpus": gpus}


def _times(request: Request, now: int) -> list[int]:
    """The moments of the series. A step that would give too many is raised, as the provider does."""

    def given(name: str, default: int) -> int:
        return whole_number(request.query_params.get(name, default), name)

    end = min(given("end", now), now)
    start = given("start", end - _DAY)
    if start > end:
        raise WireError(400, "invalid_args", "error 400/4102: start is after end")
    step = max(given("step", (end - start) // _SAMPLED), (end - start) // _MOST, _LEAST_STEP)
    return list(range(start, end + 1, step))


def _chosen(sim: Sim, request: Request) -> list[Slot]:
    verified = _VERIFIED.get(request.query_params.get("verified", "yes"))
    hosting = _HOSTING.get(request.query_params.get("hosting_type", "all"))
    count = request.query_params.get("num_gpus", "all")
    if verified is None or hosting is None:
        raise WireError(400, "invalid_args", "error 400/4101: unknown value of verified or hosting_type")
    return [
        slot
        for slot in sim.store.slots.all()
        if slot.hardware.verified in verified
        and slot.hardware.datacenter in hosting
        and count in ("all", str(slot.hardware.gpus))
    ]


def _by_gpu(slots: Iterable[Slot]) -> dict[str, list[Slot]]:
    found: dict[str, list[Slot]] = {}
    for slot in slots:
        found.setdefault(slot.hardware.gpu, []).append(slot)
    return found


def _current(sim: Sim, gpu: str, slots: list[Slot], now: int) -> Row:
    counts, total = _counts(sim, slots), sum(slot.hardware.gpus for slot in slots)
    low, median, high = _prices(sim, gpu, _asked(slots), now)
    available = counts["avail_verified"] + counts["avail_unverified"]
    return {
        "gpu_name": gpu,
        "total": total,
        "available": available,
        "unavailable": 0,
        "usage": round(100 * (total - available) / total, 1),
        **counts,
        **_stats(slots, median),
        "price_p10": low,
        "price_median": median,
        "price_p90": high,
    }


def _series(sim: Sim, gpu: str, slots: list[Slot], times: list[int]) -> Row:
    counts = _counts(sim, slots) | {"total": sum(slot.hardware.gpus for slot in slots)}
    rented = [_prices(sim, gpu, _paid(slots), moment) for moment in times]
    asked = [_prices(sim, gpu, _asked(slots), moment) for moment in times]
    pricing: dict[str, Any] = {"timestamps": times}
    for place, name in enumerate(("p10", "median", "p90")):
        pricing[f"rented_{name}"] = [prices[place] for prices in rented]
        pricing[f"avail_{name}"] = [prices[place] for prices in asked]
    return {
        "supply_demand": {"timestamps": times} | {name: [number] * len(times) for name, number in counts.items()},
        "pricing": pricing,
        "stats": _stats(slots, asked[-1][1]),
    }


def _counts(sim: Sim, slots: list[Slot]) -> dict[str, int]:
    """GPUs, not slots."""
    counts = dict.fromkeys(("rented_verified", "avail_verified", "rented_unverified", "avail_unverified"), 0)
    for slot in slots:
        held = contention.is_held(slot, sim.market.counter.tenants(slot))
        word = "verified" if slot.hardware.verified else "unverified"
        counts[f"{'rented' if held else 'avail'}_{word}"] += slot.hardware.gpus
    return counts


def _stats(slots: list[Slot], price: float) -> Row:
    tflops = slots[0].hardware.tflops / slots[0].hardware.gpus
    dlperf = slots[0].hardware.dlperf / slots[0].hardware.gpus
    return {
        "tflops": round(tflops, 1),
        "dlperf": round(dlperf, 1),
        "tflops_per_dollar": round(tflops / price, 1),
        "dlperf_per_dollar": round(dlperf / price, 1),
    }


def _asked(slots: list[Slot]) -> list[float]:
    """What is asked on demand, in USD per hour and GPU, cheapest first."""
    return sorted(float(slot.price) / slot.hardware.gpus for slot in slots)


def _paid(slots: list[Slot]) -> list[float]:
    """Some rent on demand and some bid: what is paid lies between."""
    return sorted(float(slot.price + slot.min_bid) / 2 / slot.hardware.gpus for slot in slots)


def _prices(sim: Sim, gpu: str, today: list[float], moment: int) -> tuple[float, float, float]:
    """The 10th percentile, the median and the 90th percentile at a moment."""
    dice = random.Random(f"{sim.profile.seed}/{gpu}/{moment // _HOUR}")  # noqa: S311 - a simulation, not a secret
    tide = _TIDE * math.sin(2 * math.pi * moment / _DAY) + _CHANCE * (dice.random() - 0.5)
    low, median, high = (today[round((len(today) - 1) * part)] for part in (0.1, 0.5, 0.9))
    return round(low * (1 + tide), 4), round(median * (1 + tide), 4), round(high * (1 + tide), 4)
