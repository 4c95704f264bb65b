"""How much may be spent: reservations against budgets, made before the spend and settled from the meter.

A machine that is rented holds a reservation: what it has cost so far, and what the coming hour will cost, or as much
of that as its budgets have left. All of it counts against each budget that holds, so that launches at the same moment
cannot promise the same dollar twice. While it runs, the reservation moves on with it; where it cannot, the work is
ended a tick before the money is, which is the time in which the last checkpoint is saved. A save that takes longer is
given up when the money is gone: no budget is exceeded by more than a tick of its machines.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from holdfast.contracts.money import Budget, Scope, Span, Standing

RESERVED_FOR = timedelta(hours=1)
"""So much of the future is reserved, where the budgets allow it."""
LOOK_EVERY = timedelta(minutes=15)
"""Between two looks at a budget that is far from its end."""
UNLIMITED_LOOK = timedelta(hours=6)
"""Between two looks where no budget holds: whoever sets one tells the workloads, and might die before it has."""
TICK = timedelta(minutes=5)
"""Before its end so much is left for the last checkpoint; and by no more than that is a budget ever exceeded."""
LEAST = LOOK_EVERY - TICK
"""A machine for which less is left is not rented: the next look might come too late."""
SHORTEST_LOOK = timedelta(seconds=15)

_HOUR = timedelta(hours=1)
_MICROSECOND = timedelta(microseconds=1)
_MICRODOLLAR = Decimal("0.000001")


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """What a machine may cost from now on."""

    ahead: Decimal  # USD beyond what it has cost so far
    covers: timedelta | None  # at its rate; None: it costs nothing at present
    limited_by: Standing | None  # the budget that allowed no more; None: all was reserved


def price_of(span: timedelta, *, hourly: Decimal) -> Decimal:
    """USD, rounded up to a millionth."""
    return (hourly * (span // _MICROSECOND) / (_HOUR // _MICROSECOND)).quantize(_MICRODOLLAR, rounding=ROUND_UP)


def reserve(standings: Iterable[Standing], *, hourly: Decimal, held: Decimal = Decimal(0)) -> Reservation:
    """The reservation of a machine that costs `hourly` from now on.

    `held` is what it had reserved ahead so far; each standing counts that as reserved. A budget that was lowered, or
    overdrawn, takes back of it what it lacks.
    """
    wanted = price_of(RESERVED_FOR, hourly=hourly)
    tightest = min(standings, key=lambda each: each.left, default=None)
    if tightest is None or held + tightest.left >= wanted:
        return Reservation(ahead=wanted, covers=RESERVED_FOR if hourly else None, limited_by=None)
    ahead = max(held + tightest.left, Decimal(0)).quantize(_MICRODOLLAR, rounding=ROUND_DOWN)
    return Reservation(ahead=ahead, covers=_lasts(ahead, hourly), limited_by=tightest)


def allows_rent(reservation: Reservation) -> bool:
    """Whether it is worth renting for, and safe until the next look."""
    return reservation.limited_by is None or (reservation.covers is not None and reservation.covers >= LEAST)


def is_used_up(reservation: Reservation) -> bool:
    """Whether the work has to end now, so that it is saved while there is money."""
    covers = reservation.covers
    return reservation.limited_by is not None and covers is not None and covers <= TICK


def look_again_after(reservation: Reservation | None, *, limited: bool = True) -> timedelta:
    """When the reservation is to be moved on; at the latest a tick before it ends. `limited`: some budget holds."""
    if not limited:
        return UNLIMITED_LOOK
    if reservation is None or reservation.covers is None:
        return LOOK_EVERY
    return min(max(reservation.covers - TICK, SHORTEST_LOOK), LOOK_EVERY)


def name_of(budget: Budget) -> str:
    """The budget in words, as in "the budget of $5.00 a day of tenant 'default'"."""
    whose = {Scope.SPEC: "in its spec", Scope.WORKLOAD: f"for workload {budget.name!r}"}
    per = " a day" if budget.span is Span.DAILY else ""
    return f"the budget of ${_dollars(budget.amount)}{per} {whose.get(budget.scope, f'of tenant {budget.name!r}')}"


def used_up(budget: Budget) -> str:
    """Why the work ends."""
    return f"{name_of(budget)} is used up"


def refusal(reservation: Reservation, *, hourly: Decimal) -> str:
    """Why a machine at this price is not rented."""
    standing = reservation.limited_by
    assert standing is not None, "only a budget refuses"
    least = price_of(LEAST, hourly=hourly)
    minutes = LEAST // timedelta(minutes=1)
    return (
        f"{name_of(standing.budget)} has ${_dollars(reservation.ahead)} left, "
        f"and {minutes} minutes of this machine cost ${_dollars(least)}"
    )


def _lasts(amount: Decimal, hourly: Decimal) -> timedelta | None:
    if not hourly:
        return None
    hours = min(amount / hourly, Decimal(RESERVED_FOR / _HOUR))
    return _MICROSECOND * int(hours * (_HOUR // _MICROSECOND))


def _dollars(amount: Decimal) -> str:
    return f"{amount:.2f}" if amount == amount.quantize(Decimal("0.01")) else f"{amount:.4f}"
