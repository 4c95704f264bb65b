"""Copies of disks: written down before they are asked for, and forgotten only when they are gone."""

from datetime import datetime, timedelta

import pytest

from holdfast.contracts.activities import CloseWorkloadInput, CommitCheckpointInput
from holdfast.contracts.disks import DiskCopy, JudgeCopiesInput, PlanCopyInput
from holdfast.contracts.names import copy_name, is_copy_of
from holdfast.contracts.workload import Phase
from holdfast.providers.gcp.names import is_name
from holdfast.records.store import Records
from tests.unit.records.makers import MARK, NOON, Clock, checkpoint, claim, closing, lease, offer, opening

HOUR = timedelta(hours=1)
GRACE = timedelta(minutes=10)
FIRST, SECOND = f"hf-train-1-{MARK}", f"hf-train-2-{MARK}"


def due(epoch: int = 1, **changes: str) -> PlanCopyInput:
    told = {"provider": "vast", "instance_id": f"i-{epoch}"} | changes
    return PlanCopyInput(workload="train", epoch=epoch, every=HOUR, **told)


def works(records: Records, epoch: int = 1, run_id: str = "run-1") -> None:
    """A machine has the work, and has saved nothing yet."""
    records.open_workload(opening(run_id=run_id))
    records.claim_epoch(claim(epoch))
    records.record_lease(lease(epoch))


def saves(records: Records, clock: Clock, sequence: int = 0, epoch: int = 1) -> None:
    saved = checkpoint(sequence, epoch, committed_at=clock.now)
    records.commit_checkpoint(
        CommitCheckpointInput(checkpoint=saved, expected_sequence=sequence - 1 if sequence else None)
    )


def takes(records: Records, order: PlanCopyInput) -> DiskCopy:
    """A copy that is due is taken, and becomes whole."""
    copy = records.plan_disk_copy(order).copy
    assert copy is not None
    records.record_disk_copy(copy)
    return copy


def names(copies: list[DiskCopy]) -> list[str]:
    return [each.name for each in copies]


def judged(
    records: Records, *found: str, asked_at: datetime, grace: timedelta = GRACE, dry_run: bool = False
) -> list[str]:
    order = JudgeCopiesInput(
        provider="vast",
        names=found,
        grace=grace,
        dry_run=dry_run,
        asked_at=asked_at,
        listed_at=asked_at + timedelta(seconds=2),
    )
    return records.judge_disk_copies(order)


def test_names_are_such_as_google_takes_and_say_whose_they_are() -> None:
    longest = copy_name("9" + "x" * 47, 999_999, "0ld1")
    assert is_name(longest) and len(longest) == 63
    assert is_copy_of("0ld1", longest) and not is_copy_of("m4rk", longest)
    assert not is_copy_of("m4rk", "somebodys-m4rk")


def test_a_copy_is_on_record_before_anybody_asks_for_it(records: Records, clock: Clock) -> None:
    works(records)
    saves(records, clock)
    plan = records.plan_disk_copy(due())
    assert plan.copy == DiskCopy(name=FIRST, provider="vast")
    assert records.plan_disk_copy(due()) == plan, "a repeat names the same"
    assert names(records.open_disk_copies("train")) == [FIRST]


def test_nothing_is_copied_before_the_machine_has_saved_something(records: Records, clock: Clock) -> None:
    works(records)
    assert records.plan_disk_copy(due()).copy is None
    saves(records, clock)
    records.claim_epoch(claim(2))
    assert records.plan_disk_copy(due(2)).copy is None, "what the machine before it has saved is not of its disk"
    assert records.plan_disk_copy(due(1)).copy is None, "a machine that is fenced is copied no more"
    assert records.open_disk_copies("train") == []


def test_the_next_copy_is_due_when_the_last_is_old_and_something_was_saved_since(
    records: Records, clock: Clock
) -> None:
    works(records)
    saves(records, clock)
    clock.now += timedelta(seconds=10)
    takes(records, due())
    clock.now += timedelta(minutes=20)
    assert records.plan_disk_copy(due()).look_again_after == timedelta(minutes=40)
    clock.now += HOUR
    plan = records.plan_disk_copy(due())
    assert (plan.copy, plan.look_again_after) == (None, None), "nothing was saved"
    saves(records, clock, 1)
    assert (plan := records.plan_disk_copy(due())).copy is not None and plan.copy.name == SECOND


