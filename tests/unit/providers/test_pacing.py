"""The pacer: a virtual clock shows when each call leaves."""

import asyncio
from datetime import timedelta

import pytest

from holdfast.providers.errors import RateLimited
from holdfast.providers.vast.endpoints import PACES, paces
from holdfast.providers.wrappers.pacing import Pace, Pacer, hurried, leisurely
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


async def test_leisurely_calls_leave_half_of_a_pace_to_others() -> None:
    time = Time()
    pacer = _pacer(time, Pace(per=60 * SECOND, calls=10))
    with leisurely():
        for _ in range(5):
            await pacer.turn("lane")
    for _ in range(5):
        await pacer.turn("lane")
    assert time.slept == [], "who has work that waits finds room"


async def test_leisurely_calls_wait_aside_beyond_our_patience_and_hold_nobody_up() -> None:
    time, waits, goes_on = Time(), asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        waits.set()
        await goes_on.wait()
        await time.sleep(seconds)

    pacer = Pacer({"lane": Pace(per=60 * SECOND, calls=4)}, clock=time.clock, sleep=sleep)
    left: list[str] = []

    async def survey() -> None:
        with leisurely():
            for _ in range(3):
                await pacer.turn("lane")
                left.append("survey")

    going = asyncio.create_task(survey())
    await waits.wait()
    await pacer.turn("lane")
    left.append("other")
    goes_on.set()
    await going
    assert left == ["survey", "survey", "other", "survey"]
    assert time.slept == [pytest.approx(60, abs=1)]


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


def _pacer_among_others(time: Time) -> Pacer:
    """While one waits, others come."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(0)
        await time.sleep(seconds)

    return Pacer({"lane": Pace(per=SECOND)}, clock=time.clock, sleep=sleep)


async def test_who_is_in_a_hurry_goes_before_others_at_every_other_turn() -> None:
    pacer = _pacer_among_others(Time())
    left: list[str] = []

    async def caller(name: str) -> None:
        await pacer.turn("lane")
        left.append(name)

    async def in_a_hurry(name: str) -> None:
        with hurried():
            await caller(name)

    await pacer.turn("lane")
    calm = (caller(f"calm {number}") for number in range(3))
    await asyncio.gather(*calm, *(in_a_hurry(f"hurried {number}") for number in range(2)))
    assert left == ["hurried 0", "calm 0", "hurried 1", "calm 1", "calm 2"]


async def test_who_is_not_in_a_hurry_gets_a_turn_however_many_are() -> None:
    pacer, left = _pacer_among_others(Time()), []

    async def one_after_the_other(name: str) -> None:
        for _ in range(4):
            with hurried():
                await pacer.turn("lane")
            left.append(name)

    async def calm() -> None:
        await pacer.turn("lane")
        left.append("calm")

    await asyncio.gather(one_after_the_other("one"), one_after_the_other("other"), calm())
    assert left.index("calm") < 4


async def test_one_in_a_hurry_who_gives_up_holds_nobody_up() -> None:
    time, opened = Time(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        await opened.wait()
        await time.sleep(seconds)

    pacer = Pacer({"lane": Pace(per=SECOND)}, clock=time.clock, sleep=sleep)

    async def in_a_hurry() -> None:
        with hurried():
            await pacer.turn("lane")

    await pacer.turn("lane")
    calm = [asyncio.create_task(pacer.turn("lane")) for _ in range(2)]
    hurrying = asyncio.create_task(in_a_hurry())
    await asyncio.sleep(0)
    hurrying.cancel()
    opened.set()
    async with asyncio.timeout(5):
        await asyncio.gather(*calm)


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
