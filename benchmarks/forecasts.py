"""How good the forecasts are on real price histories, against what is asked of them: skill, ranges, cost.

    python benchmarks/forecasts.py FOLDER [--groups vast,aws] [--origins N]

FOLDER holds CSV files in the formats of docs/market.md. Exit code 1 when a figure misses.
"""

import argparse
import sys
import warnings
from pathlib import Path

from holdfast.market.backtest import Backtest, BacktestRow, backtest
from holdfast.market.datasets import read

GROUPS = ("vast", "pi", "aws", "auction", "posted", "daily")
AT_MOST = {
    ("vast", 24): 0.85,
    ("aws", 24): 0.80,
    ("auction", 24): 0.75,
    ("vast", 1): 0.98,
    ("vast", 72): 0.86,
    ("vast", 168): 0.88,
    ("auction", 1): 1.30,
}
HARMLESS = 1.06
INSIDE = {"cover80": (0.72, 0.95), "cover95": (0.90, 0.99)}
SHORT = (1, 6, 24)
SLACK = 0.02


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--groups", default="vast,pi,aws,auction,posted")
    parser.add_argument("--origins", type=int, help="of each series; left out, small groups have more")
    asked = parser.parse_args()
    wanted = set(asked.groups.split(","))
    series = [each for each in read(asked.data) if each.group in wanted]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning would be a path without its guard
        report = backtest(series, origins=asked.origins, tell=_tell)
    return int(not all([*_table(report), *_flat(report), *_cost(report)]))


def _tell(what: str, done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done}/{of} {what[:60]:60}", end="", file=sys.stderr)


def _table(report: Backtest) -> list[bool]:
    verdicts = []
    print("group    lead series scored  MAE/last  limit   80 %   95 %  still  width80  led  verdict")
    for row in report.rows:
        limit = AT_MOST.get((row.group, row.lead), HARMLESS)
        bad = [] if row.mae is not None and row.mae <= limit else ["MAE"]
        if row.lead in SHORT:
            bad += [name for name, (low, high) in INSIDE.items() if not _inside(row, getattr(row, name), low, high)]
        verdicts.append(not bad)
        verdict = f"MISS: {', '.join(bad)}" if bad else "pass"
        print(
            f"{row.group:8} {row.lead:4} {row.series:6} {row.scored:6} {row.mae:9.3f} {limit:6.2f} {row.cover80:6.3f} "
            f"{row.cover95:6.3f} {row.still:6.3f} {row.width80:8.4f} {row.led:4.0%}  {verdict}"
        )
    return verdicts


def _inside(row: BacktestRow, covered: float, low: float, high: float) -> bool:
    """Where the price mostly is the last price, a range of no width holds more often than asked; none holds less."""
    return low <= covered <= max(high, row.still + SLACK)


def _flat(report: Backtest) -> list[bool]:
    good = report.flat == report.flat_held
    print(f"flat series: {report.flat_held} of {report.flat} gave the last price with zero width: {_word(good)}")
    return [good]


def _cost(report: Backtest) -> list[bool]:
    middle, high = report.cpu_median or 0.0, report.cpu_p95 or 0.0
    good = middle <= 0.15 and high <= 0.5
    print(
        f"CPU of one fit, path and ranges: median {middle:.4f} s, p95 {high:.4f} s, {report.forecasts} forecasts: "
        f"{_word(good)}"
    )
    print(f"series {report.series}, too short {report.left_out}; no warning was raised")
    return [good]


def _word(good: bool) -> str:
    return "pass" if good else "MISS"


if __name__ == "__main__":
    sys.exit(main())
