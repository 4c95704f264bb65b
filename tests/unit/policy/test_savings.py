"""What sleeping saved: every moment once, every amount in one stretch, and never more than was slept."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from holdfast.contracts.machines import InstanceState
from holdfast.contracts.savings import MachineLife, MeterLine, Mode, Stretch
from holdfast.policy import metering, savings

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RUN, DISK = Decimal("0.36"), Decimal("0.012")
RUNNING, STOPPED, STARTING = InstanceState.RUNNING, InstanceState.STOPPED, InstanceState.STARTING
RATES = {RUNNING: RUN, STOPPED: DISK, STARTING: DISK, InstanceState.INTERRUPTED: DISK}


def at(hours: float) -> datetime:
    return NOON + hours * HOUR


def life(
    epoch: int, begins: float, *states: tuple[InstanceState, float | None], rates: dict[InstanceState, Decimal] = RATES
) -> MachineLife:
    """A machine from the hour in which it begins; each state up to an hour, None: it goes on."""
    meter, since = [], at(begins)
    for number, (state, until) in enumerate(states, 1):
        end = None if until is None else at(until)
        meter.append(MeterLine(number=number, state=state, hourly=rates[state], since=since, until=end))
        since = end or since
    return MachineLife(
        label=f"train.e{epoch}",
        workload="train",
        endpoint="",
        generation=1,
        opened_at=at(begins),
        wanted_at=None,
        closed_at=meter[-1].until if meter else at(begins),
        asleep=False,
        over_at=None,
        meter=tuple(meter),
    )


def rows(*lives: MachineLife, since: float | None = None, until: float = 10) -> list[Stretch]:
    return savings.stretches(lives, since=None if since is None else at(since), until=at(until))


def told(found: Sequence[Stretch]) -> list[tuple[Mode, float, float]]:
    return [(row.mode, (row.since - NOON) / HOUR, (row.until - NOON) / HOUR) for row in found]


def test_a_stopped_machine_saves_what_it_would_have_cost_running_but_for_its_disk() -> None:
    found = rows(life(1, 0, (STARTING, 1), (RUNNING, 2), (STOPPED, 6), (RUNNING, None)), until=8)
    assert told(found) == [(Mode.WAKING, 0, 1), (Mode.AWAKE, 1, 2), (Mode.STOPPED, 2, 6), (Mode.AWAKE, 6, 8)]
    line = savings.line("train", found)
    assert (line.awake, line.waking, line.stopped, line.let_go) == (3 * HOUR, HOUR, 4 * HOUR, timedelta())
    assert (line.paid_awake, line.paid_waking, line.paid_asleep) == (3 * RUN, DISK, 4 * DISK)
    assert line.reference == 7 * RUN + DISK and line.saved == 4 * (RUN - DISK)
    assert line.percent == 54.98  # 1.392 of 2.532


def test_a_machine_that_was_let_go_saves_its_whole_price_until_its_work_is_told_to_wake() -> None:
    asleep = replace(life(1, 0, (RUNNING, 2)), asleep=True)
    woken = replace(life(2, 7, (STARTING, 8), (RUNNING, 9)), wanted_at=at(6))
    found = rows(asleep, woken)
    assert (Mode.LET_GO, 2, 6) in told(found), "the hour in which a machine was looked for is nobody's sleep"
    assert savings.line("train", found).saved == 4 * RUN
    assert (Mode.LET_GO, 2, 7) in told(rows(asleep, replace(woken, wanted_at=None)))


def test_a_sleep_that_lasts_counts_up_to_now_and_one_whose_work_ended_up_to_its_end() -> None:
    asleep = replace(life(1, 0, (RUNNING, 2)), asleep=True)
    assert told(rows(asleep, until=5))[-1] == (Mode.LET_GO, 2, 5)
    assert told(rows(replace(asleep, over_at=at(4)), until=5))[-1] == (Mode.LET_GO, 2, 4)


def test_a_machine_that_was_lost_puts_nothing_to_sleep() -> None:
    found = rows(life(1, 0, (RUNNING, 2), (InstanceState.INTERRUPTED, 3)), life(2, 5, (RUNNING, 6)))
    assert told(found) == [(Mode.AWAKE, 0, 2), (Mode.DOWN, 2, 3), (Mode.AWAKE, 5, 6)]
    assert savings.line("train", found).saved == 0


def test_a_stopped_machine_beside_one_that_runs_is_not_asleep() -> None:
    kept = life(1, 0, (RUNNING, 1), (STOPPED, 6))
    found = rows(kept, life(2, 3, (STARTING, 4), (RUNNING, 8)))
    assert [(each.mode, each.label) for each in found if each.since == at(3)] == [
        (Mode.DOWN, "train.e1"),
        (Mode.WAKING, "train.e2"),
    ]
    line = savings.line("train", found)
    assert (line.stopped, line.down, line.saved) == (2 * HOUR, 3 * HOUR, 2 * (RUN - DISK))


def test_a_stopped_machine_that_outlives_its_run_is_not_asleep() -> None:
    left = replace(life(1, 0, (RUNNING, 1), (STOPPED, 6)), over_at=at(4))
    assert told(rows(left)) == [(Mode.AWAKE, 0, 1), (Mode.STOPPED, 1, 4), (Mode.DOWN, 4, 6)]


def test_two_stopped_machines_of_one_run_are_asleep_once() -> None:
    found = rows(life(1, 0, (RUNNING, 1), (STOPPED, 4)), life(2, 0.5, (RUNNING, 1), (STOPPED, 5)))
    line = savings.line("train", found)
    assert (line.stopped, line.down) == (4 * HOUR, 3 * HOUR)


def test_a_machine_that_is_slow_to_go_while_the_next_one_runs_leaves_no_sleep_between_them() -> None:
    slow = replace(life(1, 0, (RUNNING, 4)), asleep=True)
    found = rows(slow, life(2, 3, (RUNNING, 6)))
    assert told(found) == [(Mode.AWAKE, 0, 4), (Mode.AWAKE, 3, 6)]


def test_a_standby_that_was_stopped_before_it_ran_was_not_put_to_sleep() -> None:
    assert told(rows(life(1, 0, (STOPPED, 2), (RUNNING, 3)))) == [(Mode.DOWN, 0, 2), (Mode.AWAKE, 2, 3)]


def test_the_reference_is_the_rate_last_charged_before_the_sleep() -> None:
    dearer = life(1, 0, (RUNNING, 1), (STOPPED, 2), (RUNNING, 3), (STOPPED, 4))
    meter = list(dearer.meter)
    meter[2] = replace(meter[2], hourly=Decimal("0.72"))
    found = rows(replace(dearer, meter=tuple(meter)))
    assert [each.reference_hourly for each in found if each.mode is Mode.STOPPED] == [RUN, Decimal("0.72")]


def test_a_sleep_whose_price_is_not_known_is_listed_and_counted_nowhere() -> None:
    free = life(1, 0, (RUNNING, 1), (STOPPED, 3), rates={RUNNING: Decimal(0), STOPPED: DISK})
    found = rows(free)
    assert [each.uncounted for each in found] == ["", savings.NO_PRICE]
    line = savings.line("train", found)
    assert (line.uncounted, line.paid_uncounted) == (2 * HOUR, 2 * DISK)
    assert (line.stopped, line.paid_asleep, line.saved, line.percent) == (timedelta(), 0, 0, None)


def test_replicas_of_an_endpoint_are_added_up_under_its_name() -> None:
    mine = [
        replace(life(1, 0, (RUNNING, 1), (STOPPED, 3)), workload=f"chat-r{number}", endpoint="chat")
        for number in range(3)
    ]
    other = replace(life(1, 0, (RUNNING, 1)), workload="alone")
    found = savings.lines(rows(*mine, other))
    assert [each.name for each in found] == ["alone", "chat"]
    assert found[1].saved == 6 * (RUN - DISK)


def a_run(dice: random.Random) -> list[MachineLife]:
    """Machines that overlap as they like, in all states, at rates that do not divide."""
    lives = []
    for epoch in range(1, dice.randrange(2, 8)):
        moment, states = dice.uniform(0, 8), []
        begins = moment
        for _ in range(dice.randrange(0, 6)):
            moment += dice.uniform(0, 2)
            states.append((dice.choice([*RATES]), moment))
        rates = {state: Decimal(dice.randrange(0, 10**9)).scaleb(-9) for state in RATES}
        made = life(epoch, begins, *states, rates=rates)
        wanted = at(dice.uniform(0, 10)) if dice.random() < 0.3 else None
        lives.append(replace(made, asleep=dice.random() < 0.6, wanted_at=wanted))
    return lives


@pytest.mark.parametrize("seed", range(300))
def test_rows_add_up_to_the_totals_and_no_moment_is_slept_twice_or_beside_a_machine_at_work(seed: int) -> None:
    dice = random.Random(seed)
    run = a_run(dice)
    since, until = sorted([dice.uniform(0, 12), dice.uniform(0, 12)])
    found = rows(*run, since=since, until=until)
    assert all(at(since) <= row.since < row.until <= at(until) for row in found)
    total = savings.line("total", found)
    counted = [row for row in found if not row.uncounted]
    assert total.paid == sum((row.paid for row in counted), Decimal(0))
    assert total.reference == sum((row.reference or Decimal(0) for row in counted), Decimal(0))
    assert total.saved == sum((row.saved or Decimal(0) for row in counted), Decimal(0)) == total.reference - total.paid
    times = (total.awake, total.waking, total.stopped, total.let_go, total.down, total.uncounted)
    assert sum(times, timedelta()) == sum((row.length for row in found), timedelta())
    asleep = sorted((row.since, row.until) for row in found if row.mode in (Mode.STOPPED, Mode.LET_GO))
    at_work = [(row.since, row.until) for row in found if row.mode in (Mode.AWAKE, Mode.WAKING)]
    for begin, end in asleep:
        assert all(end <= other or until <= begin for other, until in at_work)
    assert all(one[1] <= other[0] for one, other in pairwise(asleep))


@pytest.mark.parametrize("seed", range(100))
def test_what_was_paid_is_what_the_meters_say(seed: int) -> None:
    run = a_run(random.Random(seed))
    intervals = [
        metering.Interval(state=each.state, hourly=each.hourly, since=each.since, until=each.until)
        for machine in run
        for each in machine.meter
    ]
    total = savings.line("total", rows(*run, until=30))
    difference = total.paid + total.paid_uncounted - metering.cost(intervals, now=at(30))
    assert abs(difference) <= Decimal("0.000001")


@pytest.mark.parametrize("seed", range(100))
def test_two_halves_of_a_time_save_what_the_whole_does(seed: int) -> None:
    dice = random.Random(seed)
    run, cut = a_run(dice), dice.uniform(0, 12)
    whole = savings.line("", rows(*run, until=12))
    first, second = savings.line("", rows(*run, until=cut)), savings.line("", rows(*run, since=cut, until=12))
    assert first.stopped + second.stopped == whole.stopped and first.let_go + second.let_go == whole.let_go
    assert abs(first.saved + second.saved - whole.saved) <= Decimal("0.00000001")
