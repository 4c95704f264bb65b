"""How well losses of spot machines are foretold, on traces of real ones.

    python benchmarks/interruptions.py TRACES --draw docs/images/risk.png

TRACES are files or folders in the formats of docs/studies.md. A model is learnt from the first half of every zone;
every hour of a running machine in the second half is then asked for its chance of a loss within 1, 6 and 24 hours, from
what was known in that hour. With --stock nothing is learnt: the model that ships answers, for all of every zone but its
first week. Beside it: what the losses of the last 24 hours, or seven days, would make of an exponential law. Then:

- at every loss, of the zones in other regions that are up then (of any where there is none) the one that has been up
  longest is taken, and it is counted how often it stays up for six hours more;
- what three days say of a zone, every day, is set beside what it was in the next three: Spearman's correlation.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from holdfast.market.risk import History, Moment, TooLittle, learn, moments
from holdfast.market.risk_scores import Score, rank_correlation, score
from holdfast.policy.interruption import HOUR, STOCK, USUALLY_UP, Model, reliability, risk
from holdfast.simcloud.studies.traces import Trace, find, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEADS: Final = (1, 6, 24)
AIMS: Final = {1: (0.20, 0.80, 0.05), 6: (0.25, 0.79, 0.08)}  # Brier skill and AUC at least, calibration error at most
LIVES_ON, RELIABLE = 0.68, 0.72
DAYS: Final = timedelta(days=3)
MODEL, EXPONENTIAL = "logistic, Kaplan-Meier", "exponential"
FIRST_WEEK: Final = timedelta(days=7)
TINY: Final = 1e-9


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way to tell a chance, at one lead, in one zone or in all."""

    lead: int  # hours
    zone: str  # "" all
    method: str
    score: Score


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What is asked of the figures, and what came out."""

    what: str
    found: float
    asked: str
    met: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("traces", type=Path, nargs="+", help="files or folders")
    parser.add_argument("--stock", action="store_true", help="learn nothing: score the model that ships")
    parser.add_argument("--zones", action="store_true", help="print every zone by itself as well")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--draw", type=Path, help="write a picture there")
    options = parser.parse_args()
    began = time.monotonic()
    histories = [_history(each) for each in map(read, find(options.traces))]
    try:
        model = STOCK if options.stock else learn(histories, share=0.5)
    except TooLittle as err:
        print(f"{err}: {err.remedy}, or score the model that ships (--stock)", file=sys.stderr)
        return 2
    print(model)
    begins = [FIRST_WEEK if options.stock else _half(each) for each in histories]
    rows = list(judge(histories, model, begins))
    for row in rows:
        if options.zones or not row.zone:
            print(_told(row))
    figures = [*_on_chances(rows), *_on_choices(histories, begins)]
    for figure in figures:
        print(f"{figure.what:52} {figure.found:8.4f}  {figure.asked:9} {'met' if figure.met else 'MISSED'}")
    print(_zone_by_zone(rows))
    print(f"{time.monotonic() - began:.0f} s")
    if options.json:
        found = {"rows": [asdict(row) for row in rows], "figures": [asdict(each) for each in figures]}
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.draw:
        draw(options.draw, histories, model, begins)
    return 0 if all(figure.met for figure in figures) else 1


def _history(trace: Trace) -> History:
    return History(zone=trace.zone, tick=timedelta(seconds=trace.tick), up=[count > 0 for count in trace.counts])


def _half(history: History) -> timedelta:
    return len(history.up) * history.tick / 2


# --- chances ---------------------------------------------------------------------------------------------------------


def judge(histories: Sequence[History], model: Model, begins: Sequence[timedelta]) -> Iterator[Row]:
    """Every way at every lead, in all zones and in each."""
    asked = [
        (moment, history)
        for history, since in zip(histories, begins, strict=True)
        for moment in moments(history, since=since)
    ]
    rates = {days: Rate(histories, timedelta(days=days)) for days in (1, 7)}
    methods: dict[str, Callable[[Moment, int], float]] = {
        MODEL: lambda moment, lead: risk(moment.past, model).within(lead * HOUR),
        f"{EXPONENTIAL}, 24 h": rates[1].chance,
        f"{EXPONENTIAL}, 7 d": rates[7].chance,
    }
    for lead in LEADS:
        told = [(moment, lost) for moment, _ in asked if (lost := moment.lost_within(lead * HOUR)) is not None]
        for zone in ["", *(history.zone for history in histories)]:
            cases = [each for each in told if zone in ("", each[0].zone)]
            for method, chance in methods.items() if cases else ():
                stated = [chance(moment, lead) for moment, _ in cases]
                yield Row(lead=lead, zone=zone, method=method, score=score(stated, [lost for _, lost in cases]))


class Rate:
    """What an exponential law makes of the losses of the time before: as many an hour from now on."""

    def __init__(self, histories: Sequence[History], window: timedelta) -> None:
        self._window = window
        self._spans = {history.zone: history.spans() for history in histories}

    def chance(self, moment: Moment, lead: int) -> float:
        now, since = moment.at, moment.at - self._window
        spans = [each for each in self._spans[moment.zone] if each.until > since and each.since <= now and each.up]
        up = sum((min(each.until, now) - max(each.since, since) for each in spans), timedelta())
        losses = sum(since < each.until <= now for each in spans)
        return 1 - math.exp(-losses * lead / max(up / HOUR, 1e-3))


def _on_chances(rows: Sequence[Row]) -> Iterator[Figure]:
    for lead, (skill, auc, calibration) in AIMS.items():
        (found,) = (row.score for row in rows if row.lead == lead and not row.zone and row.method == MODEL)
        yield _least(f"{lead} h: Brier skill", found.brier_skill, skill)
        yield _least(f"{lead} h: area under the curve", found.auc, auc)
        yield Figure(
            what=f"{lead} h: calibration error",
            found=found.calibration,
            asked=f"<= {calibration}",
            met=found.calibration <= calibration,
        )
    for lead in LEADS:
        here = {row.method: row.score.brier for row in rows if row.lead == lead and not row.zone}
        over = here[MODEL] / max(min(brier for method, brier in here.items() if method != MODEL), TINY)
        yield Figure(what=f"{lead} h: Brier over the better exponential's", found=over, asked="< 1", met=over < 1)


def _zone_by_zone(rows: Sequence[Row]) -> str:
    """In how many zones, lead by lead, the chances are better than those of an exponential law."""
    told = []
    for method in (f"{EXPONENTIAL}, 24 h", f"{EXPONENTIAL}, 7 d"):
        theirs = {(row.lead, row.zone): row.score.brier for row in rows if row.zone and row.method == method}
        ours = {(row.lead, row.zone): row.score.brier for row in rows if row.zone and row.method == MODEL}
        better = sum(ours[key] < brier for key, brier in theirs.items())
        told.append(f"{better} of {len(theirs)} times better than {method}")
    return "zone by zone and lead by lead: " + ", ".join(told)


def _least(what: str, found: float, asked: float) -> Figure:
    return Figure(what=what, found=found, asked=f">= {asked}", met=found >= asked)


def _told(row: Row) -> str:
    found = row.score
    chances = (
        f"{row.lead:3} h  {row.zone or 'all':24} {row.method:24} {found.cases:6} cases  lost {found.base_rate:.3f}"
    )
    quality = f"skill {found.brier_skill:+.3f}  AUC {found.auc:.3f}  calibration {found.calibration:.3f}"
    return f"{chances}  Brier {found.brier:.4f}  {quality}"


# --- choices ---------------------------------------------------------------------------------------------------------


def _on_choices(histories: Sequence[History], begins: Sequence[timedelta]) -> Iterator[Figure]:
    if len(histories) > 1:
        lived = [each for each in chosen(histories, begins) if each is not None]
        if lived:
            share = sum(lived) / len(lived)
            yield _least(f"lives 6 h more where we go, of {len(lived)} losses", share, LIVES_ON)
    pairs = list(foreseen(histories))
    if len({zone for zone, _, _ in pairs}) > 1:
        found = rank_correlation([stated for _, stated, _ in pairs], [came for _, _, came in pairs])
        yield _least(f"reliability from three days, {len(pairs)} cases", found, RELIABLE)


def chosen(histories: Sequence[History], begins: Sequence[timedelta]) -> Iterator[bool | None]:
    """For every loss, whether the place that is taken instead stays up for six hours; None: nobody saw, or none was."""
    spans = [history.spans() for history in histories]
    for lost, (history, since) in enumerate(zip(histories, begins, strict=True)):
        for up, down in pairwise(spans[lost]):
            if not up.up or down.since < max(since, 24 * HOUR):
                continue
            now = down.since
            open_now = [
                (histories[place].zone, span.since, span.until, place)
                for place, each in enumerate(spans)
                for span in each
                if span.up and span.since <= now < span.until
            ]
            elsewhere = [each for each in open_now if _region(each[0]) != _region(history.zone)] or open_now
            if not elsewhere:
                yield None
                continue
            _, _, until, place = min(elsewhere, key=lambda each: (each[1], each[3]))
            end = len(histories[place].up) * histories[place].tick
            yield until - now >= 6 * HOUR if until - now >= 6 * HOUR or until < end else None


def _region(zone: str) -> str:
    """`us-east-1` of `us-east-1a_v100_1`: a zone is a region and a letter."""
    return zone.partition("_")[0].rstrip("abcdefghijklmnopqrstuvwxyz-")


def foreseen(histories: Sequence[History]) -> Iterator[tuple[str, float, float]]:
    """Every day of every zone: what the last three days say of it, and what it was in the next three."""
    for history in histories:
        size = round(DAYS / history.tick)
        step = round(timedelta(days=1) / history.tick)
        for now in range(size, len(history.up) - size + 1, step):
            before, after = history.up[now - size : now], history.up[now : now + size]
            watched = size * history.tick
            stated = reliability(up=sum(before) * history.tick, watched=watched, believed=USUALLY_UP)
            yield history.zone, stated, sum(after) / size


# --- picture ---------------------------------------------------------------------------------------------------------


def draw(path: Path, histories: Sequence[History], model: Model, begins: Sequence[timedelta]) -> None:
    """Stated against come, for each lead."""
    from matplotlib import pyplot  # noqa: PLC0415 (it takes long to load)

    pyplot.switch_backend("agg")
    figure, axes = pyplot.subplots(1, 3, figsize=(11, 3.9), layout="constrained", sharey=True)
    asked = [each for history, at in zip(histories, begins, strict=True) for each in moments(history, since=at)]
    for place, lead in enumerate(LEADS):
        told = [(each, lost) for each in asked if (lost := each.lost_within(lead * HOUR)) is not None]
        _draw_one(axes[place], lead, [(risk(each.past, model).within(lead * HOUR), lost) for each, lost in told])
    axes[0].set_ylabel("share that was lost")
    figure.suptitle("The chance of a loss as stated, and as it came", x=0.01, ha="left", fontsize=12)
    figure.savefig(path, dpi=120)


def _draw_one(axes: "Axes", lead: int, cases: Sequence[tuple[float, bool]]) -> None:
    axes.plot([0, 1], [0, 1], color="#b9bcc2", lw=1)
    bins = [[case for case in cases if min(int(case[0] * 10), 9) == each] for each in range(10)]
    filled = [each for each in bins if len(each) >= 10]
    axes.scatter(
        [sum(stated for stated, _ in each) / len(each) for each in filled],
        [sum(lost for _, lost in each) / len(each) for each in filled],
        s=[12 + 260 * len(each) / len(cases) for each in filled],
        color="#2f7d4f",
        alpha=0.85,
    )
    axes.set_title(f"within {lead} h: {len(cases)} hours of running machines", fontsize=10, loc="left")
    axes.set_xlabel("chance as stated")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    sys.exit(main())
