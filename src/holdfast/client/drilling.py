"""A drill from its order to its report."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from temporalio.service import RPCError

from holdfast.client.errors import OperationFailed
from holdfast.contracts import names
from holdfast.contracts.incidents import Incident
from holdfast.contracts.reports import DrillReport
from holdfast.contracts.spec import Strategy
from holdfast.contracts.workload import FailoverRequest, Phase, WorkloadStatus
from holdfast.policy import drills

if TYPE_CHECKING:
    from holdfast.client.holdfast import Holdfast

LOOK_EVERY = timedelta(milliseconds=500)


async def rehearse(
    holdfast: "Holdfast", name: str, *, budget: Decimal, strategy: Strategy | None, told: Callable[[str], None]
) -> DrillReport:
    """Give the order, wait for the first progress afterwards, and say how it went; `told` hears each step once.

    Raises:
        OperationFailed: the workload ended meanwhile, or the drill did not begin because its save failed.
    """
    before = (await holdfast.status(name)).status
    request = FailoverRequest(reason="a drill", strategy=strategy, drill=budget)
    await holdfast.order_failover(name, request)
    last = ""
    while (incident := await _incident(holdfast, name, before.epoch)) is None:
        now = (await holdfast.status(name)).status
        _require_going_on(name, before, now)
        if (word := await _step(holdfast, name, before.epoch) or now.reason) != last:
            told(word)
            last = word
        await asyncio.sleep(LOOK_EVERY.total_seconds())
    found = await holdfast.report(name)
    in_place = incident.strategy == Strategy.COLDSTART
    took = incident.recovery_time or timedelta()
    left = before.lease.hourly if before.lease is not None else Decimal(0)
    rto_met = None if found.rto is None else took <= found.rto
    return DrillReport(
        workload=name,
        passed=not in_place and rto_met is not False,
        moved=not in_place,
        incident=incident,
        cost=(drills.cost(left, took) + incident.cost).quantize(Decimal("1e-6")),
        budget=budget,
        rto=found.rto,
        rto_met=rto_met,
    )


async def _incident(holdfast: "Holdfast", name: str, epoch: int) -> Incident | None:
    """The drill's, once the work has made progress again."""
    for each in (await holdfast.report(name)).incidents:
        if each.epoch_lost == epoch and each.recovered_at is not None:
            return each
    return None


async def _step(holdfast: "Holdfast", name: str, epoch: int) -> str:
    """What the failover is at; "" before it has begun."""
    handle = holdfast.temporal.get_workflow_handle(names.failover_id(name, epoch))
    with suppress(RPCError):
        return str(await handle.query("phase", rpc_timeout=timedelta(seconds=2)))
    return ""


def _require_going_on(name: str, before: WorkloadStatus, now: WorkloadStatus) -> None:
    if now.phase.is_final:
        raise OperationFailed(f"{name} ended during the drill: {now.phase}, {now.reason}")
    went_back = now.phase is Phase.RUNNING and now.epoch == before.epoch and now.since > before.since
    if went_back:
        raise OperationFailed(f"the drill did not begin, and the work goes on: {now.reason}")
