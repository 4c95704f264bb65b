"""Which points are too wild to be believed at once.

A price may leap, and mistakes leap too: a whole machine's price taken for one GPU's, a host that typed a zero too many.
So a point far from every one before it is held back. The next one decides: if it is as wild and agrees, the price has
really moved and both count; if it is as before, the first was a mistake and stays out.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from holdfast.contracts.market import MarketPoint

LOOKED_BACK = 24
"""Points that say what is usual."""
STALE = timedelta(days=14)
"""What is older says nothing about today."""
LEAST = 3
"""With fewer points nothing is usual yet."""
LEAP = math.log(2)
"""More than twice, or less than half, of each of them is wild. A series that leaps by itself may go on leaping."""
_AGREES = math.log(1.25)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    held: bool
    confirms: bool = False  # the point before, which was held back, counts now


def judge(point: MarketPoint, before: Sequence[MarketPoint]) -> Verdict:
    """`before` are the points of its series in order, those that were held back among them."""
    near = [each for each in before if point.at - each.at <= STALE]
    trusted = [each for each in near if not each.held][-LOOKED_BACK:]
    if len(trusted) < LEAST or not _is_wild(point, trusted):
        return Verdict(held=False)
    confirms = near[-1].held and _agree(point, near[-1])
    return Verdict(held=not confirms, confirms=confirms)


def _is_wild(point: MarketPoint, trusted: Sequence[MarketPoint]) -> bool:
    """Its lowest price or its median is far from that of every point that is trusted."""
    return _leaps(point.median, [each.median for each in trusted]) or _leaps(
        point.minimum, [each.minimum for each in trusted]
    )


def _leaps(price: Decimal, usual: Sequence[Decimal]) -> bool:
    return all(abs(_log(price) - _log(each)) > LEAP for each in usual)


def _agree(one: MarketPoint, other: MarketPoint) -> bool:
    return all(abs(apart) <= _AGREES for apart in _apart(one, other))


def _apart(one: MarketPoint, other: MarketPoint) -> Iterable[float]:
    yield _log(one.median) - _log(other.median)
    yield _log(one.minimum) - _log(other.minimum)


def _log(price: Decimal) -> float:
    return math.log(max(float(price), 1e-9))
