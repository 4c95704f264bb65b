"""Pictures of price series: a line for each, broken where prices are missing, with the cheapest offers below it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from holdfast.cli.picture import blank_figure, save_figure

if TYPE_CHECKING:
    from holdfast.contracts.market import MarketPoint
    from holdfast.market.histories import PriceHistory

MOST: Final = 8
"""Series in one picture: more cannot be told apart."""
# Okabe and Ito's set: told apart by eyes that know few colours, too.
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666", "#000000")
INK: Final = "#2e3440"
_SEEN: Final = 0.01  # of the picture's width: what is missing for less could not be told from a line
PALE: Final = "#e5e9f0"
_DASHES: Final = {"on_demand": "-", "interruptible": (0, (4, 2))}


def draw(path: Path, shown: Sequence[PriceHistory], *, title: str) -> None:
    """Write the picture as PNG or SVG, by the suffix of `path`; there is at least one series, with its points.

    Raises:
        OSError: the file cannot be written.
    """
    figure = blank_figure(width=11, height=5.2)
    axes: Any = figure.subplots()
    kept = sorted(sorted(shown, key=lambda each: -len(each.points))[:MOST], key=lambda each: -each.last)
    begin = min(each.points[0].at for each in kept)
    end = max(each.points[-1].at + each.points[-1].span for each in kept)
    for number, each in enumerate(kept):
        _draw_one(axes, each, COLOURS[number], shaded=len(kept) == 1, seen=(end - begin) * _SEEN)
    axes.set_ylabel("USD per GPU and hour")
    axes.yaxis.set_major_formatter("${x:.2f}")
    axes.set_xlim(begin, end)
    low, high = _limits(kept)
    axes.set_ylim(low, high)
    _dates(axes)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    left_out = f" ({MOST} of {len(shown)} series)" if len(shown) > MOST else ""
    figure.suptitle(title + left_out, fontsize=12, x=0.01, ha="left", color=INK)
    figure.legend(loc="outside lower left", ncols=min(len(kept) + 1, 3), frameon=False, fontsize=9)
    save_figure(figure, path)


def label_of(history: PriceHistory) -> str:
    """A series in a legend."""
    where = f" {history.region}" if history.region else ""
    kind = "on demand" if history.kind.value == "on_demand" else "spot"
    moved = "unchanged" if history.unchanged else f"last ${history.last:.3f}"
    return f"{history.gpu}, {history.provider}{where}, {kind}: {moved}"


def _draw_one(axes: Any, history: PriceHistory, colour: str, *, shaded: bool, seen: timedelta) -> None:
    dashes = _DASHES[history.kind.value]
    for number, run in enumerate(runs(history.points, seen)):
        times, prices = _steps(run, "median")
        label = label_of(history) if number == 0 else None
        axes.step(
            times,
            prices,
            where="post",
            color=colour,
            linewidth=1.5,
            linestyle=dashes,
            label=label,
            solid_capstyle="butt",
        )
        if shaded:
            _, cheapest = _steps(run, "minimum")
            told = "from the cheapest offer to the median" if number == 0 else None
            axes.fill_between(times, cheapest, prices, step="post", color=colour, alpha=0.15, linewidth=0, label=told)


def runs(points: Sequence[MarketPoint], seen: timedelta) -> list[list[MarketPoint]]:
    """Cut where points are missing for longer than can be `seen`: a line would tell of prices that nobody knows."""
    found: list[list[MarketPoint]] = []
    for point in points:
        if found and point.at - found[-1][-1].at <= max(seen, 2 * found[-1][-1].span):
            found[-1].append(point)
        else:
            found.append([point])
    return found


def _steps(run: Sequence[MarketPoint], name: str) -> tuple[list[datetime], list[float]]:
    """A point stands for its span, and the last one ends with it."""
    times = [each.at for each in run] + [run[-1].at + run[-1].span]
    values = [float(getattr(each, name)) for each in run]
    return times, [*values, values[-1]]


def _limits(shown: Sequence[PriceHistory]) -> tuple[float, float]:
    """With room at both ends; what does not move lies in the middle."""
    prices = [float(each.median) for one in shown for each in one.points]
    if len(shown) == 1:
        prices += [float(each.minimum) for each in shown[0].points]
    low, high = min(prices), max(prices)
    room = (high - low) * 0.08 or high * 0.2
    return max(low - room, 0.0), high + room


def _dates(axes: Any) -> None:
    from matplotlib import dates  # noqa: PLC0415 (takes long to load)

    known: Any = dates  # whose types matplotlib does not tell
    locator = known.AutoDateLocator(minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(known.ConciseDateFormatter(locator))
    axes.set_xlabel("UTC")
