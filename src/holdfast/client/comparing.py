"""What rented machines cost beside references: the facts from the records, the prices from those that are known."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from temporalio.client import Client

from holdfast.client.calls import ask
from holdfast.client.errors import UnknownReference
from holdfast.contracts import activities, names
from holdfast.contracts.references import CheckedReference, Reference
from holdfast.contracts.savings import Against, Comparison, LossesInput, LossLine, MachineLife, SavingsOrder
from holdfast.market import references as known
from holdfast.policy import comparing, references


def require_known(order: SavingsOrder) -> None:
    """Raise `UnknownReference` where nobody is meant by `order.against`."""
    prices = (*order.references, *known.brought())
    if order.against != references.CHEAPEST and not any(references.is_meant(each, order.against) for each in prices):
        there = sorted({each.provider for each in prices})
        raise UnknownReference(
            f"no reference price of {order.against!r} is known",
            remedy=f"say cheapest, or one of {', '.join(there)}; --reference-file brings others",
        )


async def against(
    client: Client, lives: Sequence[MachineLife], order: SavingsOrder, *, until: datetime, max_age: timedelta
) -> Against:
    """Compare these machines, in all and, where it was asked for, by month."""
    stretches = [("", order.since, until)]
    losses = [await _losses(client, order.since, until)]
    if order.monthly:
        months = comparing.months(order.since, until, comparing.first_of(lives, losses[0], until))
        losses += [await _losses(client, begin, end) for _, begin, end in months]
        stretches += months
    return of(lives, losses, stretches, order, max_age=max_age)


async def _losses(client: Client, since: datetime | None, until: datetime) -> list[LossLine]:
    return await ask(
        client,
        activities.read_losses,
        LossesInput(since=since, until=until),
        queue=names.CONTROL_QUEUE,
        summary="what interruptions came to",
    )


def of(
    lives: Sequence[MachineLife],
    losses: Sequence[Sequence[LossLine]],
    stretches: Sequence[tuple[str, datetime | None, datetime]],
    order: SavingsOrder,
    *,
    max_age: timedelta,
) -> Against:
    """The same from facts that are known; the first stretch is the whole time, the others are months."""
    prices = (*order.references, *known.brought())
    parts = [
        _compared(lives, told, stretch, order, prices=prices, max_age=max_age)
        for stretch, told in zip(stretches, losses, strict=True)
    ]
    (lines, checked), *monthly = parts
    return Against(
        against=order.against,
        egress_per_gb=order.egress_per_gb,
        total=comparing.summed(lines, "total"),
        lines=tuple(lines),
        months=tuple(comparing.summed(rows, "") for rows, _ in monthly if rows),
        rows=tuple(row for rows, _ in monthly for row in rows),
        references=tuple(checked),
    )


def _compared(
    lives: Sequence[MachineLife],
    losses: Sequence[LossLine],
    stretch: tuple[str, datetime | None, datetime],
    order: SavingsOrder,
    *,
    prices: Sequence[Reference],
    max_age: timedelta,
) -> tuple[list[Comparison], list[CheckedReference]]:
    month, since, until = stretch
    lines: list[Comparison] = []
    shown: dict[str, list[CheckedReference]] = {}
    for tally in comparing.tallies(lives, losses, since=since, until=until):
        if tally.gpu not in shown:
            shown[tally.gpu] = references.for_gpu(
                prices, tally.gpu, against=order.against, at=until.date(), max_age=max_age
            )
        chosen = next(iter(shown[tally.gpu]), None)
        lines.append(comparing.compared(tally, chosen, egress_per_gb=order.egress_per_gb, month=month))
    return lines, [each for gpu, found in shown.items() for each in _told(found, lines, gpu)]


def _told(found: Sequence[CheckedReference], lines: Sequence[Comparison], gpu: str) -> list[CheckedReference]:
    """Each with what would have been saved against it alone, by all machines with this GPU."""
    mine = [each for each in lines if each.gpu == gpu]
    paid = sum((each.paid.total for each in mine), Decimal(0))
    useful = sum((each.useful * each.gpus for each in mine), timedelta())
    return [
        replace(
            each,
            percent=comparing.percent(paid, comparing.worth(each.reference.hourly, useful)),
            chosen=place == 0,
        )
        for place, each in enumerate(found)
    ]
