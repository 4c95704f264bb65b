"""The studies of losses, deadlines and placement: what they count, on zones small enough to count by hand."""

import importlib.util
import json
import math
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from holdfast.market.risk import History
from holdfast.market.series import Series, SeriesKey
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


# --- the month of placement --------------------------------------------------------------------------------------


def test_the_halves_of_a_record_have_nothing_in_common() -> None:
    first, second = (
        {tick for seed in range(30) for tick in month._weeks(random.Random(seed), half, 45 * 24 * month._AN_HOUR)}
        for half in (0, 1)
    )
    assert first and second and not first & second
    assert max(first) < 22.5 * 24 * month._AN_HOUR <= min(second)


def test_zones_come_from_the_same_moments_and_keep_what_fell_together() -> None:
    up = [tick // 50 % 3 > 0 for tick in range(45 * 24 * month._AN_HOUR)]
    pasts = [month.Past("one", up), month.Past("other", [not each for each in up])]
    one, other = month.month_of(3, 1, pasts, [])
    assert len(one.up) == round(timedelta(days=30) / month.TICK)
    assert all(here is not there for here, there in zip(one.up, other.up, strict=True))
    assert month.month_of(3, 1, pasts, [])[0] == one != month.month_of(4, 1, pasts, [])[0]


def test_a_forecast_in_a_month_knows_the_past_of_its_price_and_nothing_else() -> None:
    dice = random.Random(1)
    prices = [2.0 * math.exp(dice.gauss(0, 0.1)) for _ in range(900)]
    whole, cut = (month._course(_a_price(each), usual=0.0) for each in (prices, prices[:801]))
    assert whole.ahead(800) == cut.ahead(800) != 0.0
    assert whole.ahead(max(range(700, 800), key=prices.__getitem__)) < -0.05


def _a_price(prices: list[float]) -> Series:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    return Series(key=SeriesKey(gpu="V100", region="us-east-1a"), first=begin, prices=np.asarray(prices))


def test_an_interval_is_of_the_mean_over_months() -> None:
    low, high = month.interval([0.1, 0.2, 0.3, 0.2] * 6)
    assert 0.15 < low < 0.2 < high < 0.25
    assert month.interval([0.1] * 5) == (pytest.approx(0.1), pytest.approx(0.1))


def test_the_study_of_a_month_tells_every_market_and_draws_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, zones in (("1-node/aws-02-15-2023", 3), ("1-node/aws-10-26-2022", 2)):
        (tmp_path / folder).mkdir(parents=True)
        for seed in range(zones):
            _written(tmp_path / folder, f"us-east-{seed}a", seed, (0.3, 6.0, 30.0)[seed])
    spot, auction = (["zone,instance_type,timestamp,usd_hr,capture" + chr(10)] for _ in range(2))
    dice = random.Random(2)
    for hour in range(24 * 60):
        for zone in "abcd":
            spot.append(
                f"us-east-1{zone},p3.16xlarge,{_moment(2021, hour)},{dice.uniform(7.3, 9):.4f},2021-05{chr(10)}"
            )
        for zone in "ab":
            auction.append(f"us-east-1{zone},g2.2xlarge,{_moment(2015, hour)},{dice.uniform(0.06, 0.14):.4f},{chr(10)}")
    (tmp_path / "spot.csv").write_text("".join(spot))
    (tmp_path / "auction.csv").write_text("".join(auction))
    monkeypatch.setattr(month, "CADENCES", (timedelta(hours=1),))
    monkeypatch.setattr(month, "MONTH", timedelta(days=3))
    picture, found = tmp_path / "month.png", tmp_path / "found.json"
    argv = ["month.py", str(tmp_path), str(tmp_path), "--seeds", "2", "--draw", str(picture), "--json", str(found)]
    monkeypatch.setattr(sys, "argv", argv)
    assert month.main() == 0
    told = json.loads(found.read_text())
    assert list(told) == ["six zones", "six zones, prices of 2021", "four kinds", "auction"]
    assert all(len(ways) == len(month.Way) for by in told.values() for lived in by.values() for ways in lived)
    assert capsys.readouterr().out.count("placement with both") == 4 + 1, "each market, and all of them"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_our_own_machines_tell_is_set_beside_what_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("1-node/aws-02-15-2023", "1-node/aws-10-26-2022"):
        (tmp_path / folder).mkdir(parents=True)
        for seed in range(3):
            _written(tmp_path / folder, f"us-east-{seed}a", seed, (0.3, 6.0, 30.0)[seed])
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    own = _load("own_machines")
    monkeypatch.setattr(sys, "argv", ["own_machines.py", str(tmp_path), "--seeds", "1"])
    assert own.main() == 0
    out = capsys.readouterr().out
    assert out.count("policy/frailty.py") == out.count("machines rented") == 4
    monkeypatch.setattr(sys, "argv", ["own_machines.py", str(tmp_path), "--learn"])
    assert own.main() == 0
    *_, both = capsys.readouterr().out.splitlines()
    assert both.startswith("both:") and "to inf h; alike" in both
    half_of_it = own.exponential([own.Stay(HOUR, 3 * HOUR, True)], 5 * HOUR)
    assert half_of_it.hour == pytest.approx(1 - math.exp(-1 / 2))
    assert own.exponential([], HOUR) == own.frailty.USUAL


def _moment(year: int, hour: int) -> str:
    return f"{datetime(year, 3, 1, tzinfo=UTC) + hour * HOUR:%Y-%m-%dT%H:%M:%S}"
