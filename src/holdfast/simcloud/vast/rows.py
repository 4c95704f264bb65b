"""How offers and instances look on Vast's wire."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from holdfast.simcloud.market import MONTH_HOURS
from holdfast.simcloud.model import Container, Hardware, Instance, Slot, Stop, Wish
from holdfast.simcloud.vast.queries import Row, version_number

# What the provider documents of an offer and nobody knows of ours.
_UNTOLD = dict.fromkeys(
    (
        *(
            "avail_vol_ask_id",
            "avail_vol_dph",
            "avail_vol_size",
            "bundled_results",
            "bw_nvlink",
            "cluster_id",
            "cpu_ghz",
        ),
        *("credit_discount_max", "discount_rate", "disk_name", "expected_reliability", "external", "geolocode"),
        *("gpu_display_active", "gpu_ids", "gpu_lanes", "gpu_max_power", "gpu_max_temp", "gpu_mem_bw", "hostname"),
        *("internet_down_cost_per_tb", "internet_up_cost_per_tb", "is_vm_deverified", "logo", "mobo_name"),
        *("nw_disk_avg_bw", "nw_disk_max_bw", "nw_disk_min_bw", "os_version", "pci_gen", "pcie_bw", "reliability_mult"),
        *("time_remaining", "ubuntu_version", "vericode", "vram_costperhour", "webpage"),
    )
)
_WORDS = {Container.ABSENT: None}
_NOT_LISTENING = (Stop.OUTBID, Stop.TAKEN)


def offer_row(slot: Slot, price: Decimal, *, interruptible: bool, storage: Decimal, now: datetime) -> Row:
    """One search result. ``price`` is the least winning bid or the full price; ``storage`` (GB) is in ``dph_total``."""
    disk = slot.storage_price * storage / MONTH_HOURS
    return (
        _UNTOLD
        | _hardware(slot.hardware)
        | _contract(slot, now)
        | {
            "id": slot.ask_id,
            "ask_contract_id": slot.ask_id,
            "bundle_id": 811220000 + slot.id,
            "dph_base": money(price),
            "dph_total": money(price + disk),
            "discounted_dph_total": money(price + disk),
            "min_bid": money(price if interruptible else slot.min_bid),
            "storage_total_cost": money(disk),
            "is_bid": interruptible,
            "rentable": True,
            "rented": False,
            "dlperf_per_dphtotal": round(slot.hardware.dlperf / float(price + disk), 3),
            "flops_per_dphtotal": round(slot.hardware.tflops / float(price + disk), 3),
            "score": round(slot.hardware.dlperf / float(price + disk) * slot.hardware.reliability, 4),
            "resource_type": "gpu",
            "vms_enabled": False,
            "search": {"gpuCostPerHour": money(price), "diskHour": money(disk), "totalHour": money(price + disk)},
        }
    )


def instance_row(instance: Instance, slot: Slot, *, outbid_fields: str, now: datetime) -> Row:
    """One of the account's instances."""
    said = instance.said(slot, now)
    return (
        _hardware(slot.hardware)
        | _contract(slot, now)
        | _states(instance, said, outbid_fields)
        | _reach(instance, said)
        | {
            "id": instance.id,
            "label": instance.label,
            "status_msg": instance.message,
            "image_uuid": instance.order.image,
            "image_runtype": instance.order.runtype,
            "image_args": [],
            "onstart": instance.order.onstart,
            "extra_env": [[name, value] for name, value in instance.order.environment.items()],
            "is_bid": instance.interruptible,
            "min_bid": money(slot.min_bid),
            "dph_base": money(instance.gpu_rate),
            "dph_total": money(instance.gpu_rate + instance.storage_rate),
            "storage_total_cost": money(instance.storage_rate),
            "start_date": (instance.started_at or instance.created_at).timestamp(),
            "end_date": instance.contract_end.timestamp(),
            "duration": (instance.contract_end - now).total_seconds(),
            "uptime_mins": None if instance.started_at is None else (now - instance.started_at).total_seconds() / 60,
            "disk_space": float(instance.order.disk),
            "disk_usage": -1,
            "gpu_util": None,
            "jupyter_token": "",
            "template_id": None,
            "volume_info": [],
        }
    )


def money(amount: Decimal) -> float:
    """Dollars as the wire has them."""
    return float(round(amount, 6))


def _states(instance: Instance, said: Container, outbid_fields: str) -> Row:
    current = Wish.RUNNING if instance.granted else Wish.STOPPED
    wish = instance.wish
    if instance.stop is Stop.OUTBID and outbid_fields == "all_stopped":
        wish = Wish.STOPPED
    return {
        "actual_status": _WORDS.get(said, said.value),
        "cur_state": current.value,
        "next_state": wish.value if instance.granted or instance.stop not in _NOT_LISTENING else current.value,
        "intended_status": wish.value,
    }


def _reach(instance: Instance, said: Container) -> Row:
    """Addresses; present only while the provider believes that the container runs."""
    port = instance.port if said is Container.RUNNING else None
    return {
        "public_ipaddr": "127.0.0.1\n",
        "ports": None if port is None else {"22/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(port)}]},  # noqa: S104 - as the provider words it
        "ssh_host": None if port is None else "127.0.0.1",
        "ssh_port": port,
        "ssh_idx": "1",
        "direct_port_start": -1 if port is None else port,
        "direct_port_end": -1 if port is None else port,
        "machine_dir_ssh_port": port,
    }


def _contract(slot: Slot, now: datetime) -> Row:
    return {
        "machine_id": slot.machine_id,
        "host_id": slot.host_id,
        "storage_cost": money(slot.storage_price),
        "start_date": slot.listed_at.timestamp(),
        "end_date": slot.contract_end.timestamp(),
        "duration": (slot.contract_end - now).total_seconds(),
        "inet_up_cost": 0.0,
        "inet_down_cost": 0.0,
    }


def _hardware(hardware: Hardware) -> dict[str, Any]:
    return {
        "gpu_name": hardware.gpu,
        "num_gpus": hardware.gpus,
        "gpu_ram": hardware.gpu_ram,
        "gpu_total_ram": hardware.gpu_ram * hardware.gpus,
        "gpu_frac": hardware.gpu_fraction,
        "gpu_arch": hardware.gpu_arch,
        "compute_cap": hardware.compute_capability,
        "cuda_max_good": hardware.cuda,
        "driver_version": hardware.driver,
        "driver_vers": version_number(hardware.driver),
        "cpu_name": hardware.cpu,
        "cpu_arch": "amd64",
        "cpu_cores": hardware.cpu_cores,
        "cpu_cores_effective": hardware.cpu_share,
        "cpu_ram": hardware.ram,
        "has_avx": 1,
        "disk_space": hardware.disk,
        "disk_bw": hardware.disk_speed,
        "inet_up": hardware.upload,
        "inet_down": hardware.download,
        "direct_port_count": 64,
        "static_ip": True,
        "public_ipaddr": hardware.public_ip,
        "dlperf": hardware.dlperf,
        "total_flops": hardware.tflops,
        "reliability": hardware.reliability,
        "reliability2": hardware.reliability,
        "verification": "verified" if hardware.verified else "unverified",
        "hosting_type": 1 if hardware.datacenter else 0,
        "geolocation": hardware.region,
    }
