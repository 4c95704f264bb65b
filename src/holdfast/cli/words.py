"""Figures as people say them: durations, ages, money, sizes."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

_KIB = 1024


def duration(value: timedelta | None) -> str:
    """`0.4s`, `12.3s`, `4m 05s`, `3h 12m`, `2d 4h`; a dash for nothing known."""
    if value is None:
        return "—"
    seconds = value.total_seconds()
    if seconds < 0:
        return f"-{duration(-value)}"
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds else "0s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h {minutes:02d}m"
    return f"{hours // 24}d {hours % 24}h"


def age(moment: datetime | None, *, now: datetime | None = None) -> str:
    """How long ago something was: `just now`, `14s ago`, `3h 12m ago`."""
    if moment is None:
        return "—"
    passed = (now or datetime.now(UTC)) - moment
    if passed < timedelta(seconds=1):
        return "just now"
    if passed < timedelta(minutes=1):
        return f"{passed.total_seconds():.0f}s ago"
    return f"{duration(passed)} ago"


def money(value: Decimal | None) -> str:
    """US dollars: to the cent from ten dollars on, finer below, because seconds of a GPU cost fractions of a cent."""
    if value is None:
        return "—"
    return f"${value:.2f}" if abs(value) >= 10 or value == 0 else f"${value:.4f}"


def rate(value: Decimal | None) -> str:
    """US dollars per hour."""
    return "—" if value is None else f"${value:.3f}/h"


def size(value: float) -> str:
    """Bytes in binary units: `512 B`, `1.5 KiB`, `2.0 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < _KIB or unit == "TiB":
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= _KIB
    raise AssertionError("the loop ends at TiB")


def clock(moment: datetime | None) -> str:
    """A moment in this computer's own time zone."""
    return "—" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def count(number: int, noun: str) -> str:
    """`1 incident`, `2 incidents`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def without_raw_words(reason: str) -> str:
    """A reason without the provider's own words, which only `--json` keeps: people read what it was taken for."""
    return re.sub(r" \(in its words: .*\)", "", reason, flags=re.DOTALL)
