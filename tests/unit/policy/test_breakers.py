"""Places where one machine after the other fails are left alone for a while."""

from datetime import UTC, datetime, timedelta

from holdfast.policy.breakers import FIRST_PAUSE, LONGEST_PAUSE, Trial, closed_places

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def trials(*good: bool, region: str = "US", provider: str = "vast", same_machine: bool = False) -> list[Trial]:
    """A minute apart, the last one now."""
    return [
        Trial(
            provider=provider,
            region=region,
            machine_id="m0" if same_machine else f"m{number}",
            at=NOON - (len(good) - 1 - number) * MINUTE,
            good=each,
        )
        for number, each in enumerate(good)
    ]


def test_three_machines_of_a_region_in_a_row_close_it() -> None:
    (found,) = closed_places(trials(False, False, False), now=NOON)
    assert (found.provider, found.region, found.until) == ("vast", "US", NOON + FIRST_PAUSE)
    assert found.reason == "3 machines in a row failed at vast in US"


def test_two_do_not_nor_does_one_machine_that_fails_again_and_again() -> None:
    assert closed_places(trials(False, False), now=NOON) == []
    assert closed_places(trials(*[False] * 9, same_machine=True), now=NOON) == []


def test_a_machine_that_did_what_it_promised_closes_the_matter() -> None:
    assert closed_places(trials(False, False, True, False, False), now=NOON) == []


def test_it_opens_again_after_a_while_which_doubles_with_each_failure() -> None:
    assert closed_places(trials(False, False, False), now=NOON + FIRST_PAUSE) == []
    (longer,) = closed_places(trials(*[False] * 4), now=NOON + FIRST_PAUSE)
    assert longer.until == NOON + 2 * FIRST_PAUSE


def test_no_pause_is_longer_than_an_hour_and_five_regions_close_the_provider() -> None:
    all_over = [each for n in range(20) for each in trials(*[False] * 1, region=f"R{n}")]
    moved = [
        Trial(provider="vast", region=e.region, machine_id=f"x{n}", at=e.at, good=False) for n, e in enumerate(all_over)
    ]
    (found,) = closed_places(moved, now=NOON)
    assert (found.region, found.until) == ("", NOON + LONGEST_PAUSE)


def test_what_is_long_ago_says_nothing() -> None:
    assert closed_places(trials(False, False, False), now=NOON + timedelta(hours=3)) == []


def test_another_provider_is_another_place() -> None:
    mixed = trials(False, False) + trials(False, provider="gcp")
    assert closed_places(mixed, now=NOON) == []
