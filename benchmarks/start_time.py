"""What the stop rule saves on real price histories, and whether its stated chance of paying more is true.

    python benchmarks/start_time.py FOLDER [--groups vast,pi,aws] [--decisions 60] [--within 24]

A decision is made at an hour with a price, and made anew at each later one, until the rule starts or the time is up;
each sees only what was known then. The oracle knows every price to come. Exit code 1 when a figure misses.
"""

import argparse
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from holdfast.market.datasets import read
from holdfast.market.series import Series
from holdfast.market.start import advise

CAPTURED = {"vast": 0.55, "pi": 0.55}
FLAT_LOSS = -0.0015
DEARER = 0.10
CALIBRATED = 0.07
WARM_UP = 168


@dataclass(frozen=True, kw_only=True)
class Decision:
    waited: bool
    chance: float
    expected: float  # these as shares of the price at the start
    paid: float
    oracle: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--groups", default="vast,pi,aws,auction,posted")
    parser.add_argument("--decisions", type=int, default=60)
    parser.add_argument("--within", type=int, default=24)
    asked = parser.parse_args()
    series = read(asked.data)
    verdicts = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for group in asked.groups.split(","):
            found = [
                replay(each, asked.decisions, asked.within) for each in series if each.group == group and each.moved
            ]
            verdicts += judge(group, [each for each in found if each])
    return int(not all(verdicts))


def replay(series: Series, many: int, within: int) -> list[Decision]:
    seen = np.flatnonzero(np.isfinite(series.prices))
    starts = seen[(seen >= seen[0] + WARM_UP) & (seen <= seen[-1] - within)]
    if len(starts) < 24:
        return []
    return [
        decision
        for at in np.unique(np.linspace(0, len(starts) - 1, many).astype(int))
        if (decision := decide(series, int(starts[at]), seen, within)) is not None
    ]


def decide(series: Series, start: int, seen: np.ndarray, within: int) -> Decision | None:
    now = series.prices[start]
    hours = seen[(seen >= start) & (seen <= start + within)]
    first = advise(series.until(start), within=within)
    if first is None:
        return None
    paid = now
    for hour in hours:
        paid = series.prices[hour]
        advice = advise(series.until(int(hour)), within=int(start + within - hour))
        if advice is None or not advice.wait:
            break
    return Decision(
        waited=first.wait,
        chance=first.chance,
        expected=first.expected / now,
        paid=paid / now,
        oracle=series.prices[hours].min() / now,
    )


def judge(group: str, found: list[list[Decision]]) -> list[bool]:
    if not found:
        return []
    all_of_them = [each for decisions in found for each in decisions]
    saved = float(np.mean([1 - np.mean([each.paid for each in decisions]) for decisions in found]))
    possible = float(np.mean([1 - np.mean([each.oracle for each in decisions]) for decisions in found]))
    dearer = float(np.mean([each.paid > 1 + 1e-9 for each in all_of_them]))
    waits = [each for each in all_of_them if each.waited]
    print(f"{group}: {len(found)} series, {len(all_of_them)} decisions, {len(waits)} of them to wait")
    verdicts = []
    if group in CAPTURED:
        share = saved / possible
        verdicts.append(share >= CAPTURED[group])
        print(f"  saved {saved:.2%} of {possible:.2%} possible: {share:.0%} (at least 55 %): {word(verdicts[-1])}")
    else:
        verdicts.append(saved >= FLAT_LOSS)
        print(f"  saved {saved:.2%} of {possible:.2%} possible (never below -0.15 %): {word(verdicts[-1])}")
    verdicts.append(dearer <= DEARER)
    print(f"  dearer than starting now in {dearer:.1%} of decisions (at most 10 %): {word(verdicts[-1])}")
    verdicts.append(calibrated("all decisions", all_of_them))
    if waits:
        verdicts.append(calibrated("those to wait", waits))
        expected, paid = np.mean([each.expected for each in waits]), np.mean([each.paid for each in waits])
        print(f"  those to wait: expected {expected:.3f} of the price at the start, paid {paid:.3f}")
        bins(waits)
    return verdicts


def calibrated(what: str, decisions: list[Decision]) -> bool:
    stated = float(np.mean([each.chance for each in decisions]))
    came = float(np.mean([each.paid > 1 + 1e-9 for each in decisions]))
    good = abs(stated - came) <= CALIBRATED
    print(f"  chance of paying more, {what}: stated {stated:.1%}, came {came:.1%} (within 7 points): {word(good)}")
    return good


def bins(waits: list[Decision]) -> None:
    parts = []
    for low, high in ((0, 0.05), (0.05, 0.1), (0.1, 0.2), (0.2, 0.36)):
        inside = [each for each in waits if low <= each.chance < high]
        if inside:
            came = np.mean([each.paid > 1 + 1e-9 for each in inside])
            parts.append(f"{np.mean([each.chance for each in inside]):.0%} -> {came:.0%} ({len(inside)})")
    print(f"  stated -> came (decisions): {', '.join(parts)}")


def word(good: bool) -> str:
    return "pass" if good else "MISS"


if __name__ == "__main__":
    sys.exit(main())
