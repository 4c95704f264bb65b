"""The market's profile: which machines stand on it, what they ask, how long they boot. A YAML file; the same seed and
file always give the same market."""

import random
from datetime import datetime, timedelta
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from holdfast.simcloud.config import FIRST
from holdfast.simcloud.model import Flaw, Hardware, Slot
from holdfast.simcloud.store import Store

FIRST_ASK = 27410001
_PROVIDERS = "providers"


class BadProfile(Exception):
    """A profile cannot be read or says something impossible. Remedy: correct what the message names."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Constant(_Strict):
    """Always the same."""

    kind: Literal["constant"]
    seconds: float

    def draw(self, _dice: random.Random) -> float:
        """Seconds."""
        return self.seconds


class Uniform(_Strict):
    """Anything between two bounds, equally likely."""

    kind: Literal["uniform"]
    low: float
    high: float

    def draw(self, dice: random.Random) -> float:
        """Seconds."""
        return dice.uniform(self.low, self.high)


class LogNormal(_Strict):
    """Mostly near the median, sometimes far above, as real boots are."""

    kind: Literal["lognormal"]
    median: float
    spread: float

    def draw(self, dice: random.Random) -> float:
        """Seconds."""
        return self.median * dice.lognormvariate(0.0, self.spread)


BootTime = Annotated[Constant | Uniform | LogNormal, Field(discriminator="kind")]


class GpuType(_Strict):
    """What is the same for every card of a type."""

    shown_as: str
    gpu_ram: int
    compute_capability: int
    cuda: float
    driver: str
    dlperf: float
    tflops: float


class SlotLine(_Strict):
    """One line of the profile's market."""

    gpu: str
    gpus: int = 1
    price: Decimal
    bid: Decimal
    machine: int
    host: int
    region: str
    reliability: float = 0.99
    verified: bool = True
    datacenter: bool = False
    share: float = 1.0
    flaw: Flaw | None = None
    kind: str = ""
    count: int = 1
    cores: int | None = None
    ram: int | None = None
    disk: float | None = None


class Days(_Strict):
    """How long contracts last."""

    low: float
    high: float


class Profile(_Strict):
    """Everything adjustable about a market. What each field means stands in ``profiles/default.yaml``."""

    seed: int
    credit: Decimal
    boot: BootTime
    listing_lag: Decimal
    threshold_scale: float
    outbid_fields: Literal["all_stopped", "wants_running"]
    refused_start: Literal["queued", "dropped"]
    contested_offers: bool
    hosts: bool = True
    log_misses: int
    contract_days: Days
    operation: BootTime = Constant(kind="constant", seconds=0.2)
    wind_down: BootTime = Constant(kind="constant", seconds=0)
    notice: float = 30
    least_charge: int = 0
    gpus: dict[str, GpuType]
    slots: list[SlotLine]

    def boot_time(self, instance_id: int, boots: int) -> timedelta:
        """How long this boot of this instance takes; the same question has the same answer."""
        dice = random.Random(f"{self.seed}/{instance_id}/{boots}")  # noqa: S311 - a simulation, not a secret
        return timedelta(seconds=self.boot.draw(dice))


def load(path: Path | None, provider: str = FIRST) -> Profile:
    """Read a profile, or the default one, as it is for one provider. Raises BadProfile, which names every mistake.

    A profile describes the first provider's market. Another's is the same, changed by what ships for that provider in
    ``profiles/<provider>.yaml``, and then by what the profile says of it under ``providers``.
    """
    try:
        profile = Profile.model_validate(_of_provider(_read(path), provider))
    except (OSError, yaml.YAMLError, ValidationError) as wrong:
        raise BadProfile(f"the market's profile {path or 'default'} cannot be used: {wrong}") from wrong
    if unknown := {line.gpu for line in profile.slots} - profile.gpus.keys():
        raise BadProfile(f"slots name GPUs that the profile does not describe: {', '.join(sorted(unknown))}")
    return profile


