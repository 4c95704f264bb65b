"""The pacer: a virtual clock shows when each call leaves."""

import asyncio
from datetime import timedelta

import pytest

from holdfast.providers.errors import RateLimited
from holdfast.providers.vast.endpoints import PACES, paces
from holdfast.providers.wrappers.pacing import Pace, Pacer
from tests.unit.providers.wire import Time

SECOND = timedelta(seconds=1)


def _pacer(time: Time, pace: Pace, patience: timedelta = timedelta(seconds=10)) -> Pacer:
    return Pacer({"lane": pace, "other": pace}, patience=patience, clock=time.clock, sleep=time.sleep, dice=lambda: 0.0)


async def test_the_first_call_leaves_at_once_and_the_next_after_the_interval() -> None:
    time = Time()
    pacer = _pacer(time, Pace(per=2 * SECOND))
    await pacer.turn("lane")
    assert time.slept == []
    assert pacer.wait("lane") >= 2 * SECOND
    await pacer.turn("lane")
    assert time.slept == [pytest.approx(2, abs=0.1)]


async def test_lanes_do_not_wait_for_each_other() -> None:
    time = Time()
    pacer = _pacer(time, Pace(per=2 * SECOND))
    await pacer.turn("lane")
    await pacer.turn("other")
    assert time.slept == []


async def test_a_pace_of_several_calls_lets_a_burst_through() -> None:
    time = Time()
    pacer = _pacer(time, Pace(per=4 * SECOND, calls=3))
    for _ in range(3):
        await pacer.turn("lane")
    assert time.slept == []
    await pacer.turn("lane")
    assert time.slept == [pytest.approx(4, abs=0.1)]


async def test_a_wait_beyond_our_patience_is_said_and_takes_no_turn() -> None:
    time = Time()
    pacer = _pacer(time, Pace(per=30 * SECOND))
    await pacer.turn("lane")
    for _ in range(2):
        with pytest.raises(RateLimited) as refused:
            await pacer.turn("lane")
        assert timedelta(seconds=30) <= refused.value.retry_after < timedelta(seconds=31)


async def test_callers_leave_one_by_one_in_the_order_in_which_they_came() -> None:
    time = Time()
    pacer = _pacer(time, Pace(per=2 * SECOND))
    left: list[tuple[int, float]] = []

    async def caller(number: int) -> None:
        await pacer.turn("lane")
        left.append((number, time.now - 1000))

    await asyncio.gather(*map(caller, range(3)))
    assert left == [(0, 0), (1, pytest.approx(2, abs=0.1)), (2, pytest.approx(4, abs=0.2))]


async def test_a_queue_that_is_too_long_turns_callers_away() -> None:
    time, opened = Time(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        await opened.wait()
        await time.sleep(seconds)

    pacer = Pacer({"lane": Pace(per=4 * SECOND)}, clock=time.clock, sleep=sleep)
    callers = [asyncio.create_task(pacer.turn("lane")) for _ in range(6)]
    await asyncio.sleep(0)
    opened.set()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(each) for each in answers] == [type(None)] * 3 + [RateLimited] * 3


async def test_a_threshold_that_a_refusal_names_is_kept_from_then_on() -> None:
    time = Time()
    pacer = _pacer(time, Pace(per=SECOND))
    await pacer.turn("lane")
    assert pacer.refused("lane", threshold=5 * SECOND) >= 5 * SECOND
    await pacer.turn("lane")
    pacer.accepted("lane")
    assert pacer.wait("lane") >= 5 * SECOND


async def test_a_smaller_threshold_than_the_known_one_changes_nothing() -> None:
    time = Time()
    pacer = _pacer(time, Pace(per=3 * SECOND))
    await pacer.turn("lane")
    pacer.refused("lane", threshold=SECOND)
    await pacer.turn("lane")
    assert pacer.wait("lane") >= 3 * SECOND


async def test_pauses_grow_with_each_refusal_and_are_forgotten_after_a_success() -> None:
    time = Time()
    pacer = _pacer(time, Pace(per=timedelta(0)))
    pauses = [pacer.refused("lane", threshold=None) for _ in range(4)]
    assert pauses == sorted(pauses) and pauses[3] > 4 * pauses[0]
    time.now += 100
    pacer.accepted("lane")
    assert pacer.refused("lane", threshold=None) == pytest.approx(pauses[0], abs=timedelta(milliseconds=1))


async def test_a_refusal_starts_the_penalty() -> None:
    time = Time()
    pacer = _pacer(time, Pace(per=SECOND, penalty=12 * SECOND))
    assert pacer.refused("lane", threshold=None) >= 12 * SECOND
    with pytest.raises(RateLimited):
        await pacer.turn("lane")


async def test_two_processes_that_are_refused_together_do_not_come_back_together() -> None:
    time = Time()
    early, late = (
        Pacer({"lane": Pace(per=SECOND)}, clock=time.clock, sleep=time.sleep, dice=lambda dice=dice: dice)
        for dice in (0.1, 0.9)
    )
    assert early.refused("lane", threshold=None) < late.refused("lane", threshold=None)


def test_a_setting_stretches_or_drops_the_intervals_of_every_call() -> None:
    assert all(pace.per == PACES[name].per * 2 for name, pace in paces(2).items())
    assert not any(pace.per for pace in paces(0).values())
