"""Names, generations and the fence."""

from datetime import timedelta

import pytest

from holdfast.contracts.activities import CloseWorkloadInput, ReportInput
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.workload import Phase
from holdfast.records.errors import Fenced, UnknownWorkload
from holdfast.records.store import Records
from tests.unit.records.makers import NOON, checkpoint, claim, commit, lease, offer, opening

WORKDIR = checkpoint(0, epoch=0, reason=SaveReason.WORKDIR)


def finish(records: Records, phase: Phase = Phase.FINISHED) -> None:
    order = CloseWorkloadInput(workload="train", phase=phase, reason="exit code 0", closed_at=NOON)
    records.close_workload(order)


def test_a_new_name_starts_at_epoch_zero_without_a_head(records: Records) -> None:
    opened = records.open_workload(opening())
    assert (opened.epoch, opened.head) == (0, None)
    assert records.workload_names() == ["train"]


def test_the_workdir_is_the_first_head(records: Records) -> None:
    assert records.open_workload(opening(workdir=WORKDIR)).head == WORKDIR
    assert records.claim_epoch(claim(1)).head == WORKDIR
    assert records.list_checkpoints("train") == [WORKDIR]


def test_the_same_run_opens_nothing_twice_and_learns_how_far_it_is(records: Records) -> None:
    records.open_workload(opening(workdir=WORKDIR))
    records.claim_epoch(claim(1))
    saved = records.commit_checkpoint(commit(1, on=0))
    again = records.open_workload(opening(workdir=WORKDIR))
    assert (again.epoch, again.head) == (1, saved)


def test_a_claim_raises_the_fence_and_opens_a_cost_line_before_anything_is_rented(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    (line,) = records.open_leases()
    assert (line.label, line.instance_id, line.launched_at, line.opened_at) == ("train.e1.m4rk", "", None, NOON)


def test_the_same_claim_again_changes_nothing(records: Records) -> None:
    records.open_workload(opening(workdir=WORKDIR))
    first = records.claim_epoch(claim(3))
    assert records.claim_epoch(claim(3)) == first
    assert len(records.open_leases()) == 1


def test_an_older_claim_is_fenced_and_leaves_no_trace(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(2))
    with pytest.raises(Fenced, match="epoch 2 is claimed"):
        records.claim_epoch(claim(1))
    assert [line.epoch for line in records.open_leases()] == [2]


def test_one_epoch_is_not_claimed_for_two_offers(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    for other in (claim(1, of=offer("offer-2")), claim(1, same_machine=True)):
        with pytest.raises(Fenced, match="something else"):
            records.claim_epoch(other)


def test_a_machine_that_goes_on_gets_a_new_epoch_and_no_second_cost_line(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    records.claim_epoch(claim(2, same_machine=True))
    records.claim_epoch(claim(2, same_machine=True))
    records.record_lease(lease(2, label="train.e1.m4rk"))
    assert [line.label for line in records.open_leases()] == ["train.e1.m4rk"]
    with pytest.raises(Fenced):
        records.commit_checkpoint(commit(1, epoch=1))
    assert records.commit_checkpoint(commit(1, epoch=2)).epoch == 2


def test_a_claim_for_a_name_never_opened_is_refused(records: Records) -> None:
    with pytest.raises(UnknownWorkload, match="no workload 'nobody'"):
        records.claim_epoch(claim(1, "nobody"))


class TestGenerations:
    def test_a_name_is_used_again_with_nothing_but_its_epoch(self, records: Records) -> None:
        records.open_workload(opening())
        records.claim_epoch(claim(4))
        records.commit_checkpoint(commit(1, epoch=4))
        finish(records)
        opened = records.open_workload(opening(run_id="run-2"))
        assert (opened.epoch, opened.head) == (4, None)
        assert records.list_checkpoints("train") == []

    def test_the_new_generation_may_start_from_a_workdir(self, records: Records) -> None:
        records.open_workload(opening(workdir=WORKDIR))
        finish(records)
        assert records.open_workload(opening(run_id="run-2", workdir=WORKDIR)).head == WORKDIR

    def test_the_machine_of_the_run_before_cannot_commit_into_the_new_generation(self, records: Records) -> None:
        records.open_workload(opening())
        records.claim_epoch(claim(1))
        records.open_workload(opening(run_id="run-2"))
        with pytest.raises(Fenced, match="never claimed it"):
            records.commit_checkpoint(commit(0, epoch=1))
        with pytest.raises(Fenced, match="earlier run"):
            records.claim_epoch(claim(1))

    def test_a_run_that_was_followed_cannot_open_the_name_again(self, records: Records) -> None:
        records.open_workload(opening())
        records.open_workload(opening(run_id="run-2"))
        with pytest.raises(Fenced, match="newer run"):
            records.open_workload(opening())

    def test_a_run_that_never_closed_is_closed_by_the_one_that_follows(self, records: Records) -> None:
        records.open_workload(opening())
        records.open_workload(opening(run_id="run-2"))
        before = records.report_workload(ReportInput(workload="train"), generation=1)
        assert before is not None
        assert (before.phase, before.closed_at) == ("abandoned", NOON)
        assert "run-2" in before.reason

    def test_the_first_close_stands(self, records: Records) -> None:
        records.open_workload(opening())
        finish(records)
        late = CloseWorkloadInput(
            workload="train", phase=Phase.FAILED, reason="late", closed_at=NOON + timedelta(hours=1)
        )
        records.close_workload(late)
        report = records.report_workload(ReportInput(workload="train"))
        assert report is not None
        assert (report.phase, report.reason, report.closed_at) == ("finished", "exit code 0", NOON)
