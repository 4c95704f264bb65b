"""What to run on until a deadline."""

import random
from datetime import timedelta

import pytest

from holdfast.policy.deadline import Answer, Holds, Moment, Plan, Rule, Use, decide
from holdfast.policy.outlook import Outlook

H = timedelta(hours=1)
PLAN = Plan(work=48 * H, deadline=60 * H, changeover=0.2 * H, review=timedelta(seconds=195))
SAFE = [rule for rule in Rule if rule is not Rule.SPOT_ONLY]
PLENTY, LITTLE = Outlook(available=0.95, drops_per_hour=0.05), Outlook(available=0.1, drops_per_hour=1.0)


def moment(
    *, at: float, done: float, using: Use = Use.WAIT, spot: bool = False, outlook: Outlook | None = None
) -> Moment:
    return Moment(elapsed=at * H, done=done * H, using=using, spot_up=spot, outlook=outlook or Outlook())


@pytest.mark.parametrize("rule", [rule for rule in SAFE if rule is not Rule.ON_DEMAND])
def test_spot_is_taken_when_it_is_there_and_kept_until_it_is_lost(rule: Rule) -> None:
    assert decide(rule, PLAN, moment(at=0, done=0, spot=True)).use is Use.SPOT
    kept = decide(rule, PLAN, moment(at=10, done=1, spot=True, using=Use.SPOT))
    assert (kept.use, kept.holds) == (Use.SPOT, Holds.UNTIL_LOST)


@pytest.mark.parametrize("rule", SAFE)
@pytest.mark.parametrize("spot", [True, False])
def test_with_too_little_slack_for_a_failed_try_the_work_stays_on_demand(rule: Rule, *, spot: bool) -> None:
    late = decide(rule, PLAN, moment(at=40, done=28.4, spot=spot, outlook=PLENTY))
    assert (late.use, late.holds) == (Use.ON_DEMAND, Holds.UNTIL_DONE)


def test_greedy_waits_for_as_long_as_there_is_slack() -> None:
    assert decide(Rule.GREEDY, PLAN, moment(at=11, done=0)).use is Use.WAIT
    assert decide(Rule.GREEDY, PLAN, moment(at=11.6, done=0)).use is Use.ON_DEMAND


def test_uniform_progress_pays_only_when_behind_and_until_it_is_ahead() -> None:
    assert decide(Rule.UNIFORM, PLAN, moment(at=10, done=8.1)).use is Use.WAIT
    behind = decide(Rule.UNIFORM, PLAN, moment(at=10, done=7.9))
    assert behind.use is Use.ON_DEMAND
    assert behind.reason == "there is no spot, and the work is 360 s behind even progress"
    on_demand = {"using": Use.ON_DEMAND, "spot": True}
    assert decide(Rule.UNIFORM, PLAN, moment(at=10, done=8.2, **on_demand)).use is Use.ON_DEMAND  # type: ignore[arg-type]
    assert decide(Rule.UNIFORM, PLAN, moment(at=10, done=8.4, **on_demand)).use is Use.SPOT  # type: ignore[arg-type]
    assert decide(Rule.EAGER, PLAN, moment(at=10, done=8.2, **on_demand)).use is Use.SPOT  # type: ignore[arg-type]


def test_the_forecast_pays_only_when_spot_will_not_do() -> None:
    assert decide(Rule.FORECAST, PLAN, moment(at=1, done=0, outlook=PLENTY)).use is Use.WAIT
    assert decide(Rule.FORECAST, PLAN, moment(at=1, done=0, outlook=LITTLE)).use is Use.ON_DEMAND


def test_thrift_waits_while_the_slack_pays_for_every_move_to_come() -> None:
    drops = Outlook(available=0.5, drops_per_hour=0.15)  # about 8 drops in 53 hours: some 7 hours of slack
    assert decide(Rule.THRIFTY, PLAN, moment(at=2, done=0, outlook=drops)).use is Use.WAIT
    assert decide(Rule.THRIFTY, PLAN, moment(at=7, done=0, outlook=drops)).use is Use.ON_DEMAND


def test_thrift_leaves_on_demand_only_for_spot_that_lives_long_enough() -> None:
    for outlook, use in ((PLENTY, Use.SPOT), (LITTLE, Use.ON_DEMAND)):
        assert (
            decide(Rule.THRIFTY, PLAN, moment(at=20, done=12, using=Use.ON_DEMAND, spot=True, outlook=outlook)).use
            is use
        )


