"""Pictures of recoveries and of wakes, one bar for each with its phases in colours; and of numbers by step.

matplotlib is imported when a picture is drawn: it takes longer to load than most commands take to run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from holdfast.cli.errors import UsageProblem
from holdfast.contracts.incidents import Incident, Phases

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from holdfast.contracts.endpoints import Wake, WakePhases
    from holdfast.contracts.jobs import Series

SUFFIXES: Final = (".png", ".svg")
MOST: Final = 60
"""Incidents in one picture; the newest are drawn."""
MOST_PLOTS: Final = 12
"""Series in one picture."""

# Told apart by lightness too, for eyes and printers that know few colours (Okabe and Ito's set, in another order).
_COLOURS: Final = {
    "detect": "#d55e00",
    "decide": "#e69f00",
    "provision": "#f0e442",
    "boot": "#56b4e9",
    "connect": "#0072b2",
    "restore": "#009e73",
    "start": "#cc79a7",
    "progress": "#999999",
}
WAKING: Final = {
    "place": "#e69f00",
    "boot": "#56b4e9",
    "connect": "#0072b2",
    "fetch": "#009e73",
    "load": "#cc79a7",
    "first_byte": "#999999",
}
_INK: Final = "#2e3440"
_LEGEND_BELOW: Final = 0.55  # inches


def require_drawable(path: Path | None) -> None:
    """Said before anything is asked for or worked out, not after. Raises UsageProblem; None is no picture, and fine."""
    if path is None:
        return
    if path.suffix not in SUFFIXES:
        why = f"{path} is no picture: it ends neither with .png nor with .svg"
        raise UsageProblem(why, remedy="give a name that ends in .png or .svg")
    if not path.absolute().parent.is_dir():
        raise UsageProblem(f"there is no folder {path.parent} to draw in")


def draw(path: Path, incidents: Sequence[Incident], *, title: str, objective: timedelta | None) -> None:
    """Write the picture as PNG or SVG, by the suffix of `path`; there is at least one incident.

    Raises:
        OSError: the file cannot be written.
    """
    shown = incidents[-MOST:]
    bars = [_Bar(_label(each), _parts(each.phases, _COLOURS), _told(each)) for each in shown]
    _draw(path, bars, _COLOURS, title=title, axis="seconds since the last sign of life", objective=objective)


def draw_wakes(path: Path, wakes: Sequence[Wake], *, title: str) -> None:
    """The same for the wakes of an endpoint. Raises OSError: the file cannot be written."""
    bars = [
        _Bar(f"{each.asked_at:%d %b %H:%M:%S}  {each.woken_from.value}", _parts(each.phases, WAKING), "")
        for each in wakes[-MOST:]
    ]
    _draw(path, bars, WAKING, title=title, axis="seconds since somebody called", objective=None)


def draw_series(path: Path, series: Sequence[Series], *, title: str) -> None:
    """Numbers by step, one plot below the other; lines where another machine or attempt went on.

    Raises:
        OSError: the file cannot be written.
    """
    shown = series[:MOST_PLOTS]
    figure = blank_figure(width=9, height=0.9 + 2.1 * len(shown))
    for axes, each in zip(figure.subplots(len(shown), 1, squeeze=False).flat, shown, strict=True):
        _draw_one(axes, each)
    left_out = f" (the first {MOST_PLOTS} of {len(series)} series)" if len(series) > len(shown) else ""
    figure.suptitle(title + left_out, fontsize=12, x=0.01, ha="left")
    save_figure(figure, path)


def _draw_one(axes: Any, series: Series) -> None:
    steps = [each.step for each in series.points]
    marker = "o" if len(steps) == 1 else ""
    axes.plot(steps, [each.value for each in series.points], color="#0072b2", linewidth=1.3, marker=marker)
    for before, after in pairwise(series.points):
        if (before.attempt, before.epoch) != (after.attempt, after.epoch):
            another = before.attempt != after.attempt
            axes.axvline(after.step, color="#d55e00" if another else "#e69f00", linestyle="--", linewidth=1)
            told = f" attempt {after.attempt}" if another else f" e{after.epoch}"
            axes.text(after.step, 1.0, told, transform=axes.get_xaxis_transform(), fontsize=8, va="top", color=_INK)
    axes.set_ylabel(series.name)
    axes.set_xlabel("step")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e5e9f0", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)


def blank_figure(*, width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 (see above)
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Without a date and with a fixed salt equal records give equal files."""
    from matplotlib import rc_context  # noqa: PLC0415 (see above)

    fixed: dict[str, Any] = {"metadata": {"Date": None}} if path.suffix == ".svg" else {}
    with rc_context({"svg.hashsalt": "holdfast"}):
        figure.savefig(path, dpi=120, **fixed)


@dataclass(frozen=True)
class _Bar:
    label: str
    parts: Mapping[str, float]  # seconds
    told: str  # after the sum


def _parts(phases: Phases | WakePhases, colours: Mapping[str, str]) -> dict[str, float]:
    return {name: getattr(phases, name).total_seconds() for name in colours}


def _draw(
    path: Path,
    bars: Sequence[_Bar],
    colours: Mapping[str, str],
    *,
    title: str,
    axis: str,
    objective: timedelta | None,
) -> None:
    figure = blank_figure(width=11, height=1.7 + 0.42 * len(bars) + _LEGEND_BELOW)
    axes = figure.subplots()
    for row, each in enumerate(bars):
        _draw_bar(axes, row, each, colours)
    longest = max((sum(each.parts.values()) for each in bars), default=0.0)
    if objective is not None:
        seconds = objective.total_seconds()
        axes.axvline(seconds, color=_INK, linestyle="--", linewidth=1, zorder=2)
        axes.text(seconds, -0.72, f" objective {seconds:g} s", color=_INK, fontsize=9, va="bottom", ha="left")
        longest = max(longest, seconds)
    axes.set_xlim(0, (longest or 1.0) * 1.16)
    axes.set_ylim(len(bars) - 0.4, -1.0)
    axes.set_yticks(range(len(bars)), [each.label for each in bars])
    axes.set_xlabel(axis)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e5e9f0", linewidth=0.8)
    axes.set_axisbelow(True)
    figure.suptitle(title, fontsize=12, x=0.01, ha="left")
    _legend(figure, bars, colours)
    save_figure(figure, path)


def _draw_bar(axes: Any, row: int, bar: _Bar, colours: Mapping[str, str]) -> None:
    since = 0.0
    for name, colour in colours.items():
        if took := bar.parts[name]:
            axes.barh(row, took, left=since, height=0.62, color=colour, edgecolor="white", linewidth=0.6)
        since += took
    axes.annotate(
        f"{since:.1f} s {bar.told}".rstrip(),
        (since, row),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        color=_INK,
        zorder=3,  # over the line of the objective, on a ground of its own
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )


def _told(incident: Incident) -> str:
    seen = "" if incident.recovery_time is not None else ", no progress seen yet"
    return f"by {incident.strategy}{seen}"


def _legend(figure: Any, bars: Sequence[_Bar], colours: Mapping[str, str]) -> None:
    from matplotlib.patches import Patch  # noqa: PLC0415

    known = [name for name in colours if any(each.parts[name] for each in bars)]
    handles = [Patch(facecolor=colours[name], label=name.replace("_", " ")) for name in known]
    figure.legend(handles=handles, loc="outside lower left", ncols=len(colours), frameon=False, fontsize=9)


def _label(incident: Incident) -> str:
    return f"e{incident.epoch_lost}  {incident.cause.value}"


assert _COLOURS.keys() == {each.name for each in fields(Phases)}
