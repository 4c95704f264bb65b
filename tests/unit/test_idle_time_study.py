"""The study of the idle time: what is compared with what, and that nobody there knows the future."""

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

from holdfast.policy.idle_time import FEW, Gap, idle_time

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _load(name: str) -> ModuleType:
    """`benchmarks/` is no package: its programs are run by their paths, and find each other beside them."""
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


request_gaps = _load("request_gaps")
study = _load("idle_time")


@pytest.mark.parametrize("name", request_gaps.STREAMS)
def test_equal_seeds_give_equal_gaps_and_each_is_a_time(name: str) -> None:
    once = request_gaps.gaps(name, many=500, seed=1)
    assert once == request_gaps.gaps(name, many=500, seed=1)
    assert len(once) == 500 and all(0 <= gap < float("inf") for gap in once)


def test_the_best_fixed_time_is_the_best_of_all() -> None:
    for seed in range(100):
        dice = random.Random(seed)
        stream = [dice.choice([dice.expovariate(0.01), 50.0]) for _ in range(dice.randrange(1, 40))]
        best, paid = study.best_fixed(stream, 70.0)
        assert paid == pytest.approx(study.fixed(stream, 70.0, best))
        for idle in (0, 70, 1e9, *stream, *(dice.uniform(0, 300) for _ in range(20))):
            assert paid <= study.fixed(stream, 70.0, idle) + 1e-9


def test_a_gap_costs_itself_or_the_time_awake_and_a_pause() -> None:
    assert study.fixed([10.0, 60.0, 61.0], 100.0, 60.0) == 10 + 60 + 160


def test_the_policy_pays_the_break_even_until_it_has_seen_enough_and_learns_then() -> None:
    """Hours between all requests: the first gaps cost twice the pause, all later ones the pause."""
    hours = [7200.0] * 100
    assert study.learning(hours, 90.0) == pytest.approx(FEW * 180 + (100 - FEW) * 90)


def test_each_gap_is_paid_by_what_the_gaps_before_it_say() -> None:
    first = request_gaps.gaps("sessions", many=60, seed=5)
    answer = idle_time([Gap(length) for length in first], study.price(90.0)).after.total_seconds()
    for then, paid in ((1.0, 1.0), (9e5, answer + 90)):
        assert study.learning([*first, then], 90.0) - study.learning(first, 90.0) == pytest.approx(paid)


def test_a_few_streams_keep_within_five_percent() -> None:
    """A glance; the whole table is in docs/studies.md."""
    for name in ("sessions", "hyperexponential", "drift, busy to quiet"):
        row = study.measure(name, 90.0, many=1200, seeds=[1])
        assert row.computed <= study.AIM and row.computed < row.break_even, name
