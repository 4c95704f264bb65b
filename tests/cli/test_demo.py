"""What the demos conclude from what they see."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast.cli.demo.findings import Finding, tell
from holdfast.cli.demo.serverless.bill import Bill
from holdfast.contracts.money import CostLine

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def a_machine(workload: str, *, hourly: str, cost: str, running: int, stopped: int, opened: int = 0) -> CostLine:
    return CostLine(
        label=f"{workload}.e1",
        workload=workload,
        tenant="",
        provider="vast",
        instance_id="1",
        gpu="RTX 4090",
        terms="interruptible",
        hourly=Decimal(hourly),
        bid=None,
        storage_hourly=None,
        opened_at=BEGAN + timedelta(seconds=opened),
        closed_at=None,
        running=timedelta(seconds=running),
        stopped=timedelta(seconds=stopped),
        cost=Decimal(cost),
        days=(),
    )


def test_a_demo_passes_only_if_everything_held(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = Finding("sleeps", True, "after 3 s"), Finding("wakes", False, "never")
    assert tell([good, good])
    assert not tell([good, bad])
    assert "FAIL  wakes: never" in capsys.readouterr().out


def test_the_bill_stands_beside_that_of_the_first_machine_always_on() -> None:
    lines = [
        a_machine("tiny-r0", hourly="9", cost="0.5", running=100, stopped=0, opened=600),
        a_machine("tiny-r0", hourly="2", cost="0.25", running=500, stopped=300),
        a_machine("tiny-saved-r0", hourly="5", cost="4", running=1, stopped=1),
    ]
    bill = Bill.of("tiny", BEGAN, BEGAN + timedelta(hours=1), lines)
    assert (bill.paid, bill.always_on) == (Decimal("0.75"), Decimal(2))
    assert bill.row() == ("tiny", "1h 00m", "10m 00s", "5m 00s", "45m 00s", "$0.7500", "$2.0000", "38 %")


def test_an_endpoint_that_never_woke_costs_nothing() -> None:
    assert Bill.of("tiny", BEGAN, BEGAN + timedelta(hours=1), []).paid == 0
