"""What a month of work costs when machines are chosen by price alone, and when losses and prices to come count too.

    python benchmarks/month.py --draw docs/images/month.png
    python benchmarks/month.py --traces TRACES --seeds 12

Each seed is a market of its own (`simcloud/studies/month.py`), and every way to choose lives through the same ones. The
figure is USD per useful hour: all that was paid, over the hours whose work was kept. With --traces the regions come and
go as zones did in records of real ones (the formats of docs/studies.md), from a moment that the seed draws.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, stdev

from holdfast.simcloud.studies.month import BEFORE, MONTH, TICK, Account, Way, live, market
from holdfast.simcloud.studies.traces import Trace, find, read


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1, help="others make a second sample")
    parser.add_argument("--traces", type=Path, nargs="+", help="files or folders of real zones")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--draw", type=Path, help="write a picture there")
    options = parser.parse_args()
    began = time.monotonic()
    traces = [read(path) for path in find(options.traces)] if options.traces else []
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    found = {seed: _one(seed, traces) for seed in seeds}
    print(_table(found))
    print(f"{len(found)} markets of {MONTH.days} days, {time.monotonic() - began:.0f} s")
    if options.json:
        told = {seed: [asdict(each) for each in ways.values()] for seed, ways in found.items()}
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    if options.draw:
        draw(options.draw, found)
    better = _savings(found, Way.BOTH)
    return 0 if fmean(better) > 0 else 1


def _one(seed: int, traces: Sequence[Trace]) -> Mapping[Way, Account]:
    ups = _ups(seed, traces) if traces else None
    world = market(seed, ups=ups)
    return {way: live(world, way) for way in Way}


def _ups(seed: int, traces: Sequence[Trace]) -> dict[str, list[bool]]:
    """A month of each zone, all from the same moment."""
    needed = (BEFORE + MONTH).total_seconds()
    spare = min(len(each.counts) * each.tick for each in traces) - needed
    if spare < 0:
        raise SystemExit(f"the traces are {-spare / 3600:.0f} h too short for a month")
    since = random.Random(seed).uniform(0, spare)
    moments = [since + place * TICK.total_seconds() for place in range(round((BEFORE + MONTH) / TICK))]
    return {each.zone: [each.counts[int(at / each.tick)] > 0 for at in moments] for each in traces}


def _savings(found: Mapping[int, Mapping[Way, Account]], way: Way) -> list[float]:
    """Share of the cost per useful hour that is saved against price alone, for each seed."""
    return [1 - ways[way].per_useful_hour / ways[Way.PRICE].per_useful_hour for ways in found.values()]


def _table(found: Mapping[int, Mapping[Way, Account]]) -> str:
    rows = [
        ("", "USD per useful hour", "saving", "spread", "least", "most", "better in", "taken", "failed", "useful h")
    ]
    for way in Way:
        accounts = [ways[way] for ways in found.values()]
        saved = _savings(found, way)
        rows.append(
            (
                way.value,
                f"{fmean(each.per_useful_hour for each in accounts):.4f}",
                f"{fmean(saved):+.1%}",
                f"{stdev(saved) if len(saved) > 1 else 0:.1%}",
                f"{min(saved):+.1%}",
                f"{max(saved):+.1%}",
                f"{sum(each > 0 for each in saved)} of {len(saved)}",
                f"{fmean(each.taken for each in accounts):.0f}",
                f"{fmean(each.failed for each in accounts):.0f}",
                f"{fmean(each.useful for each in accounts):.0f}",
            )
        )
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def draw(path: Path, found: Mapping[int, Mapping[Way, Account]]) -> None:
    """One dot for each market: what is saved against price alone."""
    from matplotlib import pyplot  # noqa: PLC0415 (it takes long to load)

    pyplot.switch_backend("agg")
    ways = [way for way in Way if way is not Way.PRICE]
    figure, axes = pyplot.subplots(figsize=(9, 3.2), layout="constrained")
    dice = random.Random(0)
    for place, way in enumerate(reversed(ways)):
        saved = _savings(found, way)
        heights = [place + dice.uniform(-0.16, 0.16) for _ in saved]
        axes.scatter([100 * each for each in saved], heights, s=26, color="#2f7d4f", alpha=0.65, linewidth=0)
        axes.plot([100 * fmean(saved)] * 2, [place - 0.3, place + 0.3], color="#d1762b", lw=2.5)
    axes.axvline(0, color="#3b4252", lw=1)
    axes.set_yticks(range(len(ways)), [way.value for way in reversed(ways)])
    axes.set_xlabel("percent saved per useful hour, against the cheapest offer each time")
    axes.set_title(f"{len(found)} simulated months; the bar is the mean", loc="left", fontsize=11)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(main())