def open_market(store: Store, profile: Profile, now: datetime, *, first_slot: int = 1) -> None:
    """Put the profile's slots on an empty market."""
    dice = random.Random(profile.seed)  # noqa: S311 - a simulation, not a secret
    for line in profile.slots:
        for number in range(line.count):
            one = line.model_copy(update={"machine": line.machine + number})
            store.slots.put(make_slot(store, one, profile, dice, now, first_slot=first_slot))


def make_slot(
    store: Store, line: SlotLine, profile: Profile, dice: random.Random, now: datetime, *, first_slot: int = 1
) -> Slot:
    """A slot of the market from a line of a profile. It is not stored."""
    days = dice.uniform(profile.contract_days.low, profile.contract_days.high)
    return Slot(
        id=store.next_id("slot", first_slot),
        ask_id=store.next_id("ask", FIRST_ASK),
        machine_id=line.machine,
        host_id=line.host,
        hardware=_hardware(line, profile.gpus[line.gpu], dice),
        price=line.price,
        min_bid=line.bid,
        storage_price=Decimal("0.15"),
        listed_at=now,
        contract_end=now + timedelta(days=days),
        flaw=line.flaw,
        kind=line.kind,
    )


def _hardware(line: SlotLine, card: GpuType, dice: random.Random) -> Hardware:
    drawn = dice.choice([32, 64, 96]) * (2 if line.datacenter else 1)
    cores = line.cores or drawn
    return Hardware(
        gpu=line.gpu,
        gpus=line.gpus,
        gpu_shown_as=card.shown_as,
        gpu_ram=card.gpu_ram,
        compute_capability=card.compute_capability,
        cuda=card.cuda,
        driver=card.driver,
        dlperf=round(card.dlperf * line.gpus, 1),
        tflops=round(card.tflops * line.gpus, 1),
        gpu_fraction=line.share,
        cpu="AMD EPYC 9354" if line.datacenter else "AMD EPYC 7543",
        cpu_cores=cores,
        cpu_share=cores * line.share,
        ram=line.ram or 128_000 * max(1, line.gpus),
        disk=_or(line.disk, round(dice.uniform(400, 2400), 1)),
        disk_speed=round(dice.uniform(1800, 5200), 1),
        upload=round(dice.uniform(500, 4000), 1),
        download=round(dice.uniform(600, 6000), 1),
        reliability=line.reliability,
        verified=line.verified,
        datacenter=line.datacenter,
        region=line.region,
        public_ip="127.0.0.1",
    )


def _or(given: float | None, drawn: float) -> float:
    return drawn if given is None else given


def _of_provider(found: dict[str, Any], provider: str) -> dict[str, Any]:
    theirs = found.pop(_PROVIDERS, None) or {}
    if not isinstance(theirs, dict):
        raise BadProfile("`providers` of the market's profile is not a map from a provider's name to its changes")
    if provider == FIRST:
        return found
    shipped = _parsed(_shipped(provider))
    return _merged(_merged(found, shipped), theirs.get(provider) or {})


def _parsed(text: str) -> Any:
    """By the fast loader, where PyYAML was built with it: every market reads three profiles when it starts."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe


def _shipped(name: str) -> str:
    return resources.files("holdfast.simcloud").joinpath(f"profiles/{name}.yaml").read_text()


def _read(path: Path | None) -> dict[str, Any]:
    text = _shipped("default") if path is None else path.read_text()
    found = _parsed(text)
    if not isinstance(found, dict):
        raise BadProfile(f"the market's profile {path} is not a map")
    base = found.pop("extends", None)
    if base is None:
        return found
    parent = None if base == "default" or path is None else path.parent / base
    return _merged(_read(parent), found)


def _merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and "kind" not in value:
            result[key] = _merged(old, value)
        else:
            result[key] = value
    return result