def test_the_last_copy_is_of_no_use_when_the_next_is_whole_and_not_before(records: Records, clock: Clock) -> None:
    works(records)
    saves(records, clock)
    takes(records, due())
    clock.now += HOUR
    saves(records, clock, 1)
    second = records.plan_disk_copy(due()).copy
    assert second is not None
    claimed = records.claim_epoch(claim(2))
    assert claimed.disk is not None and claimed.disk.name == FIRST
    assert names(records.record_disk_copy(second)) == [FIRST]
    records.close_disk_copy(FIRST)
    records.close_disk_copy(FIRST)
    assert names(records.open_disk_copies("train")) == [SECOND]
    assert (again := records.claim_epoch(claim(3)).disk) is not None and again.name == SECOND


def test_a_claim_is_told_of_a_whole_copy_at_its_own_provider_only(records: Records, clock: Clock) -> None:
    works(records)
    saves(records, clock)
    records.plan_disk_copy(due())
    assert records.claim_epoch(claim(2)).disk is None, "it is not whole yet"
    records.record_disk_copy(DiskCopy(name=FIRST, provider="vast", taken_at=NOON, disk_gb=50.0))
    elsewhere = offer(provider="gcp", offer_id="o")
    assert records.claim_epoch(claim(3, of=elsewhere)).disk is None
    assert records.claim_epoch(claim(4)).disk == DiskCopy(name=FIRST, provider="vast", taken_at=NOON, disk_gb=50.0)
    assert records.claim_epoch(claim(5, same_machine=True)).disk is None, "nothing is rented"
    records.close_disk_copy(FIRST)
    assert records.claim_epoch(claim(6)).disk is None


def test_copies_of_an_earlier_run_are_of_no_use_to_the_next(records: Records, clock: Clock) -> None:
    works(records)
    saves(records, clock)
    takes(records, due())
    works(records, epoch=2, run_id="run-2")
    assert records.claim_epoch(claim(3)).disk is None
    (left,) = records.open_disk_copies_at("vast")
    assert (left.name, left.current) == (FIRST, False)
    saves(records, clock, 0, epoch=3)
    second = records.plan_disk_copy(due(3)).copy
    assert second is not None and second.name == SECOND
    assert names(records.record_disk_copy(second)) == [FIRST]


def test_a_workload_that_is_over_is_copied_no_more(records: Records, clock: Clock) -> None:
    works(records)
    saves(records, clock)
    records.close_lease(closing(1, clock.now))
    records.close_workload(
        CloseWorkloadInput(workload="train", phase=Phase.FINISHED, reason="done", closed_at=clock.now)
    )
    assert records.plan_disk_copy(due()).copy is None


def test_a_copy_without_an_owner_is_dropped_when_it_was_seen_twice(records: Records, clock: Clock) -> None:
    works(records)
    saves(records, clock)
    takes(records, due())
    clock.now += HOUR
    assert judged(records, FIRST, asked_at=clock.now, dry_run=True) == []
    assert judged(records, FIRST, asked_at=clock.now + GRACE) == [], "a dry run remembers nothing"
    assert judged(records, FIRST, asked_at=clock.now + 2 * GRACE) == [], "listed only after it was asked"
    assert judged(records, FIRST, asked_at=clock.now + 3 * GRACE) == [FIRST]


def test_a_copy_that_has_an_owner_again_begins_its_grace_anew(records: Records, clock: Clock) -> None:
    works(records)
    saves(records, clock)
    takes(records, due())
    clock.now += HOUR
    assert judged(records, FIRST, asked_at=clock.now) == []
    assert judged(records, "hf-another-1-m4rk", asked_at=clock.now + GRACE) == []
    assert judged(records, FIRST, asked_at=clock.now + 3 * GRACE) == []


def test_a_copy_that_is_listed_after_it_was_gone_is_dropped_again(records: Records, clock: Clock) -> None:
    works(records)
    saves(records, clock)
    takes(records, due())
    records.close_disk_copy(FIRST)
    clock.now += HOUR
    assert judged(records, FIRST, asked_at=clock.now) == []
    assert judged(records, FIRST, asked_at=clock.now + 2 * GRACE) == [FIRST]


@pytest.mark.parametrize("found", ["hf-train-9-m4rk", "hf-unheard-1-m4rk"])
def test_what_is_not_on_record_is_never_dropped(records: Records, found: str) -> None:
    works(records)
    for times in range(3):
        assert judged(records, found, asked_at=NOON + times * 2 * GRACE, grace=timedelta()) == []


def test_a_copy_that_was_asked_for_while_the_sweep_looked_around_has_an_owner(records: Records, clock: Clock) -> None:
    works(records)
    saves(records, clock)
    takes(records, due())
    for _ in range(2):
        assert judged(records, FIRST, asked_at=clock.now, grace=timedelta()) == []
