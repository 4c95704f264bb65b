"""A workload that lives long: each answer about it fits into one of Temporal's payloads, and nothing is lost by it."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert

from holdfast.client.payloads import PAYLOADS
from holdfast.contracts.activities import ReportInput
from holdfast.contracts.failover import Decision
from holdfast.contracts.reports import Part, WorkloadReport
from holdfast.records.checkpoints import LIVE_TOLD
from holdfast.records.store import Records
from holdfast.records.tables import CheckpointRow, WorkloadRow
from tests.unit.records.longlived import live_long
from tests.unit.records.makers import (
    NOON,
    Clock,
    checkpoint,
    claim,
    commit,
    decision,
    incident,
    opening,
)

PAYLOAD = 512 * 1024  # Temporal takes four times as much, but warns from here on
MANY = 1_500
MANY_LIVE = 20_000  # several pages
MINUTE = timedelta(minutes=1)
NUMBERED_BY = {
    Part.INCIDENTS: "epoch_lost",
    Part.LEASES: "epoch",
    Part.CHECKPOINTS: "sequence",
    Part.DECISIONS: "epoch",
}


def report_of(records: Records, **order: Any) -> WorkloadReport:
    report = records.report_workload(ReportInput(workload="train", **order))
    assert report is not None
    return report


def payload_of(report: WorkloadReport) -> int:
    return len(asyncio.run(PAYLOADS.encode([report]))[0].data)


@pytest.fixture
def old(records: Records) -> Records:
    live_long(records, MANY, offers=30)
    return records


def test_a_report_fits_into_a_payload_and_tells_how_much_it_leaves_out(old: Records) -> None:
    report = report_of(old)
    assert PAYLOAD / 2 < payload_of(report) < PAYLOAD
    for part in Part:
        assert getattr(report, f"{part}_total") == MANY
        assert 10 < len(getattr(report, part)) < MANY
    assert report.leases[-1].epoch == report.checkpoints[-1].sequence == MANY  # the newest, in the old order
    assert [each.epoch for each in report.leases] == sorted(each.epoch for each in report.leases)


def test_what_is_summed_or_judged_is_so_over_all_that_is_recorded(old: Records, clock: Clock) -> None:
    old.record_incident(incident(MANY + 1, recovery_time=MINUTE, work_lost=timedelta()))
    clock.now = NOON + timedelta(hours=1)
    report = report_of(old)
    assert report.cost == MANY * Decimal("0.5")
    assert (report.worst_recovery_time, report.worst_work_lost) == (3 * MINUTE, 2 * MINUTE)
    assert (report.rto_met, report.rpo_met) == (False, False)


@pytest.mark.parametrize("part", Part)
def test_a_list_alone_is_read_page_by_page_to_its_beginning(old: Records, part: Part) -> None:
    read: list[Any] = []
    while len(read) < MANY:
        report = report_of(old, part=part, oldest=MANY - len(read))
        assert payload_of(report) < PAYLOAD
        assert not any(getattr(report, other) for other in Part if other is not part)
        read[:0] = getattr(report, part)
        old.record_decision(decision(MANY + len(read)))  # what comes meanwhile does not move the pages
    assert [getattr(each, NUMBERED_BY[part]) for each in read] == list(range(1, MANY + 1))


def test_live_checkpoints_are_told_page_by_page_whatever_happens_meanwhile(records: Records) -> None:
    for name in ("a", "b"):
        records.open_workload(opening(name))
        records.claim_epoch(claim(1, name))
        records.commit_checkpoint(commit(1, name=name))
    records.open_workload(opening("a", run_id="run-2"))  # what the run before has saved stays
    with records._writing() as session:
        row = session.get_one(CheckpointRow, ("b", 1, 1)).model_dump()
        session.execute(
            insert(CheckpointRow), [row | {"sequence": n, "manifest": f"b/{n}"} for n in range(2, MANY_LIVE + 1)]
        )
        session.get_one(WorkloadRow, "b").head_sequence = MANY_LIVE
    told: list[str] = []
    page = records.live_after(None)
    while page.last:
        told += page.manifests
        if len(told) < LIVE_TOLD * 2:
            records.retire_checkpoints("b", [2])  # told already
            records.commit_checkpoint(commit(MANY_LIVE + 1, name="b", on=MANY_LIVE))
        page = records.live_after(page.last)
    told += page.manifests
    assert len(told) == len(set(told)) == MANY_LIVE + 2
    assert {"a/manifests/1-1", "b/2", f"b/{MANY_LIVE}", f"b/manifests/{MANY_LIVE + 1}-1"} <= set(told)


def nothing_fits(minute: int, **changes: Any) -> Decision:
    return decision(2, made_at=NOON + minute * MINUTE, chosen=(), **changes)


def test_an_empty_market_that_is_asked_for_days_makes_one_decision(records: Records) -> None:
    records.open_workload(opening())
    for minute in range(0, 600, 5):
        for rung in ("snapshot", "coldstart"):
            records.record_decision(nothing_fits(minute, strategy=rung, rejected_total=60 + minute))
    first, second = report_of(records).decisions
    assert {first.strategy, second.strategy} == {"snapshot", "coldstart"}
    assert (first.times, first.made_at, first.last_made_at) == (120, NOON, NOON + 595 * MINUTE)
    assert first.rejected_total == 60 + 595  # the newest ranking


def test_a_search_that_finds_nothing_once_more_is_counted_once_however_often_it_is_told(records: Records) -> None:
    records.open_workload(opening())
    for minute in (0, 5, 5, 0):
        records.record_decision(nothing_fits(minute))
    (kept,) = report_of(records).decisions
    assert (kept.times, kept.last_made_at) == (2, NOON + 5 * MINUTE)


@pytest.mark.parametrize(
    "change",
    [
        {"chosen": decision().chosen},
        {"occasion": "failover: gone"},
        {"rejected": (), "rejected_total": 0},
        {"epoch": 3},
    ],
)
def test_a_search_that_comes_out_in_another_way_is_another_decision(records: Records, change: dict[str, Any]) -> None:
    records.open_workload(opening())
    records.record_decision(nothing_fits(0))
    records.record_decision(decision(**{"epoch": 2, "made_at": NOON + MINUTE, "chosen": ()} | change))
    assert [each.times for each in report_of(records).decisions] == [1, 1]


def test_the_newest_checkpoint_is_told_whatever_its_program_says(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    wordy = checkpoint(1, progress="x" * 4096)
    records.commit_checkpoint(type(commit(1))(checkpoint=wordy, expected_sequence=None))
    assert report_of(records).checkpoints == (wordy,)
