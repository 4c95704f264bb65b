"""The hard limit of a live run: what a machine can cost at most is set aside before it is rented."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from holdfast.contracts.machines import LaunchOrder, LaunchResult
from holdfast.providers.base import Provider

_HOUR = Decimal(3600)
_LEAST = 60  # seconds: some providers charge a minute at least


class BudgetSpent(Exception):
    """Renting one more machine could cost more than is left. Nothing was rented."""


@dataclass
class _Rental:
    hourly: Decimal
    since: float
    until: float | None = None

    def seconds(self, now: float) -> Decimal:
        return Decimal(max(_LEAST, (self.until if self.until is not None else now) - self.since))


class Purse:
    """One run's money. Counts high: from the order to the moment when the provider does not know the machine."""

    def __init__(self, budget: Decimal, *, longest: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = budget
        self._longest = Decimal(longest.total_seconds())
        self._clock = clock
        self._rentals: dict[tuple[str, str], _Rental] = {}

    @property
    def spent(self) -> Decimal:
        """USD so far, at most."""
        now = self._clock()
        return sum((each.hourly * each.seconds(now) / _HOUR for each in self._rentals.values()), Decimal(0))

    @property
    def budget(self) -> Decimal:
        """USD."""
        return self._budget

    def reserve(self, provider: str, label: str, hourly: Decimal) -> None:
        """Set aside what a machine under this label costs until a test must be over. Raises BudgetSpent."""
        known = self._rentals.get((provider, label))
        if known is not None and known.until is None:
            return  # the same order again
        after = self._bound() + hourly * self._longest / _HOUR
        if after > self._budget:
            raise BudgetSpent(
                f"${self.spent:.4f} of ${self._budget} are spent, and another machine at ${hourly}/h "
                f"could make it ${after:.4f}"
            )
        # A second machine under a label that was used before is a second rental.
        key = (provider, label if known is None else f"{label} {len(self._rentals)}")
        self._rentals[key] = _Rental(hourly, self._clock())

    def settle(self, provider: str, label: str) -> None:
        """Nothing under this label is rented any more."""
        for (where, name), rental in self._rentals.items():
            if where == provider and name.split(" ")[0] == label and rental.until is None:
                rental.until = self._clock()

    def settle_all(self, provider: str) -> None:
        """Nothing of this run is rented at the provider any more."""
        for (where, _), rental in self._rentals.items():
            if where == provider and rental.until is None:
                rental.until = self._clock()

    def _bound(self) -> Decimal:
        """What will be spent if every machine lives as long as it may."""
        now, bound = self._clock(), Decimal(0)
        for rental in self._rentals.values():
            seconds = rental.seconds(now)
            bound += rental.hourly * (seconds if rental.until is not None else max(seconds, self._longest)) / _HOUR
        return bound


def guard(provider: Provider, purse: Purse, *, stop: Callable[[str], Any]) -> Provider:
    """The same provider; an order that the purse cannot bear calls `stop`, which must not return."""
    rent = provider.launch

    async def launch(order: LaunchOrder) -> LaunchResult:
        try:
            purse.reserve(provider.name, order.label, order.offer.hourly)
        except BudgetSpent as spent:
            stop(str(spent))
            raise
        result = await rent(order)
        if result.instance is None:
            purse.settle(provider.name, order.label)
        return result

    provider.launch = launch  # type: ignore[method-assign]  # the abilities of the class must stay
    return provider
