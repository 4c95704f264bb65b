"""One job on a trace, by figures that a person can work out."""

from datetime import timedelta
from math import inf

import pytest

from holdfast.policy.deadline import Plan, Rule, Use
from holdfast.simcloud.studies.job import run
from holdfast.simcloud.studies.saving import Cadence, Saves
from holdfast.simcloud.studies.traces import Trace
from holdfast.simcloud.studies.world import Choice, TracesDiffer, World

HOUR = 3600.0
PLAN = Plan(
    work=timedelta(hours=4),
    deadline=timedelta(hours=20),
    changeover=timedelta(minutes=30),
    review=timedelta(hours=1),
    spot_share=0.25,
)


def world(*zones: str, tick: float = HOUR) -> World:
    """Zones drawn with `#` for spot."""
    return World.of(
        [
            Trace(zone=f"z{index}", origin="here", tick=tick, counts=[int(each == "#") for each in zone])
            for index, zone in enumerate(zones)
        ]
    )


def test_a_machine_that_stays_is_paid_for_its_changeover_and_up_to_the_end() -> None:
    done = run(world("#" * 10), PLAN, Rule.GREEDY, start=0)
    assert done.finished == 4.5 * HOUR
    assert done.cost == 4.5 * HOUR * 0.25
    assert (done.launches, done.losses, done.idle) == (1, 0, 0.5 * HOUR)


def test_a_loss_costs_a_changeover_and_keeps_the_progress() -> None:
    done = run(world("##..######"), PLAN, Rule.SPOT_ONLY, start=0)
    assert (done.losses, done.launches, done.finished) == (1, 2, 7 * HOUR)
    assert done.cost == 5 * HOUR * 0.25
    assert done.idle == 3 * HOUR


def test_with_a_cadence_a_loss_takes_what_was_not_saved() -> None:
    saves = Cadence(every=0.8 * HOUR, takes=0.1 * HOUR)
    done = run(world("##..########"), PLAN, Rule.SPOT_ONLY, start=0, cadence=saves)
    assert done.lost_work == pytest.approx(0.6 * HOUR)  # 0.9 h for the first round, then 0.6 h of the second
    assert done.started_over == 0
    # 3.2 h of work are left at hour 4, in four parts with three saves between them, after half an hour's changeover.
    assert done.finished == pytest.approx((4 + 0.5 + 3.2 + 0.3) * HOUR)


def test_a_loss_before_the_first_save_starts_over() -> None:
    saves = Cadence(every=2 * HOUR, takes=0.1 * HOUR)
    done = run(world("##..########"), PLAN, Rule.SPOT_ONLY, start=0, cadence=saves)
    assert (done.started_over, done.lost_work) == (1, 1.5 * HOUR)


def test_on_demand_from_the_safety_point_on_meets_the_deadline() -> None:
    done = run(world("." * 40), PLAN, Rule.GREEDY, start=0, story=True)
    assert [each.use for each in done.story] == [Use.WAIT, Use.ON_DEMAND]
    assert done.story[0].until == 15  # slack falls below two changeovers and a review
    assert "on demand until the end" in done.story[1].why
    assert done.finished == 19.5 * HOUR
    assert done.cost == 4.5 * HOUR


def test_a_trace_that_ends_leaves_the_job_unfinished() -> None:
    assert run(world("##.."), PLAN, Rule.SPOT_ONLY, start=0).finished == inf


def test_the_zone_is_chosen_as_told() -> None:
    zones = world("#.###", ".####", "##..#")
    assert [zones.pick(3, choice) for choice in Choice] == [0, 0, 1]
    assert world("..", "..").pick(0, Choice.STATIC) is None


def test_traces_of_different_ticks_are_no_world() -> None:
    traces = [Trace(zone="z", origin="here", tick=tick, counts=[1, 1]) for tick in (30, 60)]
    with pytest.raises(TracesDiffer, match="30 s, 60 s"):
        World.of(traces)


def test_what_a_zone_is_asked_is_right_at_each_tick() -> None:
    zone = world(".##.#").zones[0]
    assert (zone.turns, zone.since) == ([1, 3, 3, 4, 5], [0, 1, 1, 3, 4])
    assert (list(zone.ups), list(zone.drops)) == ([0, 0, 1, 2, 2, 3], [0, 0, 0, 0, 1, 1])


@pytest.mark.parametrize("clock", [0.0, 5.0, 10.0, 11.0, 12.0, 35.0])
def test_saves_and_work_share_the_clock(clock: float) -> None:
    saves = Saves(every=10, takes=2)
    expected = {0.0: (0, 0), 5.0: (5, 0), 10.0: (10, 0), 11.0: (10, 0), 12.0: (10, 10), 35.0: (30, 20)}[clock]
    assert (saves.worked(clock), saves.saved(clock)) == expected
    assert saves.worked(saves.until(saves.worked(clock))) == saves.worked(clock)
