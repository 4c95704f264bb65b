"""What is remembered of machines, and the operator's say in it."""

from datetime import UTC, datetime, timedelta

from temporalio.client import Client

from holdfast.client.calls import ask
from holdfast.client.errors import UnknownMachine
from holdfast.contracts import activities, names
from holdfast.contracts.memory import BanInput, ListMachinesInput, MachineHistory, MachineKey, MachineMemory


async def remembered(client: Client, *, provider: str | None, banned_only: bool) -> tuple[MachineMemory, ...]:
    """Every machine that we ever had or that somebody banned; the banned first."""
    order = ListMachinesInput(provider=provider, banned_only=banned_only)
    queue, summary = names.CONTROL_QUEUE, "which machines are remembered"
    return tuple(await ask(client, activities.list_machines, order, queue=queue, summary=summary))


async def history(client: Client, provider: str, machine_id: str) -> MachineHistory:
    """The times that we had a machine, newest first.

    Raises:
        UnknownMachine: nothing is remembered of it.
    """
    key = MachineKey(provider=provider, machine_id=machine_id)
    queue, summary = names.CONTROL_QUEUE, f"the history of {provider} {machine_id}"
    found = await ask(client, activities.machine_history, key, queue=queue, summary=summary)
    if found is None:
        raise UnknownMachine(f"nothing is remembered of a machine {machine_id!r} at {provider}")
    return found


async def ban(client: Client, provider: str, machine_id: str, *, lasting: timedelta, reason: str) -> MachineMemory:
    """Do not rent this machine for so long, whether we know it or not."""
    until = datetime.now(UTC) + lasting
    return await _edit(client, BanInput(provider=provider, machine_id=machine_id, until=until, reason=reason))


async def unban(client: Client, provider: str, machine_id: str) -> MachineMemory:
    """Lift a ban, and forget what was held against the machine until now."""
    return await _edit(client, BanInput(provider=provider, machine_id=machine_id, until=None))


async def _edit(client: Client, order: BanInput) -> MachineMemory:
    what = "unban" if order.until is None else "ban"
    summary = f"{what} {order.provider} {order.machine_id}"
    return await ask(client, activities.ban_machine, order, queue=names.CONTROL_QUEUE, summary=summary)
