"""Kinds of machines: a machine type in a zone, with its GPUs. Google names no machines, only kinds."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from holdfast.contracts.machines import Terms
from holdfast.providers.errors import ProviderUnavailable

_ATTACHING = ("n1-standard-4", "n1-standard-8")
"""Machine types without GPUs of their own to which we attach one."""
_COUNTRIES = {
    "africa-south1": "ZA",
    "asia-east1": "TW",
    "asia-east2": "HK",
    "asia-northeast1": "JP",
    "asia-northeast2": "JP",
    "asia-northeast3": "KR",
    "asia-south1": "IN",
    "asia-south2": "IN",
    "asia-southeast1": "SG",
    "asia-southeast2": "ID",
    "australia-southeast1": "AU",
    "australia-southeast2": "AU",
    "europe-central2": "PL",
    "europe-north1": "FI",
    "europe-southwest1": "ES",
    "europe-west1": "BE",
    "europe-west10": "DE",
    "europe-west12": "IT",
    "europe-west2": "GB",
    "europe-west3": "DE",
    "europe-west4": "NL",
    "europe-west6": "CH",
    "europe-west8": "IT",
    "europe-west9": "FR",
    "me-central1": "QA",
    "me-central2": "SA",
    "me-west1": "IL",
    "northamerica-northeast1": "CA",
    "northamerica-northeast2": "CA",
    "southamerica-east1": "BR",
    "southamerica-west1": "CL",
}
# By Google's name: the neutral one, and GB of memory for each card.
_CARDS = {
    "nvidia-tesla-t4": ("T4", 16.0),
    "nvidia-tesla-v100": ("V100", 16.0),
    "nvidia-tesla-p100": ("P100", 16.0),
    "nvidia-tesla-p4": ("P4", 8.0),
    "nvidia-l4": ("L4", 24.0),
    "nvidia-tesla-a100": ("A100 SXM4", 40.0),
    "nvidia-a100-80gb": ("A100 SXM4", 80.0),
    "nvidia-h100-80gb": ("H100 SXM", 80.0),
    "nvidia-h100-mega-80gb": ("H100 SXM", 80.0),
    "nvidia-h200-141gb": ("H200", 141.0),
    "nvidia-b200": ("B200", 180.0),
    "nvidia-rtx-pro-6000": ("RTX PRO 6000", 96.0),
}
_OFFER = re.compile(
    r"(?P<zone>[a-z0-9-]+)/(?P<machine>[a-z0-9-]+)(\+(?P<count>[1-9]\d?)x(?P<card>[a-z0-9-]+))?/(?P<terms>spot|standard)"
)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of machine in one zone."""

    zone: str
    machine: str
    cores: float = 0
    memory_gb: float = 0
    card: str = ""  # as Google calls it; "": no GPU
    count: int = 0
    attached: bool = False  # the GPUs come on top of the machine type

    @property
    def region(self) -> str:
        """The region that the zone lies in."""
        return region_of(self.zone)

    @property
    def family(self) -> str:
        """The first part of the machine type's name, by which it is priced."""
        return self.machine.split("-", 1)[0]

    @property
    def machine_id(self) -> str:
        """What stays the same from offer to offer: a zone's machines of this kind are one to us."""
        return f"{self.zone}/{self.machine}"

    def offer_id(self, terms: Terms) -> str:
        """As `kind_of` reads it."""
        more = f"+{self.count}x{self.card}" if self.attached else ""
        return f"{self.zone}/{self.machine}{more}/{'spot' if terms is Terms.INTERRUPTIBLE else 'standard'}"


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Built(_Row):
    guestAcceleratorType: str  # noqa: N815 - as Google spells it
    guestAcceleratorCount: int  # noqa: N815


class MachineTypeRow(_Row):
    """A machine type in a zone."""

    name: str
    guestCpus: int  # noqa: N815
    memoryMb: int  # noqa: N815
    accelerators: list[_Built] = Field(default_factory=list)


class AcceleratorRow(_Row):
    """A GPU in a zone."""

    name: str
    maximumCardsPerInstance: int = 0  # noqa: N815


