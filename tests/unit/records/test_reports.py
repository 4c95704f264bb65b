"""Reports: everything of one generation, unchanged, and whether the objectives were kept."""

from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.contracts.activities import ReportInput
from holdfast.contracts.incidents import Cause
from holdfast.contracts.reports import Part, Spread, StrategyLine, WorkloadReport
from holdfast.records.errors import UnknownWorkload
from holdfast.records.store import Records
from tests.unit.records.makers import (
    NOON,
    Clock,
    checkpoint,
    claim,
    closing,
    commit,
    decision,
    incident,
    lease,
    opening,
    with_objectives,
)

MINUTE = timedelta(minutes=1)


def report_of(records: Records, generation: int | None = None) -> WorkloadReport:
    report = records.report_workload(ReportInput(workload="train"), generation=generation)
    assert report is not None
    return report


def test_a_name_never_opened_has_no_report(records: Records) -> None:
    assert records.report_workload(ReportInput(workload="nobody")) is None
    assert records.list_checkpoints("nobody") == []


def test_a_report_holds_all_that_was_recorded_as_it_was_recorded(records: Records) -> None:
    records.open_workload(opening(objectives=with_objectives(rto=2 * MINUTE, rpo=MINUTE)))
    records.record_decision(decision(1))
    for epoch in (1, 2):
        records.claim_epoch(claim(epoch))
        records.record_lease(lease(epoch, hourly=Decimal("0.1")))
        records.close_lease(closing(epoch, NOON + 60 * MINUTE))
    records.commit_checkpoint(commit(1, epoch=2))
    records.record_incident(incident(1))
    report = report_of(records)
    assert report.incidents == (incident(1),)
    assert report.decisions == (decision(1),)
    assert report.checkpoints == (checkpoint(1, epoch=2),)
    assert [line.label for line in report.leases] == ["train.e1.m4rk", "train.e2.m4rk"]
    assert (report.cost, report.epoch, report.phase) == (Decimal("0.2"), 2, "open")
    assert (report.rto, report.rpo, report.rto_met, report.rpo_met) == (2 * MINUTE, MINUTE, True, True)


def test_the_same_loss_again_replaces_the_incident(records: Records) -> None:
    records.open_workload(opening())
    records.record_incident(incident(1, recovered_at=None, recovery_time=None))
    records.record_incident(incident(1, cause=Cause.GONE))
    (kept,) = report_of(records).incidents
    assert (kept.cause, kept.recovery_time) == (Cause.GONE, MINUTE)


def test_the_same_decision_again_is_kept_once(records: Records) -> None:
    records.open_workload(opening())
    records.record_decision(decision(1))
    records.record_decision(decision(1))
    records.record_decision(decision(1, made_at=NOON + MINUTE))
    assert len(report_of(records).decisions) == 2


@pytest.mark.parametrize(
    ("change", "met"),
    [
        ({"recovery_time": 2 * MINUTE}, (True, True)),
        ({"recovery_time": 2 * MINUTE + timedelta(microseconds=1)}, (False, True)),
        ({"work_lost": 61 * timedelta(seconds=1)}, (True, False)),
        ({"work_lost": None}, (True, True)),
        ({"recovery_time": timedelta(0)}, (True, True)),
    ],
)
def test_objectives_are_judged_by_the_worst_incident(
    records: Records, change: dict[str, timedelta | None], met: tuple[bool, bool]
) -> None:
    records.open_workload(opening(objectives=with_objectives(rto=2 * MINUTE, rpo=MINUTE)))
    records.record_incident(incident(1))
    records.record_incident(incident(2, **change))
    report = report_of(records)
    assert (report.rto_met, report.rpo_met) == met


def test_a_recovery_that_still_goes_on_is_late_once_its_time_is_over(records: Records, clock: Clock) -> None:
    records.open_workload(opening(objectives=with_objectives(rto=2 * MINUTE, rpo=MINUTE)))
    records.record_incident(incident(1, recovered_at=None, recovery_time=None))
    clock.now = NOON + MINUTE
    assert report_of(records).rto_met is None  # nothing was measured yet
    clock.now = NOON + 3 * MINUTE
    assert report_of(records).rto_met is False


def test_without_objectives_or_incidents_there_is_no_judgement(records: Records) -> None:
    records.open_workload(opening(objectives=with_objectives(rto=MINUTE, rpo=MINUTE)))
    assert (report_of(records).rto_met, report_of(records).rpo_met) == (None, None)
    records.open_workload(opening(run_id="run-2"))
    records.record_incident(incident(1))
    assert (report_of(records).rto_met, report_of(records).rpo_met) == (None, None)


def test_each_generation_has_its_own_report(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    records.open_workload(opening(run_id="run-2"))
    records.claim_epoch(claim(2))
    records.record_incident(incident(1))  # told late: it belongs to the generation that had the machine
    first, second = report_of(records, 1), report_of(records)
    assert ([line.epoch for line in first.leases], first.epoch, len(first.incidents)) == ([1], 1, 1)
    assert ([line.epoch for line in second.leases], second.epoch, len(second.incidents)) == ([2], 2, 0)
    assert records.report_workload(ReportInput(workload="train"), generation=3) is None


def test_incidents_and_decisions_need_a_name_that_was_opened(records: Records) -> None:
    for write in (lambda: records.record_incident(incident()), lambda: records.record_decision(decision())):
        with pytest.raises(UnknownWorkload):
            write()


def test_the_spreads_are_over_every_incident_of_the_generation(records: Records) -> None:
    records.open_workload(opening(objectives=with_objectives(rto=2 * MINUTE, rpo=MINUTE)))
    for epoch, took in ((1, MINUTE), (2, 2 * MINUTE), (3, 3 * MINUTE)):
        records.claim_epoch(claim(epoch))
        records.record_incident(incident(epoch, recovery_time=took))
    records.claim_epoch(claim(4))
    records.record_incident(incident(4, recovery_time=None, recovered_at=None, work_lost=None))
    report = report_of(records)
    assert report.recovery == Spread(measured=3, p50=2 * MINUTE, p95=3 * MINUTE, max=3 * MINUTE, met=2)
    assert report.loss == Spread(measured=3, p50=MINUTE / 2, p95=MINUTE / 2, max=MINUTE / 2, met=3)
    assert report.strategies == (
        StrategyLine(strategy="snapshot", tries=4, successes=3, p50=2 * MINUTE, p95=3 * MINUTE),
    )


def test_one_list_alone_is_told_without_the_spreads(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    records.record_incident(incident(1))
    page = records.report_workload(ReportInput(workload="train", part=Part.INCIDENTS))
    assert page is not None
    assert (page.recovery, page.loss, page.strategies) == (None, None, ())
