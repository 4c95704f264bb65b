"""What sleeping saved."""

from dataclasses import replace
from datetime import datetime, timedelta

from temporalio.client import Client

from holdfast.client import comparing
from holdfast.client.calls import ask
from holdfast.client.errors import NoSuchTime, UnknownWorkload
from holdfast.contracts import activities, names
from holdfast.contracts.savings import REFERENCE, LivesInput, MachineLife, Savings, SavingsOrder
from holdfast.policy import savings


async def compute(client: Client, order: SavingsOrder, *, max_age: timedelta) -> Savings:
    """Every stretch, added up by endpoint and workload; and beside references, where that was asked for.

    Raises:
        UnknownReference: nobody of that name asks a price that is known.
        UnknownWorkload: nothing of the name that was asked for ever had a machine.
        NoSuchTime: the time that was asked for ends before it begins, or has not begun.
    """
    if order.against:
        comparing.require_known(order)
    lives, now = await _lives(client)
    if order.name is not None:
        lives = [each for each in lives if order.name in (each.endpoint, each.workload)]
        if not lives:
            raise UnknownWorkload(f"neither an endpoint nor a workload {order.name!r} ever had a machine")
    found = of(lives, order, now)
    if not order.against:
        return found
    return replace(found, against=await comparing.against(client, lives, order, until=found.until, max_age=max_age))


def of(lives: list[MachineLife], order: SavingsOrder, now: datetime) -> Savings:
    """The same from facts that are known."""
    until = now if order.until is None else min(order.until, now)
    if order.since is not None and order.since >= until:
        raise NoSuchTime(f"no time lies between {order.since:%Y-%m-%d %H:%M:%S %Z} and {until:%Y-%m-%d %H:%M:%S %Z}")
    rows = savings.stretches(lives, since=order.since, until=until)
    return Savings(
        since=order.since,
        until=until,
        basis=REFERENCE,
        total=savings.line("total", rows),
        lines=tuple(savings.lines(rows)),
        rows=tuple(rows) if order.rows else (),
    )


async def _lives(client: Client) -> tuple[list[MachineLife], datetime]:
    """All of them, as they were when the first page was read."""
    found: dict[str, MachineLife] = {}
    order: LivesInput | None = LivesInput()
    now: datetime | None = None
    while order is not None:
        page = await ask(
            client, activities.read_lives, order, queue=names.CONTROL_QUEUE, summary="when machines were awake"
        )
        for life in page.lives:
            known = found.get(life.label)
            found[life.label] = replace(life, meter=known.meter + life.meter) if known else life
        now, order = now or page.now, page.next
    assert now is not None, "the first page has it"
    return list(found.values()), now
