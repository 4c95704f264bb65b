"""Percentiles by nearest rank: of `n` values in order, the one at place `percent / 100 × n`, rounded up.

So a percentile is always a value that was measured, half of very few values is never told as a mean of two, and 95 %
of fewer than twenty is their maximum.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

Value = TypeVar("Value", bound=Any)


def nearest_rank(values: Iterable[Value], percent: int) -> Value:
    """The smallest of the values that at least `percent` % of them do not exceed; `percent` is 1 to 100.

    Raises:
        ValueError: there are no values, or there is no such percentile.
    """
    ordered = sorted(values)
    if not ordered or not 1 <= percent <= 100:
        raise ValueError(f"there is no percentile {percent} of {len(ordered)} values")
    rank = -(-percent * len(ordered) // 100)  # in whole numbers: 0.95 is none that a float can hold
    return ordered[rank - 1]
