"""The chance of a loss: what is read from the past, what follows, and that it is always a chance."""

import random
from datetime import timedelta
from itertools import pairwise

import pytest

from holdfast.policy.interruption import (
    HOUR,
    NO_RISK,
    UNKNOWN,
    USUALLY_UP,
    Past,
    Risk,
    Span,
    Stay,
    mean,
    past,
    reliability,
    risk,
    spans_of,
)

ZERO = timedelta()


def spans(*hours: float) -> list[Span]:
    """Up for so many hours, then down, and so on, from hour zero."""
    found, at, up = [], 0.0, True
    for each in hours:
        found.append(Span(at * HOUR, (at + each) * HOUR, up))
        at, up = at + each, not up
    return found


def test_a_place_of_which_nothing_is_known_has_a_usual_past() -> None:
    assert past([], 5 * HOUR) == UNKNOWN
    assert past(spans(5, 5), ZERO) == UNKNOWN


def test_the_past_tells_age_shares_and_losses() -> None:
    known = past(spans(10, 1, 2, 1, 3), 17 * HOUR)
    assert known.age == 3 * HOUR
    assert known.losses == (0, 1)
    assert known.up[:2] == (1.0, pytest.approx(5 / 6))
    assert known.up[2] == pytest.approx((15 + USUALLY_UP * 7) / 24)
    assert past(spans(10, 1, 2, 1, 3), 12.5 * HOUR).losses == (0, 1)
    assert past(spans(10, 1, 2, 1, 3), 13.5 * HOUR).losses == (1, 2)


def test_what_comes_later_is_not_known_yet() -> None:
    until_now, more = spans(10, 1, 2), spans(10, 1, 2, 5, 7)
    assert past(until_now, 12 * HOUR) == past(more, 12 * HOUR)


def test_an_age_that_nobody_watched_to_its_end_is_a_usual_one_at_most() -> None:
    assert past(spans(200), 200 * HOUR).age == 200 * HOUR
    assert past(spans(1), HOUR).age == UNKNOWN.age
    assert past(spans(200), 300 * HOUR).age == UNKNOWN.age
    assert past(spans(200, 1), 203 * HOUR).age == 2 * HOUR


def test_a_place_that_has_been_up_for_long_is_safer() -> None:
    ages = [risk(past(spans(24, 1, hours), (25 + hours) * HOUR)) for hours in (0.1, 1, 5, 20, 100)]
    assert all(old.hour < young.hour and old.day < young.day for young, old in pairwise(ages))


def test_a_loss_is_followed_by_others() -> None:
    before, after = past(spans(50), 50 * HOUR), past(spans(49, 0.1, 0.9), 50 * HOUR)
    assert risk(after).six_hours > 2 * risk(before).six_hours


def test_chances_are_chances_and_rise_with_time_whatever_the_past() -> None:
    dice = random.Random(7)
    for _ in range(500):
        known = Past(
            age=timedelta(seconds=dice.lognormvariate(8, 5)),
            up=tuple(dice.random() for _ in range(4)),
            losses=(dice.randrange(30), dice.randrange(200)),
        )
        found = risk(known)
        steps = [found.within(hours * HOUR) for hours in (0, 0.1, 1, 3, 6, 12, 24, 100, 1e6)]
        assert steps[0] == 0 <= steps[-1] <= 1
        assert all(later >= earlier - 1e-12 for earlier, later in pairwise(steps))
        assert found.within(HOUR) == pytest.approx(found.hour)
        assert found.within(6 * HOUR) == pytest.approx(found.six_hours, abs=1e-6)
        assert found.within(24 * HOUR) == pytest.approx(found.day, abs=1e-5)
        assert found.per_hour(8 * HOUR) >= 0


def test_a_machine_on_demand_is_not_taken() -> None:
    assert NO_RISK.within(1000 * HOUR) == NO_RISK.per_hour(HOUR) == 0


def test_the_mean_of_risks_is_taken_lead_by_lead() -> None:
    assert mean([]) is None
    assert mean([Risk(0.1, 0.2, 0.3), Risk(0.3, 0.4, 0.5)]) == Risk(*map(pytest.approx, (0.2, 0.3, 0.4)))


def test_a_loss_puts_its_place_down_for_an_hour_or_until_the_next_machine() -> None:
    alone = spans_of([Stay(ZERO, 5 * HOUR, True)])
    assert alone == [Span(ZERO, 5 * HOUR, True), Span(5 * HOUR, 6 * HOUR, False)]
    again = spans_of([Stay(5.25 * HOUR, 9 * HOUR), Stay(ZERO, 5 * HOUR, True)])
    assert again == [
        Span(ZERO, 5 * HOUR, True),
        Span(5 * HOUR, 5.25 * HOUR, False),
        Span(5.25 * HOUR, 9 * HOUR, True),
    ]


def test_a_machine_that_we_let_go_says_nothing_of_the_time_after() -> None:
    assert spans_of([Stay(ZERO, 5 * HOUR), Stay(8 * HOUR, 9 * HOUR)]) == [
        Span(ZERO, 5 * HOUR, True),
        Span(8 * HOUR, 9 * HOUR, True),
    ]


def test_a_loss_beside_a_machine_that_runs_on_is_a_loss() -> None:
    found = spans_of([Stay(ZERO, 20 * HOUR), Stay(2 * HOUR, 10 * HOUR, True)])
    assert past(found, 10.5 * HOUR).losses == (1, 1)


def test_reliability_is_what_was_seen_drawn_to_what_was_believed() -> None:
    assert reliability(up=ZERO, watched=ZERO, believed=0.9) == pytest.approx(0.9)
    assert reliability(up=6 * HOUR, watched=6 * HOUR, believed=0.5) == pytest.approx(0.75)
    assert reliability(up=72 * HOUR, watched=72 * HOUR, believed=0.5) == pytest.approx(75 / 78)
    with pytest.raises(ValueError, match="cannot have been seen"):
        reliability(up=2 * HOUR, watched=HOUR, believed=0.5)
