"""A recovery is over at the first progress of the work that was started, and not before."""

from datetime import UTC, datetime, timedelta

from holdfast.policy.recovering import first_progress

START = datetime(2026, 9, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def at(progress: timedelta | None, *, after: timedelta = 30 * SECOND, reports: bool = False) -> datetime | None:
    progress_at = None if progress is None else START + progress
    return first_progress(started_at=START, progress_at=progress_at, now=START + after, reports=reports)


def test_progress_ends_a_recovery_at_its_own_moment():
    assert at(3 * SECOND) == START + 3 * SECOND


def test_progress_that_seems_to_come_a_blink_before_the_start_is_of_this_start():
    assert at(timedelta(microseconds=-554)) == START, "seen: work that reported at once, on a clock half a ms off"


def test_progress_of_an_earlier_start_on_the_same_machine_ends_nothing():
    assert at(-40 * SECOND) is None


def test_work_that_never_reports_must_only_live_for_a_while():
    assert at(None, after=19 * SECOND) is None
    assert at(None, after=21 * SECOND) == START
    assert at(None, after=21 * SECOND, reports=True) is None
