"""What machines cost: composed from Google's price list, by core, GB, GPU and GB of disk, region by region.

The Compute API knows no prices on demand; the list is that of Cloud Billing. A machine of which a part has no price is
left out: nothing is rented at a price that nobody knows.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from holdfast.providers.gcp.client import GcpClient
from holdfast.providers.gcp.kinds import Kind

FRESH = timedelta(hours=1)
"""Google changes Spot prices at most once a day."""
_MONTH_HOURS = Decimal(730)
_NANO = Decimal(10) ** -9
# By the first part of a machine type's name: how the list calls it.
_FAMILIES = {
    "e2": "e2",
    "n1": "n1 predefined",
    "n2": "n2",
    "g2": "g2",
    "a2": "a2",
    "a3": "a3",
    "a4": "a4",
}
_CARDS = {
    "nvidia-tesla-t4": "tesla t4",
    "nvidia-tesla-v100": "tesla v100",
    "nvidia-tesla-p100": "tesla p100",
    "nvidia-tesla-p4": "tesla p4",
    "nvidia-l4": "l4",
    "nvidia-tesla-a100": "tesla a100",
    "nvidia-a100-80gb": "tesla a100 80gb",
    "nvidia-h100-80gb": "h100 80gb",
    "nvidia-h200-141gb": "h200 141gb",
    "nvidia-b200": "b200",
}
_SPOT = re.compile(r"\b(spot|preemptible|attached to|vms?)\b", re.IGNORECASE)
_MACHINE = re.compile(r"(?P<family>.+?)\s+instance\s+(?P<part>core|ram)\b")
_GPU = re.compile(r"(?:nvidia\s+)?(?P<card>.+?)\s+gpu\b")
_DISK = re.compile(r"balanced pd capacity\b")
_USAGE = {"OnDemand": False, "Preemptible": True}


@dataclass(frozen=True, kw_only=True)
class PriceList:
    """USD per unit and hour. Keys: what, region, whether it is Spot."""

    units: dict[tuple[str, str, bool], Decimal] = field(default_factory=dict)

    def compute(self, kind: Kind, *, spot: bool) -> Decimal | None:
        """USD per hour for a machine without its disk; None when a part of it has no price."""
        family = _FAMILIES.get(kind.family, kind.family)
        parts = [
            (f"{family}/core", Decimal(str(kind.cores))),
            (f"{family}/ram", Decimal(str(kind.memory_gb))),
        ]
        if kind.count:
            parts.append((f"gpu/{_CARDS.get(kind.card, kind.card)}", Decimal(kind.count)))
        total = Decimal(0)
        for what, amount in parts:
            price = self.units.get((what, kind.region, spot))
            if price is None:
                return None
            total += price * amount
        return total

    def disk(self, gigabytes: float, region: str) -> Decimal | None:
        """USD per hour for a balanced disk; None when it has no price there."""
        price = self.units.get(("disk", region, False))
        return None if price is None else price * Decimal(str(gigabytes)) / _MONTH_HOURS


class Prices:
    """The price list, read anew when it is older than an hour. Safe for concurrent use in one event loop."""

    def __init__(self, client: GcpClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._known: PriceList | None = None
        self._read_at = 0.0
        self._turn = asyncio.Lock()

    async def now(self) -> PriceList:
        """The list. Raises as `GcpClient.call`."""
        async with self._turn:
            if self._known is None or self._clock() - self._read_at > FRESH.total_seconds():
                self._known = read(await self._client.price_list())
                self._read_at = self._clock()
            return self._known


def read(lines: Iterable[Any]) -> PriceList:
    """The units that machines are composed of. Lines about anything else, or that cannot be read, are skipped."""
    units: dict[tuple[str, str, bool], Decimal] = {}
    for line in lines:
        what, spot, price = _unit(line)
        if what and price is not None:
            for region in line.get("serviceRegions", []):
                units.setdefault((what, str(region), spot), price)
    return PriceList(units=units)


def _unit(line: Any) -> tuple[str, bool, Decimal | None]:
    if not isinstance(line, dict) or not isinstance(line.get("category"), dict):
        return "", False, None
    usage = line["category"].get("usageType")
    if usage not in _USAGE:
        return "", False, None  # commitments and the like
    text = " ".join(_SPOT.sub(" ", str(line.get("description", "")).split(" running in ")[0]).split()).lower()
    return _what(text), _USAGE[usage], _price(line)


def _what(text: str) -> str:
    if found := _MACHINE.fullmatch(text):
        return f"{found['family']}/{found['part']}"
    if found := _GPU.fullmatch(text):
        return f"gpu/{found['card']}"
    return "disk" if _DISK.match(text) else ""


def _price(line: dict[str, Any]) -> Decimal | None:
    """The price of the first unit; a later tier is cheaper, if anything."""
    try:
        rates = line["pricingInfo"][-1]["pricingExpression"]["tieredRates"]
        unit = next(rate["unitPrice"] for rate in rates if _money(rate["unitPrice"]) > 0)
        return _money(unit)
    except (LookupError, TypeError, ValueError, ArithmeticError, StopIteration):
        return None


def _money(unit: dict[str, Any]) -> Decimal:
    if unit.get("currencyCode", "USD") != "USD":
        raise ValueError("not in USD")
    return Decimal(str(unit.get("units") or "0")) + Decimal(int(unit.get("nanos") or 0)) * _NANO


def money(unit: Any) -> Decimal | None:
    """Google's way to write an amount of USD; None for what is none."""
    try:
        return _money(unit)
    except (AttributeError, TypeError, ValueError, ArithmeticError):
        return None
