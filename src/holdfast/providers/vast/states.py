"""From Vast.ai's three state fields to our one word.

Vast.ai tells what is wanted (`intended_status`), what the contract's state is (`cur_state`) and what the container
does (`actual_status`). When a bid loses, some accounts show the wish unchanged and others show it as "stopped", like
a stop of our own. The first is INTERRUPTED; the second can only be told apart by who knows whether we asked for a
stop, and is STOPPED here.
"""

from datetime import UTC, datetime
from decimal import Decimal

from holdfast.contracts.machines import Instance, InstanceState, Terms
from holdfast.providers.vast.wire import InstanceRow, country

_CONTAINER = {
    "": InstanceState.STARTING,
    "created": InstanceState.STARTING,
    "loading": InstanceState.STARTING,
    "rebooting": InstanceState.STARTING,
    "recycling": InstanceState.STARTING,
    "running": InstanceState.RUNNING,
    "exited": InstanceState.EXITED,
    "stopped": InstanceState.EXITED,
    "offline": InstanceState.OFFLINE,
    "unknown": InstanceState.OFFLINE,
}
_BROKEN_IMAGE = ("manifest unknown", "pull access denied", "toomanyrequests")
_BROKEN_HOST = "OCI runtime create failed"


def state_of(row: InstanceRow, *, now: datetime) -> InstanceState:
    """What a row says; UNKNOWN for a combination that nothing can be concluded from."""
    match row.intended_status, row.cur_state:
        case "running", "stopped":
            return _denied(row, now)
        case "stopped", "stopped":
            return InstanceState.STOPPED
        case "stopped", "running":
            return InstanceState.STOPPING
        case "running", "running":
            return InstanceState.FAILED if _never_runs(row) else _of_container(row)
    return InstanceState.UNKNOWN


def instance_of(row: InstanceRow, *, provider: str, now: datetime) -> Instance:
    """A row in our words. The address is given only while the machine runs."""
    state = state_of(row, now=now)
    return Instance(
        provider=provider,
        instance_id=str(row.id),
        state=state,
        detail=_detail(row),
        label=row.label,
        machine_id=str(row.machine_id or ""),
        host_id=str(row.host_id or ""),
        gpu=row.gpu_name or "",
        gpu_count=row.num_gpus or 0,
        region=country(row.geolocation),
        terms=None if row.is_bid is None else Terms.INTERRUPTIBLE if row.is_bid else Terms.ON_DEMAND,
        hourly=row.dph_total,
        ssh=row.ssh() if state is InstanceState.RUNNING else None,
        contract_ends=moment(row.end_date),
        storage_hourly=row.storage_total_cost,
        charged=_charged(row, state),
        running_since=moment(row.start_date) if state is InstanceState.RUNNING else None,
    )


def moment(epoch_seconds: float | None) -> datetime | None:
    """A time of the wire, in UTC; None for one that no calendar holds."""
    try:
        return None if epoch_seconds is None else datetime.fromtimestamp(epoch_seconds, UTC)
    except (ValueError, OverflowError):
        return None


def _charged(row: InstanceRow, state: InstanceState) -> Decimal | None:
    """USD per hour in this state: the GPUs while the container runs, the disk as long as its host can be seen."""
    if state is InstanceState.UNKNOWN:
        return None
    if state is InstanceState.OFFLINE:
        return Decimal(0)
    return row.dph_total if state is InstanceState.RUNNING else row.storage_total_cost


def _denied(row: InstanceRow, now: datetime) -> InstanceState:
    ends = moment(row.end_date)
    if row.is_bid or (ends is not None and ends <= now):
        return InstanceState.INTERRUPTED
    return InstanceState.WAITING


def _never_runs(row: InstanceRow) -> bool:
    said = row.status_msg or ""
    if row.actual_status == "created" and _BROKEN_HOST in said:
        return True
    return row.actual_status in (None, "created", "loading") and any(sign in said for sign in _BROKEN_IMAGE)


def _of_container(row: InstanceRow) -> InstanceState:
    return _CONTAINER.get(row.actual_status or "", InstanceState.UNKNOWN)


def _detail(row: InstanceRow) -> str:
    fields = f"wanted {row.intended_status}, is {row.cur_state}, container {row.actual_status}"
    return f"{row.status_msg.strip()} ({fields})" if row.status_msg else fields
