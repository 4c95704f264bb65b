"""When a machine is left before it is taken, and what the time until then is enough for."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

RESERVE = timedelta(seconds=2)
"""Kept of a notice for the end of the save: what is committed after the machine is gone is committed all the same."""
CLEARLY_CHEAPER = Decimal("0.8")
"""At most this share of our price: less of a difference is noise, and the next look may undo it."""
_SHARE_OF_A_CONTRACT = 4
_SHARE_TO_END = 4
_LOOKS_WITHIN_PAYBACK = 24
_BETWEEN_LOOKS = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class LastSave:
    """A save before the machine is gone."""

    grace: timedelta  # between SIGTERM and SIGKILL
    within: timedelta  # for all of it; what is not committed by then is given up


def leave_at(contract_ends: datetime, *, since: datetime, margin: timedelta) -> datetime:
    """When to leave a machine that was rented at `since`, so that all is saved before its contract ends.

    A contract that hardly lasts longer than `margin` is used for three quarters of its time.
    """
    return contract_ends - min(margin, (contract_ends - since) / _SHARE_OF_A_CONTRACT)


def last_save(left: timedelta, *, stop_grace: timedelta) -> LastSave:
    """How to use the time that is left: most of it for the bytes, at most a quarter for the work to end by itself."""
    left = max(left, timedelta())
    within = max(left - RESERVE, left / 2)
    return LastSave(grace=min(stop_grace, within / _SHARE_TO_END), within=within)


def look_every(payback: timedelta) -> timedelta:
    """Between two looks for a cheaper machine: prices change slowly, and each look asks every provider."""
    return min(payback / _LOOKS_WITHIN_PAYBACK, _BETWEEN_LOOKS)


def saving(
    hourly: Decimal, offered: Decimal, *, payback: timedelta, move: timedelta, losses: float = 0.0
) -> Decimal | None:
    """USD that are saved within `payback` by leaving a machine for `hourly` for one for `offered`; None: nothing is.

    A move that takes so long costs the price of both machines meanwhile: of the one whose work stands, and of the one
    that is being made ready. `losses` are those to be expected of the other machine within `payback` beyond those of
    ours; each costs one move more. They may be fewer than none. Prices are USD per hour.
    """
    if offered > hourly * CLEARLY_CHEAPER:
        return None
    once = (hourly + offered) * _hours(move)
    saved = (hourly - offered) * _hours(payback) - once - once * Decimal(str(round(losses, 6)))
    return saved if saved > 0 else None


def _hours(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)) / Decimal(3_600_000_000)
