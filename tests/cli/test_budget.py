"""Budgets and costs at the command line."""

from decimal import Decimal
from pathlib import Path

import pytest

from holdfast.cli.app import run

from .conftest import Run
from .standins import World


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["abc"], "'abc' is no amount of US dollars"),
        (["nan"], "'nan' is no amount of US dollars"),
        (["2000000"], "give a number from 0 to 1000000, or none"),
        (["--", "-5"], "'-5' is no amount of US dollars"),
        (["5", "--daily", "--total"], "a day or for all time, not both"),
        (["5", "--tenant", "lab", "--workload", "train"], "a tenant's or a workload's, not both"),
    ],
)
def test_what_is_no_budget_is_refused(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["budget", "set", *words]) == 2
    assert told in capsys.readouterr().err


async def test_a_budget_is_set_shown_and_removed(online: Run, name: str) -> None:
    told = await online("budget", "set", "--workload", name, "12.50", "--json")
    assert told.code == 0, told.err
    (standing,) = told.document
    assert standing["budget"] == {"scope": "workload", "name": name, "span": "total", "amount": "12.50"}
    shown = await online("budget", "show", "--workload", name)
    assert f"workload {name}" in shown.out and "$11.75" in shown.out
    assert (await online("budget", "set", "--workload", name, "none")).code == 0
    assert "no budget is set" in (await online("budget", "show", "--workload", name)).err


@pytest.mark.parametrize("amount", ["0", "0.80"])
async def test_nothing_is_started_that_no_budget_pays_for(online: Run, spec: Path, name: str, amount: str) -> None:
    await online("budget", "set", "--daily", amount)
    refused = await online("run", str(spec))
    assert refused.code == 21 and "a day of tenant 'default' has $0.0" in refused.err
    assert "holdfast budget show" in refused.err
    assert (await online("status", name)).code == 4


async def test_costs_are_shown_line_by_line_and_added_up(online: Run, world: World) -> None:
    told = await online("cost")
    assert "train.e1" in told.out and "1h 30m" in told.out
    assert "total  $0.4700, by our meter" in told.out and "DRIFT" not in told.out
    by_day = await online("cost", "--by", "day", "--json")
    assert by_day.document["groups"] == [{"name": "2026-01-02", "cost": "0.47", "machines": 1}]
    world.charged = Decimal(3)
    assert "vast: DRIFT: its bill says $3.0000 for 1 machine" in (await online("cost")).out
