"""A whole study on the traces that come with the examples."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast.policy.deadline import Rule
from holdfast.simcloud.studies import picture
from holdfast.simcloud.studies.study import Order, Together, TooShort, a_typical_job, largest, sets, simulate, starts
from holdfast.simcloud.studies.traces import find, read

ROOT = Path(__file__).parents[4]
EXAMPLES = [read(path) for path in find([ROOT / "examples" / "traces"])]
ORDER = Order(
    compute=timedelta(hours=2),
    deadline=timedelta(hours=3),
    changeover=timedelta(minutes=6),
    price_ratio=0.3,
    policies=tuple(Rule),
    machines=24,
    every=timedelta(minutes=20),
)


def test_no_policy_but_spot_alone_misses_a_deadline_and_none_is_cheaper_than_spot() -> None:
    study = simulate(EXAMPLES, ORDER)
    assert {row.policy for row in study.rows if row.missed} == {"spot_only"}
    for row in study.rows:
        assert row.cost >= 0.3 or row.unfinished
        assert row.policy != "on_demand" or (row.saving, row.moves, row.cost) == (0, 0, 1.05)
        assert row.policy != "thrifty" or row.saving > 0.2


def test_saves_cost_time_and_no_deadline() -> None:
    for cadence in (None, timedelta(minutes=7)):
        study = simulate(EXAMPLES[:1], replace(ORDER, cadence=cadence, save_cost=timedelta(seconds=30)))
        assert {row.policy for row in study.rows if row.missed} == {"spot_only"}
        assert any(row.lost_work > timedelta() for row in study.rows)


def test_equal_seeds_give_equal_studies() -> None:
    drawn = replace(ORDER, jobs=9, seed=4)
    assert simulate(EXAMPLES, drawn) == simulate(EXAMPLES, drawn)
    world = sets(EXAMPLES, drawn)[0].world
    assert starts(world, drawn) != starts(world, replace(drawn, seed=5))


def test_zones_stand_apart_and_together() -> None:
    names = {way: [each.name for each in sets(EXAMPLES, replace(ORDER, together=way))] for way in Together}
    assert names[Together.BOTH] == names[Together.APART] + names[Together.TOGETHER]
    assert names[Together.TOGETHER] == ["bamboo (2 zones)"]
    assert largest(EXAMPLES, ORDER).name == "bamboo (2 zones)"


def test_sets_that_are_too_short_are_named() -> None:
    longer = replace(ORDER, deadline=timedelta(hours=8), together=Together.APART)
    study = simulate(EXAMPLES, longer)
    assert study.left_out == ("aws_p3_64node_events: 11.4 h are too few for one job",)
    with pytest.raises(TooShort, match="too few"):
        simulate(EXAMPLES, replace(longer, deadline=timedelta(hours=48)))


@pytest.mark.parametrize("suffix", picture.SUFFIXES)
def test_draws_the_job_of_middle_cost_the_same_each_time(tmp_path: Path, suffix: str) -> None:
    zones = sets(EXAMPLES, ORDER)[0]
    job = a_typical_job(zones, ORDER, Rule.THRIFTY)
    assert job.story[0].since == 0
    drawn = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}{suffix}"
        picture.draw(path, zones.world, ORDER.plan(zones.world, job.start), job, title="thrifty")
        drawn.append(path.read_bytes())
    assert drawn[0] == drawn[1]
    assert drawn[0].startswith((b"\x89PNG", b"<?xml"))
