"""Which saves to keep."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.policy.retention import Retention, retain

WHEN = datetime(2026, 5, 1, tzinfo=UTC)


def checkpoint(sequence: int) -> CheckpointRef:
    return CheckpointRef(
        workload="train",
        epoch=1,
        sequence=sequence,
        manifest=f"manifests/{sequence}",
        reason=SaveReason.CADENCE,
        taken_at=WHEN,
        committed_at=WHEN,
        files=1,
        bytes_total=1,
        bytes_uploaded=1,
        duration=timedelta(seconds=1),
    )


def kept(retention: Retention) -> list[int]:
    return [each.sequence for each in retention.keep]


def wasted(interval: timedelta, cost: timedelta, between: timedelta) -> float:
    """Share of the time lost to saves and to work done again, by the model that the formula minimises."""
    return cost / interval + (interval + cost) / 2 / between


def test_the_newest_checkpoint_zero_pinned_and_the_head_are_kept() -> None:
    found = retain(
        map(checkpoint, [9, 0, 3, 5, 1, 7, 8]), newest=2, head=checkpoint(9), pinned=frozenset({"manifests/3"})
    )
    assert kept(found) == [0, 3, 8, 9]
    assert [each.sequence for each in found.retire] == [1, 5, 7]


def test_a_head_that_is_not_the_newest_is_kept_with_all_that_came_after_it() -> None:
    assert kept(retain(map(checkpoint, range(6)), newest=1, head=checkpoint(3))) == [0, 3, 4, 5]


@pytest.mark.parametrize("newest", [0, -1])
def test_the_head_survives_a_policy_that_keeps_nothing(newest: int) -> None:
    assert kept(retain(map(checkpoint, range(4)), newest=newest, head=checkpoint(3))) == [0, 3]


def test_nothing_is_retired_while_there_are_few() -> None:
    assert retain([checkpoint(0), checkpoint(1)], newest=5, head=checkpoint(1)).retire == ()
