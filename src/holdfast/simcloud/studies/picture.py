"""A picture of one job: when each zone had spot, what was used when, and progress against the deadline.

matplotlib is imported when a picture is drawn: it takes longer to load than most studies take to run.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from holdfast.policy.deadline import Plan, Use
from holdfast.simcloud.studies.job import Outcome
from holdfast.simcloud.studies.world import World

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES: Final = (".png", ".svg")
_HAD, _SPOT, _ON_DEMAND, _WAITED, _LINE = "#d5e3d0", "#2f7d4f", "#d1762b", "#b9bcc2", "#3b4252"
_MOST_LABEL: Final = 34  # characters of a zone's name


def draw(path: Path, world: World, plan: Plan, outcome: Outcome, *, title: str) -> None:
    """Write the picture of a job that was run with its story, as PNG or SVG by the suffix of `path`.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 (see above)
    from matplotlib.figure import Figure  # noqa: PLC0415

    rows = len(world.zones) + 1
    figure = Figure(figsize=(11, 2.6 + 0.42 * rows + 2.6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[0.42 * rows + 0.6, 3.4])
    figure.suptitle(title, fontsize=12, x=0.01, ha="left")
    end = max(plan.deadline.total_seconds() / 3600, outcome.story[-1].until)
    _zones(above, world, outcome, end)
    _progress(below, plan, outcome, end)
    # Without a date and with a fixed salt equal runs give equal files.
    fixed: dict[str, Any] = {"metadata": {"Date": None}} if path.suffix == ".svg" else {}
    from matplotlib import rc_context  # noqa: PLC0415

    with rc_context({"svg.hashsalt": "holdfast"}):
        figure.savefig(path, dpi=120, **fixed)


def _zones(axes: "Axes", world: World, outcome: Outcome, end: float) -> None:
    """One row for each zone, and a last one for on demand and for waiting."""
    names = [zone.name for zone in world.zones]
    for row, zone in enumerate(world.zones):
        axes.broken_barh(list(_had(zone.up, world.tick, outcome.start, end)), (row - 0.4, 0.8), color=_HAD)
    last = len(names)
    for use, color in ((Use.SPOT, _SPOT), (Use.ON_DEMAND, _ON_DEMAND), (Use.WAIT, _WAITED)):
        for stretch in outcome.story:
            if stretch.use is use:
                row = names.index(stretch.zone) if use is Use.SPOT else last
                axes.broken_barh([(stretch.since, stretch.until - stretch.since)], (row - 0.28, 0.56), color=color)
    axes.set_yticks(range(last + 1), [*(_short(name) for name in names), "on demand, or none"])
    axes.set_ylim(last + 0.6, -0.6)
    axes.set_xlim(0, end)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    _legend(axes)


def _legend(axes: "Axes") -> None:
    from matplotlib.patches import Patch  # noqa: PLC0415 (as in `draw`)

    meanings = {"spot to be had": _HAD, "spot used": _SPOT, "on demand": _ON_DEMAND, "nothing rented": _WAITED}
    handles = [Patch(color=color, label=label) for label, color in meanings.items()]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, frameon=False, fontsize=9)


def _progress(axes: "Axes", plan: Plan, outcome: Outcome, end: float) -> None:
    """The work done, even progress, and the last moment at which on demand would still meet the deadline."""
    work, deadline = plan.work.total_seconds() / 3600, plan.deadline.total_seconds() / 3600
    changeover = plan.changeover.total_seconds() / 3600
    axes.fill_between(
        [deadline - work - changeover, deadline - changeover], [0, work], 0, color="#c94f4f", alpha=0.10, linewidth=0
    )
    axes.plot(
        [deadline - work - changeover, deadline - changeover],
        [0, work],
        color="#c94f4f",
        lw=1,
        label="last moment for on demand",
    )
    axes.plot([0, deadline], [0, work], color=_LINE, lw=1, ls=":", label="even progress")
    for since, until, before, done, color in _segments(outcome, changeover):
        axes.plot([since, until], [before, done], color=color, lw=2, solid_capstyle="round")
    axes.axvline(deadline, color="#c94f4f", lw=1.4, ls="--", label="deadline")
    axes.axhline(work, color=_LINE, lw=0.6)
    axes.set_ylim(0, work * 1.06)
    axes.set_xlim(0, end * 1.01)
    axes.set_xlabel("hours since the start of the job")
    axes.set_ylabel("hours of work done")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, 0.92), frameon=False, fontsize=9)


def _segments(outcome: Outcome, changeover: float) -> Iterator[tuple[float, float, float, float, str]]:
    colors = {Use.SPOT: _SPOT, Use.ON_DEMAND: _ON_DEMAND, Use.WAIT: _WAITED}
    for each in outcome.story:
        ready = min(each.until, each.since + changeover) if each.use is not Use.WAIT else each.until
        yield each.since, ready, each.done_before, each.done_before, colors[each.use]
        yield ready, each.until, each.done_before, each.done, colors[each.use]


def _had(up: Sequence[bool], tick: float, start: int, end: float) -> Iterator[tuple[float, float]]:
    """The spells with spot as (since, for how long) in hours from the start of the job."""
    until = min(len(up), start + int(end * 3600 / tick) + 1)
    at = 0
    for there, spell in groupby(up[start:until]):
        length = len(list(spell))
        if there:
            yield at * tick / 3600, length * tick / 3600
        at += length


def _short(name: str) -> str:
    return name if len(name) <= _MOST_LABEL else f"{name[: _MOST_LABEL - 1]}…"