def kind_of(offer_id: str) -> Kind | None:
    """The kind of machine that an offer is for, without what only its zone can tell."""
    found = _OFFER.fullmatch(offer_id)
    if found is None:
        return None
    attached = found["card"] is not None
    return Kind(
        zone=found["zone"],
        machine=found["machine"],
        card=found["card"] or "",
        count=int(found["count"] or 0),
        attached=attached,
    )


def card_name(card: str) -> str:
    """The neutral name of a GPU. One that nobody has heard of comes back in capitals."""
    return _CARDS[card][0] if card in _CARDS else card.removeprefix("nvidia-").replace("-", " ").upper()


def card_memory_gb(card: str) -> float:
    """GB of one card; 0 when it is not known."""
    return _CARDS[card][1] if card in _CARDS else 0.0


def country_of(region: str) -> str:
    """The two-letter code of the country that a region lies in, "" for one that we do not know."""
    return "US" if region.startswith("us-") else _COUNTRIES.get(region, "")


def region_of(zone: str) -> str:
    """The region of a zone, such as `us-central1` of `us-central1-a`."""
    return zone.rsplit("-", 1)[0]


def last_part(link: str) -> str:
    """The name at the end of one of Google's links."""
    return link.rsplit("/", 1)[-1]


def kinds(machines: Mapping[str, list[Any]], accelerators: Mapping[str, list[Any]]) -> Iterator[Kind]:
    """Every kind, from the lists of machine types and GPUs by zone. A row that cannot be read is none."""
    for zone, rows in machines.items():
        cards = [row for row in (_read(AcceleratorRow, each) for each in accelerators.get(zone, [])) if row]
        for row in (_read(MachineTypeRow, each) for each in rows):
            if row is not None:
                yield from _kinds_of(zone, row, [each.name for each in cards])


def by_zone(pages: list[dict[str, Any]], name: str, *, complete: bool = True) -> dict[str, list[Any]]:
    """The rows of an aggregated list, by zone.

    Raises ProviderUnavailable when it is no such list; and, unless a part will do, when some zone did not answer: what
    is missing is then not absent.
    """
    found: dict[str, list[Any]] = {}
    for page in pages:
        items = page.get("items")
        if complete and (silent := _unreachable(page)):
            raise ProviderUnavailable(f"Google does not tell what {name} there are in {silent}")
        if items is None and str(page.get("kind", "")).endswith("AggregatedList"):
            continue
        if not isinstance(items, dict):
            raise ProviderUnavailable(f"Google's list of {name} is no list")
        for scope, holder in items.items():
            rows = holder.get(name, []) if isinstance(holder, dict) else None
            if not isinstance(rows, list):
                raise ProviderUnavailable(f"Google's list of {name} in {last_part(scope)} is no list")
            found.setdefault(last_part(scope), []).extend(rows)
    return found


def _unreachable(page: dict[str, Any]) -> str:
    """The places that a list says nothing of, "" when it is whole."""
    named = page.get("unreachables")
    found = [last_part(str(each)) for each in named] if isinstance(named, list) else []
    items = page.get("items")
    scopes = items.items() if isinstance(items, dict) else ()
    found += [last_part(scope) for scope, holder in scopes if _is_silent(holder)]
    return ", ".join(found) or ("some zones" if _is_silent(page) else "")


def _is_silent(holder: Any) -> bool:
    warning = holder.get("warning") if isinstance(holder, dict) else None
    return isinstance(warning, dict) and warning.get("code") != "NO_RESULTS_ON_PAGE"


def _kinds_of(zone: str, row: MachineTypeRow, cards: list[str]) -> Iterator[Kind]:
    bare = Kind(zone=zone, machine=row.name, cores=float(row.guestCpus), memory_gb=row.memoryMb / 1024)
    built = row.accelerators[0] if len(row.accelerators) == 1 else None
    if built is not None:
        yield replace(bare, card=last_part(built.guestAcceleratorType), count=built.guestAcceleratorCount)
    elif not row.accelerators and row.name in _ATTACHING and "nvidia-tesla-t4" in cards:
        yield replace(bare, card="nvidia-tesla-t4", count=1, attached=True)
    elif not row.accelerators:
        yield bare


def _read(model: type[Any], thing: Any) -> Any:
    try:
        return model.model_validate(thing)
    except ValidationError:
        return None
