"""The head moves last, one step at a time, and only for the newest epoch."""

from datetime import timedelta

import pytest

from holdfast.contracts.activities import CloseWorkloadInput, ForgetInput
from holdfast.contracts.workload import Phase
from holdfast.records.errors import Fenced, Superseded, UnknownWorkload
from holdfast.records.store import Records
from tests.unit.records.makers import NOON, checkpoint, claim, commit, opening


@pytest.fixture
def running(records: Records) -> Records:
    """A workload whose first machine has epoch 1 and no checkpoint yet."""
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    return records


def test_a_commit_becomes_the_head_that_the_next_machine_gets(running: Records) -> None:
    saved = running.commit_checkpoint(commit(1))
    assert saved == checkpoint(1)
    assert running.claim_epoch(claim(2)).head == saved


def test_a_repeated_commit_returns_what_was_committed(running: Records) -> None:
    first = running.commit_checkpoint(commit(1))
    assert running.commit_checkpoint(commit(1)) == first
    assert len(running.list_checkpoints("train")) == 1


def test_a_commit_that_happened_is_returned_even_after_the_fence_was_raised(running: Records) -> None:
    first = running.commit_checkpoint(commit(1))
    running.claim_epoch(claim(2))
    running.commit_checkpoint(commit(2, epoch=2, on=1))
    assert running.commit_checkpoint(commit(1)) == first


def test_a_save_built_on_an_old_head_is_superseded(running: Records) -> None:
    running.commit_checkpoint(commit(1))
    with pytest.raises(Superseded, match="built on no head, and the head is 1"):
        running.commit_checkpoint(commit(2, on=None))
    with pytest.raises(Superseded):
        running.commit_checkpoint(commit(3, on=2))


def test_another_save_with_the_same_sequence_is_superseded(running: Records) -> None:
    running.commit_checkpoint(commit(1))
    other = commit(1)
    rival = type(other)(checkpoint=checkpoint(1, manifest="train/manifests/rival"), expected_sequence=None)
    with pytest.raises(Superseded):
        running.commit_checkpoint(rival)


def test_an_older_epoch_is_fenced_and_its_save_is_not_listed(running: Records) -> None:
    running.claim_epoch(claim(2))
    with pytest.raises(Fenced, match="epoch 1 may not commit: 'train' is at epoch 2"):
        running.commit_checkpoint(commit(1, epoch=1))
    assert running.list_checkpoints("train") == []


def test_an_epoch_that_nobody_claimed_is_fenced(running: Records) -> None:
    with pytest.raises(Fenced):
        running.commit_checkpoint(commit(1, epoch=7))


def test_a_sequence_that_does_not_rise_is_a_mistake_of_the_caller(running: Records) -> None:
    running.commit_checkpoint(commit(1))
    with pytest.raises(ValueError, match="does not follow"):
        running.commit_checkpoint(commit(1, on=1))


def test_a_commit_for_a_name_never_opened_is_refused(records: Records) -> None:
    with pytest.raises(UnknownWorkload):
        records.commit_checkpoint(commit(1))


def test_verification_is_noted_and_its_newest_time_stands(running: Records) -> None:
    saved = running.commit_checkpoint(commit(1))
    later = NOON + timedelta(days=1)
    running.mark_verified("train", saved.manifest, later)
    running.mark_verified("train", saved.manifest, NOON)
    assert running.list_checkpoints("train")[0].verified_at == later
    with pytest.raises(UnknownWorkload, match="no checkpoint"):
        running.mark_verified("train", "train/manifests/none", NOON)


def test_retired_checkpoints_leave_the_list_and_the_head_never_does(running: Records) -> None:
    for sequence in (1, 2, 3):
        running.commit_checkpoint(commit(sequence, on=sequence - 1 or None))
    assert [each.sequence for each in running.retire_checkpoints("train", {1, 3})] == [1]
    assert running.retire_checkpoints("train", {1, 3}) == []
    assert [each.sequence for each in running.list_checkpoints("train")] == [2, 3]
    assert [each.sequence for each in running.list_checkpoints("train", include_retired=True)] == [1, 2, 3]


def test_nothing_is_retired_without_a_head(running: Records) -> None:
    assert running.retire_checkpoints("train", {1}) == []


def test_manifests_of_earlier_generations_stay_alive_until_they_are_retired(running: Records) -> None:
    old = running.commit_checkpoint(commit(1))
    running.open_workload(opening(run_id="run-2"))
    running.claim_epoch(claim(2))
    new = running.commit_checkpoint(commit(1, epoch=2))
    assert running.live_manifests("train") == {old.manifest, new.manifest}


def forgotten(records: Records, keep: int) -> tuple[int, int]:
    done = records.forget_checkpoints(ForgetInput(workload="train", keep=keep))
    assert done is not None
    return done.forgotten, done.kept


def test_an_ended_workload_keeps_its_checkpoints_until_it_is_told_to_forget_them(running: Records) -> None:
    for sequence in (1, 2, 3):
        running.commit_checkpoint(commit(sequence, on=sequence - 1 or None))
    running.close_workload(
        CloseWorkloadInput(workload="train", phase=Phase.FINISHED, reason="done", closed_at=NOON + timedelta(hours=1))
    )
    assert len(running.live_manifests("train")) == 3
    assert forgotten(running, keep=1) == (2, 1)
    assert [each.sequence for each in running.list_checkpoints("train")] == [3]
    assert forgotten(running, keep=1) == (0, 1)
    assert forgotten(running, keep=0) == (1, 0)
    assert running.live_manifests("train") == frozenset()


def test_a_workload_that_runs_forgets_only_what_earlier_runs_have_left(running: Records) -> None:
    running.commit_checkpoint(commit(1))
    running.open_workload(opening(run_id="run-2"))
    running.claim_epoch(claim(2))
    new = running.commit_checkpoint(commit(1, epoch=2))
    assert forgotten(running, keep=0) == (1, 1)
    assert running.live_manifests("train") == {new.manifest}
    running.commit_checkpoint(commit(2, epoch=2, on=1))


def test_there_is_nothing_to_forget_of_a_name_never_opened(records: Records) -> None:
    assert records.forget_checkpoints(ForgetInput(workload="nobody", keep=1)) is None
