"""Pictures of recoveries: one bar for each incident, with its phases in colours.

matplotlib is imported when a picture is drawn: it takes longer to load than most commands take to run.
"""

from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from holdfast.cli.errors import UsageProblem
from holdfast.contracts.incidents import Incident, Phases

SUFFIXES: Final = (".png", ".svg")
MOST: Final = 60
"""Incidents in one picture; the newest are drawn."""

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
    from matplotlib import rc_context  # noqa: PLC0415 (see above)
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    shown = incidents[-MOST:]
    figure = Figure(figsize=(11, 1.7 + 0.42 * len(shown) + _LEGEND_BELOW), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for row, incident in enumerate(shown):
        _bar(axes, row, incident)
    longest = max((each.phases.total().total_seconds() for each in shown), default=0.0)
    if objective is not None:
        seconds = objective.total_seconds()
        axes.axvline(seconds, color=_INK, linestyle="--", linewidth=1, zorder=2)
        axes.text(seconds, -0.72, f" objective {seconds:g} s", color=_INK, fontsize=9, va="bottom", ha="left")
        longest = max(longest, seconds)
    axes.set_xlim(0, (longest or 1.0) * 1.16)
    axes.set_ylim(len(shown) - 0.4, -1.0)
    axes.set_yticks(range(len(shown)), [_label(each) for each in shown])
    axes.set_xlabel("seconds since the last sign of life")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e5e9f0", linewidth=0.8)
    axes.set_axisbelow(True)
    figure.suptitle(title, fontsize=12, x=0.01, ha="left")
    _legend(figure, shown)
    # Without a date and with a fixed salt equal records give equal files.
    fixed: dict[str, Any] = {"metadata": {"Date": None}} if path.suffix == ".svg" else {}
    with rc_context({"svg.hashsalt": "holdfast"}):
        figure.savefig(path, dpi=120, **fixed)


def _bar(axes: Any, row: int, incident: Incident) -> None:
    since = 0.0
    for name, colour in _COLOURS.items():
        took = getattr(incident.phases, name).total_seconds()
        if took:
            axes.barh(row, took, left=since, height=0.62, color=colour, edgecolor="white", linewidth=0.6)
        since += took
    told = incident.strategy if incident.recovery_time is not None else f"{incident.strategy}, no progress seen yet"
    label = f"{since:.1f} s by {told}"
    axes.annotate(
        label,
        (since, row),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        color=_INK,
        zorder=3,  # over the line of the objective, on a ground of its own
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )


def _legend(figure: Any, shown: Sequence[Incident]) -> None:
    from matplotlib.patches import Patch  # noqa: PLC0415

    known = [name for name in _COLOURS if any(getattr(each.phases, name) for each in shown)]
    handles = [Patch(facecolor=_COLOURS[name], label=name) for name in known]
    figure.legend(handles=handles, loc="outside lower left", ncols=len(_COLOURS), frameon=False, fontsize=9)


def _label(incident: Incident) -> str:
    return f"e{incident.epoch_lost}  {incident.cause.value}"


assert _COLOURS.keys() == {each.name for each in fields(Phases)}
