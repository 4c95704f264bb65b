"""What the computed idle time costs beside the best fixed one, which only hindsight knows.

    python benchmarks/idle_time.py --draw docs/images/idle-time.png

For each stream of gaps (`request_gaps.py`) and each cost of a pause the policy is asked before every gap, knowing only
those before it. What it then pays, from the very first gap on and with no warm-up left out, is divided by what the best
fixed idle time would have paid for the same gaps. That one is found by trying every length that occurs: between two of
them a longer time only costs more. Beside it: the break-even alone, and five minutes. All costs are in seconds awake.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from request_gaps import STREAMS, gaps

from holdfast.policy.idle_time import KEPT, Gap, Price, idle_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AIM = 1.05
FIVE_MINUTES = 300.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One stream at one cost of a pause. Ratios are to the best fixed idle time; of several seeds the worst counts."""

    stream: str
    pause: float  # seconds awake that a pause costs
    best: float  # the best fixed idle time, with the first seed
    computed: float
    break_even: float
    five_minutes: float


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pauses", type=float, nargs="+", default=[15, 90, 600], help="what one costs, in s awake")
    parser.add_argument("--gaps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=1, help="others make a second sample")
    parser.add_argument("--streams", nargs="+", choices=STREAMS, default=list(STREAMS))
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--draw", type=Path, help="write a picture there")
    options = parser.parse_args()
    began = time.monotonic()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    print(_line("gaps", "pause", "best fixed", "computed", "break-even", "5 min"))
    rows = []
    for stream in options.streams:
        for pause in options.pauses:
            rows.append(measure(stream, pause, many=options.gaps, seeds=seeds))
            print(_told(rows[-1]), flush=True)
    print(_summary(rows))
    print(f"{time.monotonic() - began:.0f} s; one answer from {KEPT} gaps takes {_one_answer() * 1000:.2f} ms")
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if options.draw:
        draw(options.draw, rows)
    return 0 if all(row.computed <= AIM for row in rows) else 1


def measure(stream: str, pause: float, *, many: int, seeds: Iterable[int]) -> Row:
    """The worst of the seeds, for each rule."""
    streams = [gaps(stream, many=many, seed=seed) for seed in seeds]
    found = [best_fixed(each, pause) for each in streams]
    least = [cost for _, cost in found]

    def worst(costs: Iterable[float]) -> float:
        return max(cost / best for cost, best in zip(costs, least, strict=True))

    return Row(
        stream=stream,
        pause=pause,
        best=found[0][0],
        computed=worst(learning(each, pause) for each in streams),
        break_even=worst(fixed(each, pause, pause) for each in streams),
        five_minutes=worst(fixed(each, pause, FIVE_MINUTES) for each in streams),
    )


def price(pause: float) -> Price:
    """Whatever an hour costs, only the ratio counts."""
    return Price(running=Decimal("0.36"), asleep=Decimal(0), pausing=timedelta(), waking=timedelta(seconds=pause))


def learning(stream: Sequence[float], pause: float) -> float:
    """What the policy pays that knows, at each gap, the ones before."""
    seen: list[Gap] = []
    paid = 0.0
    for length in stream:
        answer = idle_time(seen, price(pause)).after.total_seconds()
        paid += _cost(length, answer, pause)
        seen = [*seen[1 - KEPT :], Gap(length)]
    return paid


def fixed(stream: Iterable[float], pause: float, idle: float) -> float:
    return sum(_cost(length, idle, pause) for length in stream)


def _cost(length: float, idle: float, pause: float) -> float:
    return length if length <= idle else idle + pause


def best_fixed(stream: Sequence[float], pause: float) -> tuple[float, float]:
    """The fixed idle time that pays least, and what it pays."""
    best, least, shorter = 0.0, pause * len(stream), 0.0
    for number, length in enumerate(sorted(stream), 1):
        shorter += length
        paid = shorter + (len(stream) - number) * (length + pause)
        if paid < least:
            best, least = length, paid
    return best, least


def _one_answer() -> float:
    """Seconds; the least of some, because noise only adds."""
    seen = [Gap(length) for length in gaps("lognormal, sigma 2", many=KEPT, seed=1)]
    took = []
    for _ in range(20):
        began = time.perf_counter()
        idle_time(seen, price(90))
        took.append(time.perf_counter() - began)
    return min(took)


# --- telling ------------------------------------------------------------------------------------------------------


def _told(row: Row) -> str:
    mark = "" if row.computed <= AIM else "  MISSED"
    ratios = (f"{each:.3f}" for each in (row.computed, row.break_even, row.five_minutes))
    return _line(row.stream, f"{row.pause:g} s", f"{row.best:.0f} s", *ratios) + mark


def _line(stream: str, *cells: str) -> str:
    return f"{stream:24}" + "".join(f"{cell:>12}" for cell in cells)


def _summary(rows: Sequence[Row]) -> str:
    lines = [f"aim: at most {AIM:g} for each"]
    for name in ("computed", "break_even", "five_minutes"):
        ratios = [getattr(row, name) for row in rows]
        within = sum(ratio <= AIM for ratio in ratios)
        mean = sum(ratios) / len(ratios)
        lines.append(f"{name:13} worst {max(ratios):6.3f}, mean {mean:6.3f}, within it {within} of {len(rows)}")
    return "\n".join(lines)


def draw(path: Path, rows: Sequence[Row]) -> None:
    """One line for each stream, one column for each cost of a pause."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 (it loads longer than one answer takes)
    from matplotlib.figure import Figure  # noqa: PLC0415

    pauses = sorted({row.pause for row in rows})
    names = list(dict.fromkeys(row.stream for row in rows))
    figure = Figure(figsize=(11, 1.6 + 0.26 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("What an idle time costs, beside the best fixed one in hindsight", fontsize=12, x=0.01, ha="left")
    all_axes = figure.subplots(1, len(pauses), sharey=True, squeeze=False)[0]
    for axes, pause in zip(all_axes, pauses, strict=True):
        _column(axes, [row for row in rows if row.pause == pause], names)
        axes.set_title(f"a pause costs {pause:g} s awake", fontsize=10, loc="left")
    all_axes[0].set_yticks(range(len(names)), names, fontsize=9)
    all_axes[0].set_ylim(len(names) - 0.5, -0.5)
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=110)


def _column(axes: "Axes", rows: Sequence[Row], names: Sequence[str]) -> None:
    at = [names.index(row.stream) for row in rows]
    axes.axvspan(0.5, AIM, color="#d5e3d0", label="within 5 %", lw=0)
    for label, color, marker, name in (
        ("five minutes", "#b9bcc2", "s", "five_minutes"),
        ("break-even", "#d1762b", "D", "break_even"),
        ("computed", "#2f7d4f", "o", "computed"),
    ):
        axes.scatter([getattr(row, name) for row in rows], at, s=26, color=color, marker=marker, label=label, zorder=3)
    axes.set_xscale("log")
    most = max(max(row.five_minutes, row.break_even, row.computed) for row in rows)
    axes.set_xlim(0.75, most * 1.15)
    ticks = [tick for tick in ((1, 1.25, 1.5, 2, 2.5) if most < 4 else (1, 2, 5, 10, 20, 50)) if tick <= most * 1.1]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=8)
    axes.minorticks_off()
    axes.grid(axis="y", color="#eeeeee", zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


if __name__ == "__main__":
    sys.exit(main())
