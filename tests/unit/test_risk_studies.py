"""The studies of losses, deadlines and placement: what they count, on zones small enough to count by hand."""

import importlib.util
import json
import random
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest

from holdfast.market.risk import History
from holdfast.policy.deadline import Rule
from holdfast.simcloud.studies.traces import read

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
HOUR = timedelta(hours=1)


def _load(name: str) -> ModuleType:
    """`benchmarks/` is no package: its programs are run by their paths."""
    spec = importlib.util.spec_from_file_location(f"{name}_study", BENCHMARKS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


interruptions, deadlines, month = _load("interruptions"), _load("deadlines"), _load("month")


def hourly(zone: str, *hours: int) -> History:
    """Up for so many hours, then down, and so on."""
    up: list[bool] = []
    for place, each in enumerate(hours):
        up += [place % 2 == 0] * each
    return History(zone=zone, tick=HOUR, up=up)


def test_after_a_loss_the_region_that_has_been_up_longest_is_taken() -> None:
    lost = hourly("us-east-1a_v100_1", 30, 30)
    same_region = hourly("us-east-1b_v100_1", 60)
    old_and_dying = hourly("us-east-2a_v100_1", 33, 27)
    young = hourly("us-west-2a_v100_1", 5, 5, 50)
    start = [timedelta()] * 4
    assert list(interruptions.chosen([lost, same_region, young], start[:3])) == [True]
    taken = list(interruptions.chosen([lost, same_region, old_and_dying, young], start))
    assert taken == [False, True]  # first the old one, which lives three hours; at its own loss the other region
    assert list(interruptions.chosen([lost, same_region], start[:2])) == [True]  # where no other region is up
    assert list(interruptions.chosen([lost], start[:1])) == [None]


def test_three_days_are_set_beside_the_next_three() -> None:
    pairs = list(interruptions.foreseen([hourly("z", 72, 72, 72)]))
    assert (pairs[0][1], pairs[0][2]) == (pytest.approx((72 + 3.6) / 78), 0.0)
    assert pairs[-1][1:] == (pytest.approx(3.6 / 78), 1.0)


def _written(folder: Path, name: str, seed: int, usual: float, days: int = 40) -> Path:
    """A zone, sampled every six minutes."""
    dice, data = random.Random(seed), list[int]()
    while len(data) < 240 * days:
        data += [1] * max(1, round(dice.weibullvariate(usual, 0.5) * 10))
        data += [0] * max(1, round(dice.expovariate(1 / 1.5) * 10))
    path = folder / f"{name}_v100_1.json"
    path.write_text(json.dumps({"metadata": {"gap_seconds": 360}, "data": data[: 240 * days]}))
    return path


def test_the_study_of_losses_tells_every_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, (name, usual) in enumerate((("us-east-1a", 0.3), ("us-east-2a", 1.0), ("us-west-2a", 25.0))):
        _written(tmp_path, name, seed, usual)
    found = tmp_path / "out" / "found.json"
    found.parent.mkdir()
    picture = found.parent / "risk.png"
    monkeypatch.setattr(
        sys,
        "argv",
        ["interruptions.py", *map(str, tmp_path.glob("*.json")), "--json", str(found), "--draw", str(picture)],
    )
    assert interruptions.main() in (0, 1)
    figures = {each["what"]: each for each in json.loads(found.read_text())["figures"]}
    assert len(figures) == 11
    assert figures["1 h: Brier skill"]["found"] > 0.05
    assert "zone by zone" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_study_of_deadlines_tells_every_figure_and_misses_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    traces = [read(_written(tmp_path, name, seed, 6.0, days=7)) for seed, name in enumerate(("one", "two"))]
    figures = list(deadlines.judge(traces, Rule.GREEDY))
    assert len(figures) == 9
    assert figures[-1].found == 0
    assert figures[-1].met
    assert 0.3 < figures[0].found < 1.01
    assert capsys.readouterr().out.count("\n") == 9


def test_real_zones_make_months_of_one_moment(tmp_path: Path) -> None:
    traces = [read(_written(tmp_path, name, seed, 6.0)) for seed, name in enumerate(("one", "two"))]
    ups = month._ups(3, traces)
    assert {len(up) for up in ups.values()} == {37 * 240}
    assert ups == month._ups(3, traces) != month._ups(4, traces)
