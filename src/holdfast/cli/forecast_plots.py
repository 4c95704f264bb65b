"""A forecast as a picture: the price as it was, the path ahead, and the two ranges around it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from holdfast.cli.picture import blank_figure, save_figure

if TYPE_CHECKING:
    from holdfast.market.forecast import PriceForecast
    from holdfast.market.series import Series

_PAST: Final = "#2e3440"
_AHEAD: Final = "#0072b2"
_RANGE80: Final = "#56b4e9"
_RANGE95: Final = "#cfe8f7"
_BACK: Final = 336
"""Hours of history shown."""


def draw(path: Path, series: Series, found: PriceForecast) -> None:
    """Write the picture as PNG or SVG, by the suffix of `path`.

    Raises:
        OSError: the file cannot be written.
    """
    figure = blank_figure(width=10, height=4.8)
    axes = figure.subplots()
    _draw_past(axes, series)
    if found.hours:
        _draw_ahead(axes, found)
    axes.set_ylabel("USD an hour")
    axes.grid(axis="y", color="#e5e9f0", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.01)
    _tell_time(axes)
    axes.legend(loc="upper left", frameon=False, ncols=4, fontsize=9, bbox_to_anchor=(0, -0.1))
    axes.set_title(f"{found.key}: {found.answer.value}", loc="left", fontsize=12, color=_PAST, pad=22)
    axes.text(0, 1.02, found.why, transform=axes.transAxes, fontsize=9, color="#4c566a", va="bottom")
    save_figure(figure, path)


def _tell_time(axes: Any) -> None:
    from matplotlib import dates  # noqa: PLC0415 (takes long to load)

    drawing: Any = dates  # untyped
    locator = drawing.AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(drawing.ConciseDateFormatter(locator))


def _draw_past(axes: Any, series: Series) -> None:
    """Steps, because a price holds until somebody sees another; dots where somebody looked."""
    import numpy as np  # noqa: PLC0415 (as above)

    prices = series.prices[-_BACK:]
    seen = np.flatnonzero(np.isfinite(prices))
    first = len(series.prices) - len(prices)
    from holdfast.market.series import HOUR  # noqa: PLC0415

    at = [series.first + (first + int(cell)) * HOUR for cell in seen]
    axes.step(at, prices[seen], where="post", color=_PAST, linewidth=1.2, label="price")
    if len(seen) < len(prices):
        axes.plot(at, prices[seen], ".", color=_PAST, markersize=3)


def _draw_ahead(axes: Any, found: PriceForecast) -> None:
    at = [found.at, *(each.at for each in found.hours)]
    start = found.last
    for low, high, colour, label in (
        ("low95", "high95", _RANGE95, "95 % between"),
        ("low80", "high80", _RANGE80, "80 % between"),
    ):
        below = [start, *(getattr(each, low) for each in found.hours)]
        above = [start, *(getattr(each, high) for each in found.hours)]
        axes.fill_between(at, below, above, color=colour, linewidth=0, alpha=0.75, label=label)
    axes.plot(at, [start, *(each.price for each in found.hours)], color=_AHEAD, linewidth=1.8, label="forecast")
    axes.axvline(found.at, color="#999999", linestyle="--", linewidth=1)
