"""US dollars, as they are written on the command line."""

from decimal import Decimal, InvalidOperation
from typing import Final

from holdfast.cli.errors import UsageProblem

MOST: Final = 1_000_000
"""US dollars."""


def dollars(text: str, *, remedy: str = "", above_zero: bool = False) -> Decimal:
    """The amount; zero only where that makes sense.

    Raises:
        UsageProblem: it is none.
    """
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= MOST or (above_zero and not amount):
        from_ = "above 0" if above_zero else "from 0"
        raise UsageProblem(
            f"{text!r} is no amount of US dollars", remedy=remedy or f"give a number {from_} to {MOST}, such as 0.25"
        )
    return amount
