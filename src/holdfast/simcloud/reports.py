"""What the control API tells: the truth about instances, slots and money, as plain JSON."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from holdfast.simcloud.bill import Bill, Line, total
from holdfast.simcloud.hosts.folder import HostFolder
from holdfast.simcloud.machines import gpus_of
from holdfast.simcloud.model import Instance, Period, Slot

Report = dict[str, Any]


def instance_report(provider: str, instance: Instance, slot: Slot, folder: HostFolder, now: datetime) -> Report:
    """One living instance, as it is and as the provider has it."""
    running = folder.running()
    return {
        "provider": provider,
        "id": instance.id,
        "alias": instance.alias,
        "label": instance.label,
        "machine_id": instance.machine_id,
        "slot": slot.id,
        "gpu": f"{gpus_of(instance, slot)}x {slot.hardware.gpu}",
        "region": slot.hardware.region,
        "state": instance.container.value,
        "said": instance.said(slot, now).value,
        "stop": instance.stop,
        "granted": instance.granted,
        "bid": None if instance.bid is None else str(instance.bid),
        "gpu_rate": str(instance.gpu_rate),
        "storage_rate": str(instance.storage_rate),
        "created_at": instance.created_at.isoformat(),
        "partitioned": instance.cut,
        "bytes_per_second": instance.bytes_per_second,
        "pid": None if running is None else running.process.pid,
        "ssh_port": instance.port,
        "home": str(folder.home),
    }


def offer_report(provider: str, slot: Slot, tenancies: Iterable[Instance]) -> Report:
    """One slot and who is on it."""
    return {
        "provider": provider,
        "slot": slot.id,
        "offer": slot.ask_id,
        "machine_id": slot.machine_id,
        "gpu": f"{slot.hardware.gpus}x {slot.hardware.gpu}",
        "region": slot.hardware.region,
        "price": str(slot.price),
        "min_bid": str(slot.min_bid),
        "withdrawn": slot.withdrawn,
        "offline": slot.offline,
        "flaw": slot.flaw,
        "rival": None if slot.rival is None else slot.rival.model_dump(mode="json"),
        "tenants": [one.id for one in tenancies if one.slot_id == slot.id],
    }


def bill_report(bills: Mapping[str, list[Line]]) -> Report:
    """The bills of all providers, each amount exact."""
    lines = [(provider, line) for provider, found in bills.items() for line in found]
    return {
        "total": str(total(line for _, line in lines)),
        "lines": [_line(provider, line) for provider, line in lines],
    }


def audit_report(bills: Iterable[Bill], moment: datetime) -> Report:
    """Who existed at a moment."""
    return {"at": moment.isoformat(), "instances": [one for bill in bills for one in bill.alive_at(moment)]}


def _period(period: Period) -> Report:
    return {
        "id": period.id,
        "state": period.state.value,
        "gpu_rate": str(period.gpu_rate),
        "storage_rate": str(period.storage_rate),
        "from": period.start.isoformat(),
        "until": None if period.end is None else period.end.isoformat(),
    }


def _line(provider: str, line: Line) -> Report:
    return {
        "provider": provider,
        "instance": line.instance_id,
        "label": line.label,
        "gpu": str(line.gpu),
        "storage": str(line.storage),
        "total": str(line.total),
        "running_seconds": line.running.total_seconds(),
        "from": line.existed_from.isoformat(),
        "until": None if line.existed_until is None else line.existed_until.isoformat(),
        "periods": [_period(period) for period in line.periods],
    }
