"""The figures of the failover benchmark: what a limit is, what is compared with what, and when an aim is met."""

import importlib.util
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest

from holdfast.contracts.incidents import Cause, Incident, Phases


def _load() -> ModuleType:
    """`benchmarks/` is no package: its programs are run by their paths."""
    path = Path(__file__).parents[2] / "benchmarks" / "recoveries.py"
    spec = importlib.util.spec_from_file_location("recoveries", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


figures = _load()
AT = datetime(2026, 11, 27, tzinfo=UTC)


def _recovery(
    took: float, *, strategy: str = "snapshot", boot: float = 0, fetched: int = 0, best: float = 100e6
) -> object:
    incident = Incident(
        workload="train",
        epoch_lost=1,
        epoch_gained=2,
        cause=Cause.OUTBID,
        reason="outbid",
        strategy=strategy,
        silent_since=AT,
        decided_at=AT,
        recovered_at=AT + timedelta(seconds=took),
        phases=Phases(boot=timedelta(seconds=took)),
        recovery_time=timedelta(seconds=took),
        work_lost=None,
    )
    return figures.recovery(incident, in_place=False, boot_drawn=boot, fetched=fetched, copied=100e6, best=best)


def _cell(*measured: object, boots: str = "realistic", size: int = 1_000_000_000) -> object:
    return figures.Cell(boots=boots, size=size, copied=100e6, raw_get=None, load=(0.1, 0.2), measured=measured)


def test_the_limit_is_the_boot_that_was_drawn_and_the_fetched_bytes_at_the_speed_of_a_copy() -> None:
    found = _recovery(75, boot=60, fetched=1_000_000_000)
    assert found.limit == pytest.approx(70) and found.over == pytest.approx(5)


def test_the_least_is_that_of_the_best_copy_and_both_are_judged() -> None:
    found = _recovery(75, boot=60, fetched=1_000_000_000, best=1e9)
    assert found.least == pytest.approx(61) and found.over_least == pytest.approx(14)
    assert _recovery(75, fetched=1_000_000_000, best=1e6).least == pytest.approx(10), "never slower than its own copy"
    told = figures.table(_cell(figures.Measured(asked="snapshot", recoveries=(_recovery(64, boot=60),))))
    assert "boot plus bytes: 4.00 s, met; by the best copy of all 4.00 s, met" in told
    told = figures.table(_cell(figures.Measured(asked="snapshot", recoveries=(found,))))
    assert "5.00 s, MISSED; by the best copy of all 14.00 s, MISSED" in told


@pytest.mark.parametrize(("share", "value"), [(0.5, 10), (0.95, 19), (1.0, 20), (0.01, 1)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: float) -> None:
    assert figures.quantile(range(1, 21), share) == value


def test_the_ladder_is_held_against_the_single_strategy_that_is_fastest_in_the_middle() -> None:
    fast = figures.Measured(asked="warmpool", recoveries=(_recovery(4, strategy="warmpool"),))
    slow = figures.Measured(asked="snapshot", recoveries=(_recovery(80),))
    ladder = figures.Measured(asked="auto", recoveries=(_recovery(6, strategy="warmpool"),))
    empty = figures.Measured(asked="coldstart", recoveries=(_recovery(2, strategy="coldstart"),))
    told = figures.table(_cell(slow, fast, empty, ladder))
    assert (
        "the ladder (warmpool 1) beside the best strategy that keeps the work, warmpool: p50 6.00 s to 4.00 s (1.50 x"
        in told
    )


def test_aims_are_told_where_they_hold_and_nowhere_else() -> None:
    warm = figures.Measured(asked="warmpool", recoveries=(_recovery(4, strategy="warmpool"),))
    late = figures.Measured(asked="snapshot", recoveries=(_recovery(66, boot=60),))
    told = figures.table(_cell(warm, late))
    assert "p95 under 10 s: 4.00 s, met" in told and "boot plus bytes: 6.00 s, MISSED" in told
    assert "aim" not in figures.table(_cell(warm, late, boots="zero"))


def test_a_strategy_that_was_not_measured_is_left_out() -> None:
    cell = _cell(figures.Measured(asked="warmpool", recoveries=()), boots="zero")
    assert "warmpool" not in figures.table(cell)
    assert list(figures.as_json(cell)["measured"]) == [{"asked": "warmpool", "recoveries": ()}]
