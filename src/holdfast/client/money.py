"""Budgets and costs: read them, set them, and refuse early what no budget pays for."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from holdfast.client.calls import ask
from holdfast.client.errors import BudgetExceeded, HoldfastError
from holdfast.client.translation import from_rpc
from holdfast.contracts import activities, names
from holdfast.contracts.machines import Offer
from holdfast.contracts.money import (
    Budget,
    By,
    ChargesInput,
    CostGroup,
    CostLine,
    Costs,
    CostsInput,
    Drift,
    ReconcileInput,
    Scope,
    SetBudgetInput,
    Span,
    Standing,
    StandingsInput,
)
from holdfast.contracts.spec import WorkloadSpec
from holdfast.policy import budget

_RUNNING = f"WorkflowType = '{names.WORKLOAD}' AND ExecutionStatus = 'Running'"
_A_DAY = timedelta(days=1)


async def set_budget(client: Client, order: SetBudgetInput) -> tuple[Standing, ...]:
    """Replace or remove a budget, and have the workloads that run look at it at once."""
    found = await ask(
        client, activities.set_budget, order, queue=names.CONTROL_QUEUE, summary=f"budget of {order.scope} {order.name}"
    )
    await _tell(client, order)
    return tuple(found)


async def standings(client: Client, *, workload: str | None = None, tenant: str | None = None) -> tuple[Standing, ...]:
    """How budgets stand: those that hold for a workload or a tenant, or all."""
    asked = StandingsInput(workload=workload, tenant=tenant)
    return tuple(
        await ask(client, activities.read_budgets, asked, queue=names.CONTROL_QUEUE, summary="how budgets stand")
    )


async def refuse_spent_budget(client: Client, spec: WorkloadSpec, cheapest: Offer) -> None:
    """Raise `BudgetExceeded` before anything is started for which not even the cheapest machine could be paid."""
    found = await standings(client, workload=spec.name, tenant=spec.tenant)
    holding = [_for_a_new_run(each) for each in found if each.budget.scope is not Scope.SPEC]
    if spec.budget is not None:
        own = Budget(scope=Scope.SPEC, name=spec.name, span=Span.TOTAL, amount=spec.budget)
        holding.append(Standing(budget=own, spent=Decimal(0), reserved=Decimal(0)))
    reservation = budget.reserve(holding, hourly=cheapest.hourly)
    if not budget.allows_rent(reservation):
        raise BudgetExceeded(budget.refusal(reservation, hourly=cheapest.hourly))


async def costs(client: Client, providers: Iterable[str], *, by: By | None = None) -> Costs:
    """Every cost line, or what they come to by something, and how our meter stands to the providers' bills."""
    lines = [each async for each in _lines(client)]
    drift = await asyncio.gather(*(_drift(client, each, lines) for each in providers))
    total = sum((each.cost for each in lines), Decimal(0))
    told = tuple(each for each in drift if each is not None)
    if by is None:
        return Costs(total=total, lines=tuple(lines), drift=told)
    return Costs(total=total, groups=tuple(grouped(lines, by)), drift=told)


def grouped(lines: Iterable[CostLine], by: By) -> list[CostGroup]:
    """The lines added up; days in order, everything else with the dearest first."""
    parts: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for line in lines:
        if by is By.DAY:
            for each in line.days:
                parts[each.day][line.label] += each.cost
        else:
            parts[line.workload if by is By.WORKLOAD else line.provider][line.label] += line.cost
    groups = [
        CostGroup(name=name, cost=sum(costs.values(), Decimal(0)), machines=len(costs)) for name, costs in parts.items()
    ]
    return sorted(groups, key=lambda each: each.name if by is By.DAY else (-each.cost, each.name))


def _for_a_new_run(standing: Standing) -> Standing:
    """What an earlier run of the workload has spent is not the new one's."""
    if standing.budget.scope is Scope.TENANT:
        return standing
    return replace(standing, spent=Decimal(0), reserved=Decimal(0))


async def _tell(client: Client, order: SetBudgetInput) -> None:
    if order.scope is not Scope.TENANT:
        return await _signal(client, names.workload_id(order.name))
    try:
        running = [execution.id async for execution in client.list_workflows(_RUNNING)]
    except RPCError as err:
        raise from_rpc(err, client.service_client.config.target_host) from err
    for workflow_id in running:
        await _signal(client, workflow_id)
    return None


async def _signal(client: Client, workflow_id: str) -> None:
    try:
        await client.get_workflow_handle(workflow_id).signal("budget_changed")
    except RPCError as err:
        if err.status is not RPCStatusCode.NOT_FOUND or "amespace" in err.message:  # it has ended, or never ran
            raise from_rpc(err, client.service_client.config.target_host) from err


async def _lines(client: Client) -> AsyncIterator[CostLine]:
    last = None
    while last != "":
        page = await ask(
            client,
            activities.read_costs,
            CostsInput(after=last or ""),
            queue=names.CONTROL_QUEUE,
            summary="what every machine cost",
        )
        for line in page.lines:
            yield line
        last = page.last


async def _drift(client: Client, provider: str, lines: Iterable[CostLine]) -> Drift | None:
    """None where the provider tells nothing. One that does not answer hides nothing of what we know ourselves."""
    opened = [line.opened_at for line in lines if line.provider == provider]
    if not opened:
        return None
    since = min(opened) - _A_DAY
    try:
        charges = await ask(
            client,
            activities.read_charges,
            ChargesInput(provider=provider, since=since),
            queue=names.provider_queue(provider),
            summary=f"what {provider} charges",
        )
    except HoldfastError as err:
        return Drift(
            provider=provider, metered=Decimal(0), charged=Decimal(0), machines=0, beyond=False, detail=str(err)
        )
    if charges is None:
        return None
    return await ask(
        client,
        activities.reconcile_charges,
        ReconcileInput(provider=provider, since=since, charges=tuple(charges)),
        queue=names.CONTROL_QUEUE,
        summary=f"our meter beside the bill of {provider}",
    )
