"""Whether work that need not begin now had better wait, by the prices on record."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from temporalio import activity

from holdfast.activities.translation import translated
from holdfast.contracts.market import (
    AdviseStartInput,
    Basis,
    MarketPoint,
    PricesInput,
    StartWord,
)
from holdfast.policy import gpu_names
from holdfast.records.store import Records


class Advising:
    """Every method may be repeated."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def all(self) -> list[Callable[..., Any]]:
        return [self.advise_start]

    @activity.defn
    def advise_start(self, order: AdviseStartInput) -> StartWord:
        with translated():
            return self._advise(order, datetime.now(UTC))

    def _advise(self, order: AdviseStartInput, now: datetime) -> StartWord:
        from holdfast.market import recorded  # noqa: PLC0415 (numpy: no worker needs it to start)
        from holdfast.market.start import advise  # noqa: PLC0415 (likewise)

        def start(reason: str) -> StartWord:
            return StartWord(wait=False, reason=reason, at=now)

        series = recorded.cheapest(recorded.series_of(self._points(order, since=now - recorded.LOOKED_BACK)))
        if series is None:
            return start(f"no price of {order.gpu} is on record")
        if now - series.last > recorded.FRESH:
            return start(f"the last price of {order.gpu} on record is of {series.last:%Y-%m-%d %H:%M} UTC")
        found = advise(series, within=(order.latest - now) // timedelta(hours=1))
        if found is None:
            return start(f"{series.seen} hours of prices are on record, too few to tell")
        figures = f"{found.now:.4g} USD/h a GPU now"
        if found.wait:
            figures = (
                f"waits for {found.reserve:.4g} USD/h a GPU or less, {figures}; "
                f"{found.expected:.4g} expected, a {found.chance:.0%} chance of paying more"
            )
        return StartWord(
            wait=found.wait,
            reason=figures if found.wait else f"{figures}; {found.why}",
            at=now,
            price=_usd(found.now),
            reserve=_usd(found.reserve),
            expected=_usd(found.expected),
            chance_of_more=found.chance,
        )

    def _points(self, order: AdviseStartInput, *, since: datetime) -> list[MarketPoint]:
        wanted = PricesInput(
            gpus=tuple(each for each in self._records.priced_gpus() if gpu_names.same(each, order.gpu)),
            providers=order.providers,
            regions=order.regions or ("",),
            kinds=(order.kind,),
            basis=Basis.ASKED,
            since=since,
        )
        if not wanted.gpus:
            return []
        page = self._records.prices_after(wanted)
        points = list(page.points)
        while page.next is not None:
            page = self._records.prices_after(replace(wanted, after=page.next))
            points += page.points
        return points


def _usd(price: float) -> Decimal:
    return Decimal(repr(round(price, 6)))
