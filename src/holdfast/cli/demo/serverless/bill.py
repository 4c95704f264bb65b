"""What the endpoints of a play cost, beside what machines that are always on would have."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from holdfast.cli import console, words
from holdfast.cli.demo.findings import Finding
from holdfast.client.holdfast import Holdfast
from holdfast.contracts.endpoints import replica_name
from holdfast.contracts.money import CostLine

_HOUR = Decimal(3600)


@dataclass(frozen=True)
class Bill:
    """One endpoint's, from its deployment on."""

    endpoint: str
    lasted: timedelta
    running: timedelta
    stopped: timedelta  # a machine was there and did not run: it slept, or booted
    paid: Decimal  # USD
    always_on: Decimal  # USD: its first machine, for all of that time

    @classmethod
    def of(cls, endpoint: str, since: datetime, until: datetime, lines: Sequence[CostLine]) -> "Bill":
        own = sorted((each for each in lines if each.workload == replica_name(endpoint, 0)), key=_opened)
        lasted = until - since
        hourly = own[0].hourly if own else Decimal(0)
        return cls(
            endpoint=endpoint,
            lasted=lasted,
            running=sum((each.running for each in own), start=timedelta()),
            stopped=sum((each.stopped for each in own), start=timedelta()),
            paid=sum((each.cost for each in own), start=Decimal(0)),
            always_on=hourly * Decimal(lasted.total_seconds()) / _HOUR,
        )

    def row(self) -> tuple[str, ...]:
        nothing = max(self.lasted - self.running - self.stopped, timedelta())
        times = (self.lasted, self.running, self.stopped, nothing)
        share = f"{100 * self.paid / self.always_on:.0f} %" if self.always_on else "—"
        money = (words.money(self.paid), words.money(self.always_on))
        return (self.endpoint, *(words.duration(each) for each in times), *money, share)


async def show_bill(holdfast: Holdfast, deployed: dict[str, datetime]) -> Finding:
    """Print what was paid, and for which time; less than for machines that never sleep."""
    lines = (await holdfast.costs()).lines
    until = datetime.now(UTC)
    bills = [Bill.of(name, since, until, lines) for name, since in deployed.items()]
    heads = ("endpoint", "deployed for", "ran", "disk only", "no machine", "paid", "always on", "share")
    console.table(heads, [each.row() for each in bills])
    paid = sum((each.paid for each in bills), start=Decimal(0))
    always_on = sum((each.always_on for each in bills), start=Decimal(0))
    detail = f"{words.money(paid)} paid, {words.money(always_on)} for machines that are always on"
    return Finding("the pauses show on the bill", Decimal(0) < paid < always_on, detail)


def _opened(line: CostLine) -> datetime:
    return line.opened_at
