"""What the past says about spot to come."""

from datetime import timedelta

import pytest

from holdfast.policy.outlook import NOTHING_SEEN, Outlook, Sighting, looking_back, outlook

H = timedelta(hours=1)


def test_nothing_seen_is_what_is_expected_anyhow() -> None:
    assert outlook(up=timedelta(), watched=timedelta(), drops=0) == pytest.approx(NOTHING_SEEN)
    assert looking_back([], now=5 * H) == pytest.approx(NOTHING_SEEN)


def test_the_more_was_seen_the_more_it_counts() -> None:
    shares = [outlook(up=hours * H, watched=hours * H, drops=0).available for hours in (0, 1, 6, 48)]
    assert shares == sorted(shares)
    assert shares[2] == 0.75
    rates = [outlook(up=timedelta(), watched=hours * H, drops=2 * hours).drops_per_hour for hours in (0, 1, 6, 48)]
    assert rates == sorted(rates)
    assert rates[-1] < 2


@pytest.mark.parametrize(("up", "watched", "drops"), [(2, 1, 0), (-1, 1, 0), (0, 1, -1)])
def test_what_cannot_have_been_seen_is_refused(up: int, watched: int, drops: int) -> None:
    with pytest.raises(ValueError, match="cannot have been seen"):
        outlook(up=up * H, watched=watched * H, drops=drops)


def test_sightings_hold_until_the_next_and_the_old_ones_are_forgotten() -> None:
    sightings = [Sighting(0 * H, True), Sighting(60 * H, True), Sighting(70 * H, False), Sighting(90 * H, True)]
    assert looking_back(sightings, now=100 * H) == outlook(up=28 * H, watched=48 * H, drops=1)


def test_a_life_is_the_time_between_drops_that_spot_is_there_and_sets_the_cadence() -> None:
    seen = Outlook(available=0.5, drops_per_hour=0.25)
    assert seen.life == 2 * H
    assert seen.cadence(timedelta(seconds=9)) == timedelta(seconds=360)
    assert Outlook(available=1.0, drops_per_hour=0.0).life > 1000 * H
