"""Which machines that nobody owns are ended, and when."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.contracts.sweeping import Known, Ruling
from holdfast.policy import sweeping

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
GRACE = timedelta(minutes=10)
OURS = [known for known in Known if known is not Known.NOTHING]


@pytest.mark.parametrize("known", OURS)
def test_what_was_ours_is_ended_when_its_grace_is_over_and_not_before(known: Known) -> None:
    for minutes, expected in ((0, Ruling.WAIT), (9, Ruling.WAIT), (10, Ruling.END), (1000, Ruling.END)):
        now = NOON + timedelta(minutes=minutes)
        assert sweeping.rule(known, first_seen=NOON, asked_at=now, grace=GRACE) is expected, minutes


@pytest.mark.parametrize("known", OURS)
@pytest.mark.parametrize("grace", [timedelta(0), GRACE])
def test_nothing_is_ended_at_its_first_sighting(known: Known, grace: timedelta) -> None:
    assert sweeping.rule(known, first_seen=NOON, asked_at=NOON, grace=grace) is Ruling.WAIT
    assert sweeping.rule(known, first_seen=NOON, asked_at=NOON - timedelta(hours=1), grace=grace) is Ruling.WAIT


def test_what_the_records_know_nothing_of_is_never_ended() -> None:
    for days in (0, 1, 365):
        now = NOON + timedelta(days=days)
        assert sweeping.rule(Known.NOTHING, first_seen=NOON, asked_at=now, grace=GRACE) is Ruling.REPORT


def test_a_listing_that_lacks_machines_which_exist_or_may_exist_is_doubted() -> None:
    assert "still knows" in sweeping.doubt(missing=3, still_known=1, unanswered=0)
    assert "does not say" in sweeping.doubt(missing=3, still_known=0, unanswered=2)
    assert sweeping.doubt(missing=3, still_known=0, unanswered=0) == "", "they are really gone"
    assert sweeping.doubt(missing=0, still_known=0, unanswered=0) == ""


def test_every_reason_can_be_told() -> None:
    assert len({sweeping.reason(known) for known in Known}) == len(Known)
