"""Sparklines: a series of prices in one line of a terminal. Gaps are gaps, and what did not move is flat."""

from collections.abc import Sequence
from typing import Final

BARS: Final = "▁▂▃▄▅▆▇█"
GAP: Final = "·"
FLAT: Final = "▄"


def spark(values: Sequence[float | None]) -> str:
    """One character for each value: the lowest is the lowest bar; None is a gap."""
    known = [each for each in values if each is not None]
    if not known:
        return GAP * len(values)
    low, high = min(known), max(known)
    return "".join(GAP if each is None else _bar(each, low, high) for each in values)


def _bar(value: float, low: float, high: float) -> str:
    if high - low <= 1e-9 * max(abs(high), 1e-9):
        return FLAT
    return BARS[min(int((value - low) / (high - low) * len(BARS)), len(BARS) - 1)]
