"""How right the chance of a loss is that our own machines tell of a place, on traces of real ones.

    python benchmarks/own_machines.py TRACES                # the second half of each record
    python benchmarks/own_machines.py TRACES --half first   # the half that policy/frailty.py was learnt from
    python benchmarks/own_machines.py TRACES --learn        # how: its numbers, from each set and from both

TRACES is the folder of skypilot-org/spot-traces. Months as those of benchmarks/month.py are lived through by price
alone. Whenever a machine is rented, it is asked for its chance of a loss within 1 and 6 hours, from what the records
know of its zone then, and it is seen what came. Beside it: what a zone that is watched all the time would make of the
same (policy/interruption.py), and an exponential law of the zone's own losses and hours.
"""

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from month import CADENCES, FOUR, SIX, WEEK, Past, month_of, pasts
from scipy.optimize import minimize
from scipy.special import gammaln

from holdfast.market.risk_scores import score
from holdfast.policy import frailty, interruption
from holdfast.policy.interruption import HOUR, Risk, Stay
from holdfast.simcloud.studies.month import TICK, Month, Way, Zone, live

LEADS: Final = (1, 6)
SETS: Final = {"six zones": SIX, "four kinds": FOUR}
Law = Callable[[list[Stay], timedelta], Risk]


def exponential(stays: list[Stay], now: timedelta) -> Risk:
    """So many losses an hour, whatever was just now; the usual where there was no machine yet."""
    had = sum((min(stay.until, now) - stay.since for stay in stays), timedelta())
    if not had:
        return frailty.USUAL
    hourly = sum(stay.lost for stay in stays) * (HOUR / had)
    return Risk(*(-math.expm1(-hourly * hours) for hours in (1, 6, 24)))


LAWS: Final[dict[str, Law]] = {
    "what ships (policy/frailty.py)": frailty.risk,
    "as if it were watched (policy/interruption.py)": lambda stays, now: interruption.risk(
        interruption.past(interruption.spans_of(stays), now)
    ),
    "exponential, of the zone's own": exponential,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("traces", type=Path, help="when zones had machines: skypilot-org/spot-traces")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--half", choices=("first", "second"), default="second", help="of each record [second]")
    parser.add_argument("--learn", action="store_true", help="print what the first halves say, and stop")
    options = parser.parse_args()
    if options.learn:
        weeks = {name: _weeks(pasts(options.traces, folder)) for name, folder in SETS.items()}
        for name, each in {**weeks, "both": [week for found in weeks.values() for week in found]}.items():
            print(_learnt(name, each))
        return 0
    half = 0 if options.half == "first" else 1
    for name, folder in SETS.items():
        told: dict[str, list[Risk]] = {law: [] for law in LAWS}
        lost: dict[int, list[bool]] = {lead: [] for lead in LEADS}

        def rented(
            zone: Zone,
            at: int,
            stays: list[Stay],
            now: timedelta,
            told: dict[str, list[Risk]] = told,
            lost: dict[int, list[bool]] = lost,
        ) -> None:
            if at + _ticks(LEADS[-1]) > len(zone.up):
                return  # nobody knows how it ended
            for law, ask in LAWS.items():
                told[law].append(ask(stays, now))
            for lead in LEADS:
                lost[lead].append(not all(zone.up[at : at + _ticks(lead)]))

        for seed in range(1, options.seeds + 1):
            zones = month_of(seed, half, pasts(options.traces, folder), [])
            live(Month(zones=zones, saves=CADENCES[0], seed=seed), Way.PRICE, rented=rented)
        for lead in LEADS:
            came = lost[lead]
            print(f"\n{name}, within {lead} h: {len(came)} machines rented, {sum(came) / len(came):.0%} lost")
            print(f"  {'':48}  stated  Brier skill  area  calibration error")
            for law, risks in told.items():
                chances = [risk.hour if lead == LEADS[0] else risk.six_hours for risk in risks]
                found = score(chances, came)
                print(
                    f"  {law:48}  {sum(chances) / len(chances):6.0%}  {found.brier_skill:11.3f}  {found.auc:.3f}"
                    f"  {found.calibration:.3f}"
                )
    return 0


def _weeks(found: Sequence[Past]) -> list[list[tuple[float, bool]]]:
    """The lives that began in each week of each zone, in hours and with whether they ended in the first half."""
    weeks: dict[tuple[str, int], list[tuple[float, bool]]] = defaultdict(list)
    for past in found:
        up = past.up[: len(past.up) // 2]
        since = None
        for tick, (before, now) in enumerate(pairwise(up), start=1):
            if now and not before:
                since = tick
            elif before and not now and since is not None:
                weeks[past.name, since // round(WEEK / TICK)].append(((tick - since) * TICK / HOUR, True))
                since = None
        if since is not None:
            weeks[past.name, since // round(WEEK / TICK)].append(((len(up) - since) * TICK / HOUR, False))
    return list(weeks.values())


def _learnt(name: str, weeks: Sequence[Sequence[tuple[float, bool]]]) -> str:
    """The most likely hazards and spread where each week of a zone has a factor of its own (gamma, mean 1)."""
    ends = [end for end, _ in frailty.HAZARD]
    begins = [0.0, *ends[:-1]]
    spent = np.array(
        [
            [sum(max(0.0, min(life, end) - begin) for life, _ in week) for begin, end in zip(begins, ends, strict=True)]
            for week in weeks
        ]
    )
    ended = np.array(
        [
            [sum(begin < life <= end and over for life, over in week) for begin, end in zip(begins, ends, strict=True)]
            for week in weeks
        ]
    )
    losses = ended.sum(axis=1)

    def unlikely(logs: np.ndarray) -> float:
        hazards, alike = np.exp(logs[:-1]), math.exp(-logs[-1])
        factor = gammaln(alike + losses) - gammaln(alike) + alike * math.log(alike)
        return -float((ended @ logs[:-1] + factor - (alike + losses) * np.log(alike + spent @ hazards)).sum())

    found = np.exp(minimize(unlikely, np.zeros(len(ends) + 1), method="BFGS").x)
    rates = ", ".join(f"{rate:.3f} to {end:g} h" for rate, end in zip(found, ends, strict=False))
    return f"{name}: {losses.sum()} losses in {len(weeks)} weeks of zones; {rates}; alike {1 / found[-1]:.1f}"


def _ticks(hours: int) -> int:
    return round(hours * HOUR / TICK)


if __name__ == "__main__":
    sys.exit(main())
