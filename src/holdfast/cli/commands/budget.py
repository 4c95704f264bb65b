"""`holdfast budget set|show`: how much may be spent, and how much is."""

from decimal import Decimal
from typing import Annotated

import typer

from holdfast.cli import console, words
from holdfast.cli.amounts import MOST, dollars
from holdfast.cli.errors import UsageProblem
from holdfast.cli.session import DataDir, Json, with_holdfast
from holdfast.contracts.money import Scope, Span, Standing

app = typer.Typer(help="Limit what may be spent, and show how much is.", no_args_is_help=True, rich_markup_mode=None)

Tenant = Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="All workloads of this tenant.")]
Workload = Annotated[str | None, typer.Option("--workload", metavar="NAME", help="The present run of this workload.")]
_WHOSE = {Scope.SPEC: "workload {} (its spec)", Scope.WORKLOAD: "workload {}", Scope.TENANT: "tenant {}"}


@app.command("set")
def set_budget(
    *,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="US dollars; `none` removes the budget.")],
    tenant: Tenant = None,
    workload: Workload = None,
    daily: Annotated[bool, typer.Option("--daily", help="For each day, which begins at midnight UTC.")] = False,
    total: Annotated[bool, typer.Option("--total", help="For all time; the default.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Set or remove a budget. Without a name it is that of the tenant `default`.

    A machine is rented only if every budget that holds has at least ten minutes of its price left. Before a budget is
    used up the work is saved and stopped. On a budget of 0 nothing is rented, and what runs is stopped.

    \b
    Examples:
      holdfast budget set --tenant default --daily 5
      holdfast budget set --workload train 12.50
      holdfast budget set --daily none
    """
    if tenant is not None and workload is not None:
        raise UsageProblem("a budget is a tenant's or a workload's, not both", remedy="set two budgets: both hold")
    if daily and total:
        raise UsageProblem("a budget is for a day or for all time, not both", remedy="set two budgets: both hold")
    scope, name = (Scope.WORKLOAD, workload) if workload is not None else (Scope.TENANT, tenant or "default")
    span, limit = Span.DAILY if daily else Span.TOTAL, _amount(amount)
    found = with_holdfast(data_dir, lambda holdfast: holdfast.set_budget(scope, name, span, limit))
    if as_json:
        console.print_json(found)
    elif found:
        _show(found)
    else:
        console.say(f"{_WHOSE[scope].format(name)}: no {span.value} budget any more")


@app.command("show")
def show(tenant: Tenant = None, workload: Workload = None, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Show budgets, what of them is spent by our meter, and what machines that run have reserved.

    \b
    Examples:
      holdfast budget show
      holdfast budget show --workload train --json
    """
    found = with_holdfast(data_dir, lambda holdfast: holdfast.budgets(workload=workload, tenant=tenant))
    if as_json:
        console.print_json(found)
    elif found:
        _show(found)
    else:
        console.say("no budget is set; `holdfast budget set --daily 5` sets one")


def _amount(text: str) -> Decimal | None:
    if text == "none":
        return None
    return dollars(text, remedy=f"give a number from 0 to {MOST}, or none")


def _show(found: tuple[Standing, ...]) -> None:
    rows = [
        (
            _WHOSE[each.budget.scope].format(each.budget.name),
            each.budget.span.value,
            words.money(each.budget.amount),
            words.money(each.spent),
            words.money(each.reserved),
            words.money(each.left),
        )
        for each in found
    ]
    console.table(("BUDGET OF", "FOR", "AMOUNT", "SPENT", "RESERVED", "LEFT"), rows)
