"""Whether a silence is a machine's or ours is told by the other machines of the same worker."""

import asyncio
from datetime import timedelta

from holdfast.activities.sightings import OwnSide, Sightings

MOMENT = timedelta(seconds=0.3)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def side_of(sightings: Sightings, missed: str) -> OwnSide:
    """As a look at this machine would find it, that did not answer."""
    sightings.missed(missed)
    return await sightings.own_side(missed)


async def test_the_only_machine_has_nobody_to_compare_with():
    sightings = Sightings(listen_for=MOMENT)
    assert await side_of(sightings, "a.e1") is OwnSide.ALONE
    sightings.listen("a.e1")
    sightings.saw("a.e1")
    assert await side_of(sightings, "a.e1") is OwnSide.ALONE


async def test_another_machine_that_answers_after_the_miss_proves_our_side():
    sightings = Sightings()
    sightings.listen("b.e1")
    asking = asyncio.create_task(side_of(sightings, "a.e1"))
    await asyncio.sleep(0)  # it asks now
    assert not asking.done()
    sightings.saw("b.e1")
    assert await asking is OwnSide.PROVEN


async def test_an_answer_from_before_the_miss_proves_nothing():
    sightings = Sightings(listen_for=MOMENT)
    sightings.listen("b.e1")
    sightings.saw("b.e1")
    assert await side_of(sightings, "a.e1") is OwnSide.DOUBTED


async def test_machines_that_fall_silent_together_cast_doubt_on_our_side_for_as_long_as_none_answers():
    clock = Clock()
    sightings = Sightings(listen_for=MOMENT, clock=clock)
    assert await side_of(sightings, "a.e1") is OwnSide.ALONE
    assert await side_of(sightings, "b.e1") is OwnSide.DOUBTED
    clock.now += timedelta(minutes=2).total_seconds()
    assert await side_of(sightings, "a.e1") is OwnSide.DOUBTED
    sightings.saw("c.e1")
    assert await side_of(sightings, "a.e1") is OwnSide.ALONE


async def test_a_machine_that_nobody_looks_for_any_more_is_no_witness():
    clock = Clock()
    sightings = Sightings(listen_for=MOMENT, clock=clock)
    sightings.missed("b.e1")
    sightings.listen("c.e1")
    sightings.forget("c.e1")
    clock.now += timedelta(hours=1).total_seconds()
    assert await side_of(sightings, "a.e1") is OwnSide.ALONE


def test_a_key_is_known_to_be_right_where_it_was_let_in():
    sightings = Sightings()
    sightings.saw("a.e1")
    sightings.missed("a.e1")
    sightings.forget("a.e1")
    assert (sightings.was_let_in("a.e1"), sightings.was_let_in("b.e1")) == (True, False)
