"""Who goes next: by priority, and among equals by what their keys have had."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.contracts.jobs import QueueState, Waiting
from holdfast.policy import fair_queue
from holdfast.policy.fair_queue import AGE, IDLE_KEPT, admit, done, enqueue, in_order

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def job(name: str, key: str = "k", **more: object) -> Waiting:
    return Waiting(job=name, key=key, **more)  # type: ignore[arg-type]


def queue(*jobs: Waiting, at_once: int = 1) -> QueueState:
    return enqueue(QueueState(at_once=at_once), jobs, NOW)


def going(state: QueueState, now: datetime = NOW) -> list[str]:
    return [each.job for each in admit(state, now)[1]]


def test_no_more_run_than_may():
    state, first = admit(queue(job("a"), job("b"), job("c"), at_once=2), NOW)
    assert [each.job for each in first] == ["a", "b"]
    assert going(state) == []
    assert going(done(state, ["b"], NOW)) == ["c"]


def test_a_job_that_asks_again_has_one_place():
    state = enqueue(queue(job("a")), [job("a")], NOW)
    state, _ = admit(state, NOW)
    state = enqueue(state, [job("a")], NOW)
    assert (len(state.waiting), len(state.admitted)) == (0, 1)


def test_the_higher_priority_goes_first_and_equals_as_they_came():
    waiting = (job("low", priority=5), job("mid", priority=3), job("mid2", priority=3), job("high", priority=1))
    assert going(queue(*waiting, at_once=4)) == ["high", "mid", "mid2", "low"]


def test_age_lets_no_job_wait_for_ever():
    state = queue(job("old", priority=5), at_once=1)
    state = enqueue(state, [job("new", priority=2)], NOW + 4 * AGE)
    assert going(state, NOW + 4 * AGE) == ["old"]
    assert going(state, NOW + 2 * AGE) == ["new"]


def test_keys_take_turns_however_many_jobs_one_has():
    many = [job(f"a{n}", "a") for n in range(10)]
    assert going(queue(*many, job("b0", "b"), job("b1", "b"), at_once=4)) == ["a0", "b0", "a1", "b1"]


def test_a_key_of_twice_the_weight_gets_twice_as_much():
    state = queue(
        *(job(f"a{n}", "a", weight=2.0) for n in range(50)), *(job(f"b{n}", "b") for n in range(50)), at_once=30
    )
    counted = Counter(name[0] for name in going(state))
    assert counted == {"a": 20, "b": 10}


def test_who_takes_long_gets_fewer_turns():
    """Shares are of running time: ten minutes for one, or for ten of a minute each."""
    took = {"a": 600 * SECOND, "b": 60 * SECOND}
    had = simulated({"a": 100, "b": 1000}, at_once=4, took=lambda key: took[key], until=NOW + 24_000 * SECOND)
    assert had["a"] == pytest.approx(had["b"], rel=0.05)


def test_shares_of_a_thousand_jobs_are_fair_within_five_percent():
    numbers = random.Random(7)
    had = simulated(
        {"a": 334, "b": 333, "c": 333},
        at_once=16,
        took=lambda _: numbers.uniform(30, 300) * SECOND,
        until=NOW + 200 * 16 * SECOND,
    )
    mean = sum(had.values()) / 3
    assert all(each == pytest.approx(mean, rel=0.05) for each in had.values()), had


def test_weights_hold_within_five_percent():
    numbers = random.Random(8)
    weights = {"a": 3.0, "b": 2.0, "c": 1.0}
    had = simulated(
        dict.fromkeys(weights, 1000),
        at_once=16,
        took=lambda _: numbers.uniform(30, 300) * SECOND,
        weights=weights,
        until=NOW + 400 * 16 * SECOND,
    )
    whole = sum(had.values())
    for key, weight in weights.items():
        assert had[key] / whole == pytest.approx(weight / 6, rel=0.05), had


def test_who_comes_late_is_owed_nothing_and_waits_for_nobody():
    state = queue(*(job(f"a{n}", "a") for n in range(100)), at_once=1)
    now = NOW
    for _ in range(50):
        state, (first,) = admit(state, now)
        now += 60 * SECOND
        state = done(state, [first.job], now)
    for n in range(20):
        state = enqueue(state, [job(f"b{n}", "b")], now)
    order = []
    for _ in range(10):
        state, (first,) = admit(state, now)
        now += 60 * SECOND
        order.append(first.key)
        state = done(state, [first.job], now)
    assert Counter(order) == {"a": 5, "b": 5}


def test_who_comes_late_owes_nothing_for_what_others_are_only_thought_to_need():
    """Before any job has ended each is charged with a minute; those here take a second."""
    state, now = queue(*(job(f"a{n}", "a") for n in range(100)), at_once=10), NOW
    state, running = admit(state, now)
    state = enqueue(state, [job(f"b{n}", "b") for n in range(100)], now)
    order = []
    for _ in range(60):
        now += SECOND / 10
        state = done(state, [running[0].job], now)
        state, (next_one,) = admit(state, now)
        running = (*running[1:], next_one)
        order.append(next_one.key)
    assert Counter(order[:10]) == {"b": 10}, "it had nothing yet, and the others have a place each"
    assert Counter(order[20:])["a"] == pytest.approx(20, abs=2)


def test_an_array_keeps_to_its_own_limit():
    array = [job(f"s{n}", array="s", at_once=2) for n in range(5)]
    state, first = admit(queue(*array, job("other"), at_once=10), NOW)
    assert [each.job for each in first] == ["s0", "s1", "other"]
    assert going(done(state, ["s0"], NOW)) == ["s2"]


def test_a_job_that_leaves_before_it_ran_is_charged_nothing():
    state = done(queue(job("a", "a"), job("b", "b")), ["a"], NOW)
    assert [each.job for each in state.waiting] == ["b"]
    assert (state.done, [each.key for each in state.keys]) == (0, ["b"])
    assert done(state, ["nobody"], NOW) == state


def test_keys_that_come_only_once_are_forgotten():
    state, now = QueueState(), NOW
    for number in range(2 * IDLE_KEPT):
        state = enqueue(state, [job(f"j{number}", f"k{number}")], now)
        state, _ = admit(state, now)
        now += SECOND
        state = done(state, [f"j{number}"], now)
    assert len(state.keys) <= IDLE_KEPT


def test_the_order_that_is_told_is_the_order_in_which_they_go():
    waiting = [job(f"{key}{n}", key, priority=2 + (n % 2)) for n in range(6) for key in "abc"]
    state = queue(*waiting, at_once=len(waiting))
    assert [each.job for each in in_order(state, NOW)] == going(state)


def test_shares_are_told():
    admitted = admit(queue(job("a", "a"), job("b", "b"), at_once=2), NOW)[1]
    assert fair_queue.shares(admitted) == {"a": 0.5, "b": 0.5}


def simulated(jobs, *, at_once, took, until, weights=None):
    """Run a queue on a clock of its own; the seconds that each key had by then, while all of them had jobs waiting."""
    state, now = QueueState(at_once=at_once), NOW
    for number in range(max(jobs.values())):
        for key, count in jobs.items():
            if number < count:
                state = enqueue(state, [job(f"{key}{number}", key, weight=(weights or {}).get(key, 1.0))], now)
    had: Counter[str] = Counter()
    ends: dict[str, tuple[datetime, str, timedelta]] = {}
    while now < until:
        state, first = admit(state, now)
        for each in first:
            span = took(each.key)
            ends[each.job] = (now + span, each.key, span)
        name, (now, key, span) = min(ends.items(), key=lambda each: each[1][0])
        had[key] += span.total_seconds()
        del ends[name]
        state = done(state, [name], now)
        assert {each.key for each in state.waiting} == set(jobs), "the measure ends while all of them wait"
    return had
