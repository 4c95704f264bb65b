"""Which machines are banned for how they behaved, and for how long."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.contracts.incidents import Cause
from holdfast.contracts.machines import Conduct, InstanceState
from holdfast.policy import host_memory
from holdfast.policy.host_memory import Stay, ban_of, reliability, share_lost

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
GOOD, BAD, NEUTRAL = Conduct.GOOD, Conduct.BAD, Conduct.NEUTRAL


def stays(*conduct: Conduct, every: timedelta = HOUR) -> list[Stay]:
    return [Stay(at=NOON + n * every, conduct=each) for n, each in enumerate(conduct)]


@pytest.mark.parametrize(
    ("lived", "reason"),
    [
        ((), None),
        ((BAD,), None),
        ((BAD, BAD), None),
        ((BAD, BAD, BAD), "3 failures in a row"),
        ((BAD, NEUTRAL, BAD, NEUTRAL, NEUTRAL, BAD), "3 failures in a row"),
        ((BAD, BAD, GOOD), None),
        ((BAD, GOOD, BAD), None),
        ((BAD, BAD, GOOD, BAD), "3 of 4 times failed in 72 h"),
        ((NEUTRAL,) * 20, None),
        ((GOOD, GOOD, GOOD, BAD, BAD), None),
    ],
)
def test_a_ban_follows_failures_in_a_row_or_a_large_share_of_them(
    lived: tuple[Conduct, ...], reason: str | None
) -> None:
    found = ban_of(stays(*lived), now=NOON + len(lived) * HOUR)
    assert (found.reason if found else None) == reason


def test_old_failures_do_not_count_in_a_share_but_a_row_is_a_row() -> None:
    lived = stays(BAD, BAD, GOOD, BAD, every=timedelta(hours=40))
    assert ban_of(lived, now=lived[-1].at) is None
    row = stays(BAD, BAD, BAD, every=timedelta(hours=40))
    assert ban_of(row, now=row[-1].at) is not None


def test_a_ban_lasts_a_day_and_two_days_when_it_comes_again_within_a_month() -> None:
    first = stays(BAD, BAD, BAD)
    end = first[-1].at + timedelta(hours=24)
    assert ban_of(first, now=end - timedelta(seconds=1)) is not None
    assert ban_of(first, now=end) is None
    again = [*first, *(Stay(at=end + n * HOUR, conduct=BAD) for n in range(3))]
    second = ban_of(again, now=again[-1].at)
    assert second is not None and second.until - second.since == timedelta(hours=48)
    late = [*first, *(Stay(at=end + timedelta(days=31) + n * HOUR, conduct=BAD) for n in range(3))]
    much_later = ban_of(late, now=late[-1].at)
    assert much_later is not None and much_later.until - much_later.since == timedelta(hours=24)


def test_what_led_to_a_ban_is_forgiven_with_it() -> None:
    lived = stays(BAD, BAD, BAD)
    after = [*lived, Stay(at=lived[-1].at + 25 * HOUR, conduct=BAD)]
    assert ban_of(after, now=after[-1].at) is None


@pytest.mark.parametrize("seed", range(200))
def test_whatever_was_lived_order_does_not_matter_and_neutral_times_change_nothing(seed: int) -> None:
    dice = random.Random(seed)
    lived = [
        Stay(at=NOON + timedelta(minutes=dice.uniform(0, 20_000)), conduct=dice.choice(list(Conduct)))
        for _ in range(dice.randint(0, 30))
    ]
    now = NOON + timedelta(minutes=dice.uniform(0, 25_000))
    expected = ban_of(lived, now=now)
    assert ban_of(dice.sample(lived, len(lived)), now=now) == expected
    assert ban_of([each for each in lived if each.conduct is not NEUTRAL], now=now) == expected
    if expected is not None:
        assert expected.since <= max(each.at for each in lived) and now < expected.until
        assert expected.until - expected.since in (timedelta(hours=24), timedelta(hours=48))
    if sum(each.conduct is BAD for each in lived) < host_memory.LEAST:
        assert expected is None


def test_nobody_is_blamed_for_what_the_market_or_we_did() -> None:
    assert {cause for cause in Cause if host_memory.conduct_of_loss(cause) is BAD} == {
        Cause.SILENT,
        Cause.HOST_OFFLINE,
        Cause.EXITED,
        Cause.REFUSED,
    }
    for state in (InstanceState.INTERRUPTED, InstanceState.WAITING, InstanceState.UNKNOWN, InstanceState.GONE):
        assert host_memory.conduct_of_boot(state) is NEUTRAL


def test_failures_cost_a_share_that_can_be_reckoned_by_hand() -> None:
    assert share_lost(good=0, bad=0) == 0
    assert share_lost(good=6, bad=1) == pytest.approx(0.05)
    assert share_lost(good=0, bad=1000) < 0.5
    assert share_lost(good=6, bad=1, measured=True) == pytest.approx(0.01)


def test_a_claim_is_drawn_to_how_the_last_days_went() -> None:
    hour = timedelta(hours=1)
    assert reliability(0.97, up=timedelta(), watched=timedelta()) == 0.97
    assert reliability(0.97, up=12 * hour, watched=12 * hour) > 0.97
    assert reliability(0.97, up=3 * hour, watched=6 * hour) == pytest.approx((3 + 0.97 * 6) / 12)
    assert reliability(0.97, up=2 * hour, watched=hour) == 0.97  # nonsense is not believed
