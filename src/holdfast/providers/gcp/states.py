"""From Google's status to our one word. TERMINATED is stopped, not deleted: who stopped it, operations tell."""

import re
from decimal import Decimal

from holdfast.contracts.machines import Instance, InstanceState, SshAddress, Terms
from holdfast.providers.errors import ProviderUnavailable
from holdfast.providers.gcp.kinds import Kind, card_name, country_of, last_part
from holdfast.providers.gcp.names import LABEL_KEY, instance_id, label_of
from holdfast.providers.gcp.prices import PriceList
from holdfast.providers.gcp.wire import InstanceRow, OperationRow

TERMINATED, RUNNING = "TERMINATED", "RUNNING"
_WORDS = {
    "PENDING": InstanceState.WAITING,
    "PROVISIONING": InstanceState.STARTING,
    "STAGING": InstanceState.STARTING,
    RUNNING: InstanceState.RUNNING,
    "PENDING_STOP": InstanceState.STOPPING,
    "STOPPING": InstanceState.STOPPING,
    "SUSPENDING": InstanceState.STOPPING,
    "SUSPENDED": InstanceState.STOPPED,
    "REPAIRING": InstanceState.OFFLINE,
    TERMINATED: InstanceState.STOPPED,
    "STOPPED": InstanceState.STOPPED,
    "DEPROVISIONING": InstanceState.STOPPING,
}
_PROJECT = re.compile(r"(?:^|/)projects/([^/]+)/")
_IN_FULL = (RUNNING, "PENDING_STOP", "STOPPING", "SUSPENDING")
BY_SYSTEM = {
    "compute.instances.preempted": InstanceState.INTERRUPTED,
    "compute.instances.hostError": InstanceState.EXITED,
    "compute.instances.guestTerminate": InstanceState.EXITED,
}


def label_worn(row: InstanceRow) -> str | None:
    """The value of our label on a machine; None on a machine of somebody else."""
    return (row.labels or {}).get(LABEL_KEY)


def is_spot(row: InstanceRow) -> bool:
    """Whether Google may take it back."""
    return row.scheduling is not None and row.scheduling.spot


def project_of(row: InstanceRow) -> str:
    """The project that a machine stands in. Raises ProviderUnavailable when its zone's link names none."""
    found = _PROJECT.search(row.zone)
    if found is None:
        raise ProviderUnavailable(f"Google does not tell in which project {row.name} stands")
    return found[1]


def state_of(row: InstanceRow, ending: OperationRow | None = None) -> InstanceState:
    """What a row says; UNKNOWN for a word that nothing can be concluded from.

    `ending`: the newest operation that can have switched it off. Google's list of preemptions is known to be
    incomplete: a Spot machine that is off without anybody having stopped it was taken back.
    """
    state = _WORDS.get(row.status, InstanceState.UNKNOWN)
    if row.status != TERMINATED:
        return state
    if ending is not None:
        return BY_SYSTEM.get(ending.operation_type, state)
    return InstanceState.INTERRUPTED if is_spot(row) else state


def kind_of_row(row: InstanceRow) -> Kind:
    """The kind of machine that it is, without its cores and memory."""
    cards = row.guest_accelerators or []
    return Kind(
        zone=last_part(row.zone),
        machine=last_part(row.machine_type),
        card=last_part(cards[0].accelerator_type) if cards else "",
        count=cards[0].accelerator_count if cards else 0,
    )


def instance_of(
    row: InstanceRow,
    *,
    provider: str,
    ssh_port: int,
    kind: Kind | None = None,
    prices: PriceList | None = None,
    ending: OperationRow | None = None,
) -> Instance:
    """A row in our words. Without its kind's size and a price list, what it costs is not told."""
    seen, state = kind_of_row(row), state_of(row, ending)
    compute = prices.compute(kind, spot=is_spot(row)) if kind is not None and prices is not None else None
    disk = None if prices is None else prices.disk(_disk_gb(row), seen.region)
    hourly = None if compute is None or disk is None else compute + disk
    running = row.status == RUNNING
    return Instance(
        provider=provider,
        instance_id=instance_id(project_of(row), seen.zone, row.name),
        state=state,
        detail=_detail(row, ending),
        label=label_of(label_worn(row)),
        machine_id=seen.machine_id,
        gpu=card_name(seen.card) if seen.card else "",
        gpu_count=seen.count,
        region=country_of(seen.region),
        terms=Terms.INTERRUPTIBLE if is_spot(row) else Terms.ON_DEMAND,
        hourly=hourly,
        ssh=_ssh(row, ssh_port) if running else None,
        storage_hourly=disk,
        charged=_charged(row, hourly, disk),
        running_since=row.last_start_timestamp if running else None,
    )


def _charged(row: InstanceRow, hourly: Decimal | None, disk: Decimal | None) -> Decimal | None:
    return hourly if row.status in _IN_FULL else disk


def _disk_gb(row: InstanceRow) -> float:
    return sum(disk.disk_size_gb or 0.0 for disk in row.disks or [])


def _ssh(row: InstanceRow, port: int) -> SshAddress | None:
    addresses = [each.nat_ip for net in row.network_interfaces or [] for each in net.access_configs if each.nat_ip]
    items = {item.key: item.value or "" for item in (row.metadata.items if row.metadata else [])}
    login = items.get("ssh-keys", "").split(":", 1)[0].strip()
    if not addresses or not login:
        return None
    return SshAddress(host=addresses[0], port=port, user=login)


def _detail(row: InstanceRow, ending: OperationRow | None) -> str:
    why = (ending.status_message or ending.operation_type) if ending is not None else row.status_message
    return ": ".join(part for part in (row.status, why) if part)
