"""Work that runs and gets nowhere: shown, or not."""

import random
from datetime import UTC, datetime, timedelta

from holdfast.policy.stalling import Stalling

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE = timedelta(minutes=5)


def at(minutes: float) -> datetime:
    return BEGAN + timedelta(minutes=minutes)


def watched(*beats: tuple[float, float | None, float | None]) -> datetime | None:
    """What is known after beats of (minute, minute of the last progress, GPU per cent)."""
    stalling = Stalling(PATIENCE)
    said = None
    for minute, progress, gpu in beats:
        said = stalling.since(at(minute), progress_at=None if progress is None else at(progress), gpu_percent=gpu)
    return said


def test_no_progress_and_an_idle_gpu_for_all_of_the_patience_is_stalled():
    assert watched((0, 0, 0), (2, 0, 1), (5, 0, 0)) == BEGAN


def test_less_than_the_patience_is_not():
    assert watched((0, 0, 0), (4.9, 0, 0)) is None


def test_what_nobody_watched_is_not_shown():
    """A new worker has seen nothing of the GPU, however old the progress is."""
    assert watched((60, 0, 0)) is None
    assert watched((60, 0, 0), (65, 0, 0)) == BEGAN


def test_work_that_reports_no_progress_never_stalls():
    assert watched(*((minute, None, 0) for minute in range(60))) is None


def test_a_gpu_of_which_nothing_is_known_is_not_idle():
    assert watched(*((minute, 0, None) for minute in range(60))) is None
    assert watched((0, 0, 0), (4, 0, None), (6, 0, 0)) is None


def test_a_busy_gpu_is_at_a_long_step():
    assert watched((0, 0, 0), (4, 0, 80), (6, 0, 0), (10, 0, 0)) is None


def test_progress_begins_the_wait_anew():
    assert watched((0, 0, 0), (4, 3, 0), (7, 3, 0)) is None
    assert watched((0, 0, 0), (4, 3, 0), (8, 3, 0)) == at(3)


def test_whatever_happens_it_needs_both_shown_for_the_whole_patience():
    for seed in range(300):
        dice = random.Random(seed)
        stalling, progress, minute = Stalling(PATIENCE), 0.0, 0.0
        idle_since: float | None = None
        for _ in range(60):
            minute += dice.uniform(0.1, 2)
            gpu = dice.choice([0, 0, 0, 0, 3, 90, None])
            idle_since = None if gpu is None or gpu > 5 else minute if idle_since is None else idle_since
            progress = minute if dice.random() < 0.1 else progress
            said = stalling.since(at(minute), progress_at=at(progress), gpu_percent=gpu)
            shown = idle_since is not None and min(minute - progress, minute - idle_since) >= 5
            assert (said is not None) == shown, seed
