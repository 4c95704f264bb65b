"""Cost lines added up by what somebody asks for."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from holdfast.client.money import grouped
from holdfast.contracts.money import By, CostGroup, CostLine, DayCost

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def line(workload: str, epoch: int, provider: str, **days: str) -> CostLine:
    costs = tuple(DayCost(day=day.replace("_", "-").strip("d"), cost=Decimal(cost)) for day, cost in days.items())
    return CostLine(
        label=f"{workload}.e{epoch}",
        workload=workload,
        tenant="default",
        provider=provider,
        instance_id=f"i{epoch}",
        gpu="1x RTX 4090",
        terms="interruptible",
        hourly=Decimal("0.3"),
        bid=None,
        storage_hourly=None,
        opened_at=NOON,
        closed_at=None,
        running=timedelta(),
        stopped=timedelta(),
        cost=sum((each.cost for each in costs), Decimal(0)),
        days=costs,
    )


LINES = (
    line("train", 1, "vast", d2026_05_01="1", d2026_05_02="2"),
    line("train", 2, "tensordock", d2026_05_02="0.5"),
    line("serve", 1, "vast", d2026_05_02="7"),
)


def group(name: str, cost: str, machines: int) -> CostGroup:
    return CostGroup(name=name, cost=Decimal(cost), machines=machines)


def test_by_workload_and_by_provider_the_dearest_comes_first() -> None:
    assert grouped(LINES, By.WORKLOAD) == [group("serve", "7", 1), group("train", "3.5", 2)]
    assert grouped(LINES, By.PROVIDER) == [group("vast", "10", 2), group("tensordock", "0.5", 1)]


def test_by_day_each_day_has_what_fell_on_it() -> None:
    assert grouped(LINES, By.DAY) == [group("2026-05-01", "1", 1), group("2026-05-02", "9.5", 3)]
