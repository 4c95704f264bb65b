"""How much the project may have: by region, and in all. A lever sets other limits, and when a breach is noticed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from holdfast.simcloud.gcp.kinds import MACHINE_TYPES, METRICS
from holdfast.simcloud.gcp.names import region_of
from holdfast.simcloud.gcp.records import Disk, Machine
from holdfast.simcloud.sim import Rules

ALL_GPUS: Final = "GPUS_ALL_REGIONS"
_KEPT = "quotas"
_DEFAULTS: Final = {
    "CPUS": 1024.0,
    "PREEMPTIBLE_CPUS": 1024.0,
    "IN_USE_ADDRESSES": 128.0,
    "SSD_TOTAL_GB": 81_920.0,
    "DISKS_TOTAL_GB": 81_920.0,
    "SNAPSHOTS": 1000.0,
    ALL_GPUS: 128.0,
    **{metric: 64.0 for name in METRICS.values() for metric in (name, f"PREEMPTIBLE_{name}")},
}
Amounts = dict[str, float]


@dataclass(frozen=True)
class Breach:
    """A quota that an order would break."""

    metric: str
    limit: float
    where: str
    late: bool  # noticed by the operation, not by the call


def set_limit(rules: Rules, metric: str, limit: float | None, *, region: str | None = None, late: bool = False) -> None:
    """From now on the limit of a metric, in one region or in each; None: the usual one again. Raises ValueError."""
    if metric not in _DEFAULTS:
        raise ValueError(f"no quota is called {metric!r}; there are: {', '.join(_DEFAULTS)}")
    account, key = rules.store.account(), f"{region or '*'}/{metric}"
    kept = account.notes.get(_KEPT, {})
    kept.pop(key, None)
    account.notes[_KEPT] = kept if limit is None else kept | {key: {"limit": limit, "late": late}}
    rules.store.put_account(account)


def breach(rules: Rules, region: str, wanted: Amounts) -> Breach | None:
    """The first quota that an order of so much more would break."""
    for metric, amount in wanted.items():
        scope = None if metric == ALL_GPUS else region
        limit, late = _limit(rules, metric, scope)
        if amount and _usage(rules, scope).get(metric, 0) + amount > limit:
            return Breach(metric, limit, "global" if scope is None else f"region {region}", late)
    return None


def rows(rules: Rules, region: str | None) -> list[dict[str, Any]]:
    """The quotas of a region, or of the project for None."""
    names = (
        [ALL_GPUS, "SNAPSHOTS"]
        if region is None
        else [each for each in _DEFAULTS if each not in (ALL_GPUS, "SNAPSHOTS")]
    )
    used = _usage(rules, region)
    return [{"metric": name, "limit": _limit(rules, name, region)[0], "usage": used.get(name, 0.0)} for name in names]


def of_machine(machine: Machine) -> Amounts:
    """What a machine takes of the quotas."""
    kind = MACHINE_TYPES[machine.machine_type]
    cpus = "PREEMPTIBLE_CPUS" if machine.spot else "CPUS"
    found = {cpus: float(kind.vcpus), "IN_USE_ADDRESSES": 1.0}
    if machine.accelerator is not None:
        found[ALL_GPUS] = float(machine.accelerators)
        if metric := METRICS.get(machine.accelerator):
            found[f"PREEMPTIBLE_{metric}" if machine.spot else metric] = float(machine.accelerators)
    return found


def of_disk(kind: str, size: int) -> Amounts:
    """What a disk takes of the quotas."""
    return {"DISKS_TOTAL_GB" if kind == "pd-standard" else "SSD_TOTAL_GB": float(size)}


def _limit(rules: Rules, metric: str, region: str | None) -> tuple[float, bool]:
    kept = rules.store.account().notes.get(_KEPT, {})
    for key in (f"{region}/{metric}", f"*/{metric}"):
        if key in kept:
            return float(kept[key]["limit"]), bool(kept[key]["late"])
    return _DEFAULTS[metric], False


def _usage(rules: Rules, region: str | None) -> Amounts:
    found: Amounts = {}
    for where, amounts in _taken(rules):
        if region in (None, where):
            for metric, amount in amounts.items():
                found[metric] = found.get(metric, 0.0) + amount
    return found


def _taken(rules: Rules) -> Iterator[tuple[str, Amounts]]:
    for instance in rules.store.instances():
        machine = Machine.model_validate(instance.notes)
        if instance.granted:
            yield region_of(machine.zone), of_machine(machine)
    for disk in rules.store.shelf(Disk).all():
        yield region_of(disk.zone), of_disk(disk.kind, disk.size)
