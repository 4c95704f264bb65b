"""What a provider's word makes of a lease."""

from dataclasses import replace
from datetime import datetime

from holdfast.contracts.machines import Instance, Lease


def taken(lease: Lease, instance: Instance) -> Lease:
    """The lease with what the provider has told by now; its price is the one that is billed."""
    return replace(
        lease,
        instance_id=instance.instance_id,
        machine_id=instance.machine_id or lease.machine_id,
        host_id=instance.host_id or lease.host_id,
        hourly=instance.hourly or lease.hourly,
        ssh=instance.ssh or lease.ssh,
        contract_ends=instance.contract_ends or lease.contract_ends,
        self_destruct=instance.self_destruct or lease.self_destruct,
        storage_hourly=lease.storage_hourly if instance.storage_hourly is None else instance.storage_hourly,
    )


def runs_since(instance: Instance, ordered_at: datetime, booted: datetime) -> datetime:
    """Since when it runs: as the provider says, unless its clock is another than ours.

    It may run before we hear that the order was accepted, and long before, if a worker dies in between.
    """
    told = instance.running_since
    return told if told is not None and ordered_at <= told <= booted else booted
