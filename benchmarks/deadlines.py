"""What jobs with a deadline cost under a rule of `policy/deadline.py`, on traces of real spot machines.

    python benchmarks/deadlines.py TRACES
    python benchmarks/deadlines.py TRACES --rule uniform_progress_eager --json found.json

TRACES is a folder of zones on one clock, in the formats of docs/studies.md. 48 hours of work, a changeover of 12
minutes that is paid for, spot at 0.30 of the price on demand, a job every six hours from the second day on: in each
zone by itself with deadlines of 52, 60, 70 and 92 hours, and in all zones together with 52 and 60. Costs are shares of
the work on demand, the mean over zones and jobs.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from statistics import fmean
from typing import Final

from holdfast.policy.deadline import Rule
from holdfast.simcloud.studies.results import StudyRow
from holdfast.simcloud.studies.study import Order, Together, simulate
from holdfast.simcloud.studies.traces import Trace, find, read

HOUR: Final = timedelta(hours=1)
WORK, CHANGEOVER, SPOT_SHARE = 48 * HOUR, 0.2 * HOUR, 0.3
ONE_ZONE: Final = {52: 0.70, 60: 0.63, 70: 0.61, 92: 0.57}  # deadline in hours: the most it may cost
ALL_ZONES: Final = {52: 0.335, 60: 0.315}
MOST_LOSSES: Final = 4.5  # a job, with all zones


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What is asked of the rule, and what came out."""

    what: str
    found: float
    most: float

    @property
    def met(self) -> bool:
        return self.found <= self.most


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("traces", type=Path, help="a folder of zones")
    parser.add_argument("--rule", type=Rule, default=Rule.THRIFTY, help=f"{', '.join(Rule)}")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    began = time.monotonic()
    traces = [read(path) for path in find([options.traces])]
    figures = list(judge(traces, options.rule))
    print(f"{time.monotonic() - began:.0f} s, {len(traces)} zones")
    if options.json:
        told = [asdict(each) | {"met": each.met} for each in figures]
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0 if all(each.met for each in figures) else 1


def judge(traces: Sequence[Trace], rule: Rule) -> Iterator[Figure]:
    """Each figure as soon as it is known; it is printed, too."""
    missed = jobs = 0
    for together, aims in ((Together.APART, ONE_ZONE), (Together.TOGETHER, ALL_ZONES)):
        for hours, most in aims.items():
            rows = _rows(traces, rule, hours * HOUR, together)
            where = "one zone" if together is Together.APART else "all zones"
            missed, jobs = missed + sum(row.missed for row in rows), jobs + sum(row.jobs for row in rows)
            yield _told(
                Figure(what=f"cost, {where}, due in {hours} h", found=fmean(row.cost for row in rows), most=most)
            )
            if together is Together.TOGETHER:
                losses = fmean(row.losses for row in rows)
                yield _told(Figure(what=f"losses a job, {where}, due in {hours} h", found=losses, most=MOST_LOSSES))
    yield _told(Figure(what=f"deadlines missed, of {jobs} jobs", found=missed, most=0))


def _rows(traces: Sequence[Trace], rule: Rule, deadline: timedelta, together: Together) -> Sequence[StudyRow]:
    order = Order(
        compute=WORK,
        deadline=deadline,
        changeover=CHANGEOVER,
        price_ratio=SPOT_SHARE,
        policies=(rule,),
        together=together,
    )
    return simulate(traces, order).rows


def _told(figure: Figure) -> Figure:
    print(
        f"{figure.what:40} {figure.found:8.4f}  <= {figure.most:<6} {'met' if figure.met else 'MISSED'}",
        flush=True,
    )
    return figure


if __name__ == "__main__":
    sys.exit(main())
