"""From TensorDock's status to our one word.

`stopped` and `stoppeddisassociated` are both STOPPED to others. Only the second one is cheap: a machine that is merely
stopped holds its GPU and is charged in full.
"""

import re
from decimal import Decimal

from holdfast.contracts.machines import Instance, InstanceState, SshAddress, Terms
from holdfast.providers.tensordock.gpus import neutral_name
from holdfast.providers.tensordock.wire import InstanceRow

LOGIN = "user"
"""Who logs in on stock images."""
STOPPED, DISASSOCIATED = "stopped", "stoppeddisassociated"
_NOT_LETTERS = re.compile(r"[\s_-]+")
_WORDS = {
    "queued": InstanceState.STARTING,
    "pending": InstanceState.STARTING,
    "creating": InstanceState.STARTING,
    "provisioning": InstanceState.STARTING,
    "starting": InstanceState.STARTING,
    "running": InstanceState.RUNNING,
    "stopping": InstanceState.STOPPING,
    STOPPED: InstanceState.STOPPED,
    DISASSOCIATED: InstanceState.STOPPED,
    "deleting": InstanceState.STOPPING,
    "deleted": InstanceState.GONE,
    "error": InstanceState.FAILED,
    # Words of the older API.
    "outbid": InstanceState.INTERRUPTED,
    "relocating": InstanceState.STARTING,
    "terminated": InstanceState.GONE,
}
# From acceptance on; the exact moment is not documented, and to assume too much is the safe side.
_IN_FULL = ("queued", "creating", "starting", "running", "stopping", STOPPED)


def plain(status: str) -> str:
    """A status, however it is spelt."""
    return _NOT_LETTERS.sub("", status).lower()


def state_of(row: InstanceRow) -> InstanceState:
    """What a row says; UNKNOWN for a word that nothing can be concluded from."""
    return _WORDS.get(plain(row.status), InstanceState.UNKNOWN)


def instance_of(row: InstanceRow, *, provider: str) -> Instance:
    """A row in our words. The address is given only while the machine runs; on which node it stands is not told."""
    state = state_of(row)
    gpus = None if row.resources is None else row.resources.gpus
    return Instance(
        provider=provider,
        instance_id=row.id,
        state=state,
        detail=_detail(row),
        label=row.name,
        machine_id=row.hostnode_id or "",
        gpu="" if gpus is None else neutral_name(gpus.v0_name),
        gpu_count=0 if gpus is None else gpus.count,
        terms=Terms.ON_DEMAND,
        hourly=row.rate_hourly,
        ssh=_ssh(row) if state is InstanceState.RUNNING else None,
        charged=_charged(row),
    )


def _ssh(row: InstanceRow) -> SshAddress | None:
    if row.ip_address is None or row.ssh_port is None:
        return None
    return SshAddress(host=row.ip_address, port=row.ssh_port, user=LOGIN)


def _charged(row: InstanceRow) -> Decimal | None:
    return row.rate_hourly if plain(row.status) in _IN_FULL else None


def _detail(row: InstanceRow) -> str:
    if plain(row.status) == STOPPED:
        return f"{row.status}, its GPU is still reserved and charged"
    return row.status