def test_where_spot_is_not_worth_a_move_thrift_waits_its_slack_away() -> None:
    assert decide(Rule.THRIFTY, PLAN, moment(at=11, done=0, outlook=LITTLE)).use is Use.WAIT


def test_saves_that_eat_the_slack_move_the_work_before_it_is_gone() -> None:
    plan = Plan(work=48 * H, deadline=60 * H, changeover=0.2 * H, review=0.1 * H, cadence=0.5 * H)
    running = decide(Rule.GREEDY, plan, moment(at=20, done=9, using=Use.SPOT, spot=True))
    assert (running.use, running.holds) == (Use.SPOT, Holds.REVIEW)
    assert decide(Rule.GREEDY, plan, moment(at=20, done=8.25, using=Use.SPOT, spot=True)).use is Use.ON_DEMAND


def test_too_late_for_anything_else_a_running_spot_machine_is_kept() -> None:
    assert decide(Rule.GREEDY, PLAN, moment(at=20, done=8.1, using=Use.SPOT, spot=True)).use is Use.SPOT


@pytest.mark.parametrize("rule", Rule)
def test_every_answer_says_why(rule: Rule) -> None:
    for using in Use:
        for spot in (True, False):
            for at in (1.0, 30.0, 59.0):
                reason = decide(rule, PLAN, moment(at=at, done=at / 2, using=using, spot=spot)).reason
                assert reason
                assert "{" not in reason


# --- the promise -------------------------------------------------------------------------------------------------


def test_no_deadline_is_missed_where_meeting_it_was_possible() -> None:
    """Spot that comes, goes and lies about itself at the worst moments; reviews and changeovers of all lengths."""
    chance = random.Random(20240416)
    for _ in range(600):
        rule = chance.choice(SAFE)
        plan = _any_plan(chance)
        finished = _lived(rule, plan, chance)
        assert finished <= plan.deadline + timedelta(milliseconds=1), (rule, plan)


def _any_plan(chance: random.Random) -> Plan:
    work = chance.uniform(0.5, 15) * H
    changeover = chance.choice([0.0, 0.01, 0.05, 0.2, 1.0]) * H
    spare = chance.choice([0.0, 0.01, 0.1, 1.0, 5.0, 30.0]) * H
    return Plan(
        work=work,
        deadline=work + changeover + spare,
        changeover=changeover,
        review=chance.choice([0.03, 0.1, 0.4]) * H,
        spot_share=chance.choice([0.1, 0.3, 0.9, 1.5]),
        cadence=chance.choice([0.0, 0.0, 0.1, 0.5]) * H,
    )


def _lived(rule: Rule, plan: Plan, chance: random.Random) -> timedelta:
    """When the work of one life is done. Of work on spot, with a cadence, only whole cadences survive a loss.

    Nobody asks again while an answer holds.
    """
    mood = chance.choice([0.02, 0.2, 0.5, 0.95])  # how likely spot is there at the next look
    now, done, unsaved, settling, using = timedelta(), timedelta(), timedelta(), timedelta(), Use.WAIT
    spot = chance.random() < mood
    answer: Answer | None = None
    while done + unsaved < plan.work:
        if answer is None or answer.holds is Holds.REVIEW or (answer.holds is Holds.UNTIL_LOST and using is Use.WAIT):
            outlook = chance.choice([PLENTY, LITTLE, Outlook()])
            answer = decide(rule, plan, Moment(now, done, using, spot, outlook))
        assert answer.use is not Use.SPOT or spot, "spot cannot be had"
        if answer.use is not using:
            using, settling = answer.use, plan.changeover
            done, unsaved = done + unsaved, timedelta()  # a planned move saves first
        step = plan.review * chance.uniform(0.1, 1.0)
        productive = timedelta() if using is Use.WAIT else max(timedelta(), step - settling)
        settling = max(timedelta(), settling - step)
        left = plan.work - done - unsaved
        if using is not Use.WAIT and productive >= left:
            return now + step - productive + left
        now += step
        if using is Use.SPOT and plan.cadence:
            unsaved += 0.9 * productive  # a tenth of the time is spent on saves
            saved = unsaved // plan.cadence * plan.cadence
            done, unsaved = done + saved, unsaved - saved
        else:
            done += productive
        spot = chance.random() < (0.9 if spot and mood > 0.1 else mood)
        if using is Use.SPOT and not spot:
            using, unsaved = Use.WAIT, timedelta()
    return now
