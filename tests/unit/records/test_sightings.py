"""Strangers are remembered from sweep to sweep, and judged by what the records know of their labels."""

from datetime import timedelta

from holdfast.contracts.activities import CloseLeaseInput
from holdfast.contracts.machines import InstanceState, OpenLease
from holdfast.contracts.sweeping import Finding, JudgeInput, Known, Ruling, Stranger
from holdfast.records.store import Records
from tests.unit.records.makers import NOON, Clock, claim, lease, opening

GRACE = timedelta(minutes=10)


def stranger(label: str, instance_id: str = "9") -> Stranger:
    return Stranger(instance_id=instance_id, label=label, state=InstanceState.RUNNING)


def judged(
    records: Records, *strangers: Stranger, abandoned: tuple[OpenLease, ...] = (), dry_run: bool = False
) -> list[Finding]:
    order = JudgeInput(provider="vast", strangers=strangers, abandoned=abandoned, grace=GRACE, dry_run=dry_run)
    return records.judge_strangers(order)


def closed(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    records.record_lease(lease(1))
    records.close_lease(CloseLeaseInput(label="train.e1", closed_at=NOON, reason="finished"))


def test_a_machine_of_a_closed_line_is_ended_at_the_second_sighting_after_its_grace(
    records: Records, clock: Clock
) -> None:
    closed(records)
    (first,) = judged(records, stranger("train.e1"))
    assert (first.known, first.ruling, first.first_seen, first.ends_at) == (
        Known.CLOSED,
        Ruling.WAIT,
        NOON,
        NOON + GRACE,
    )
    clock.now += GRACE
    (second,) = judged(records, stranger("train.e1"))
    assert (second.ruling, second.first_seen) == (Ruling.END, NOON)


def test_one_that_a_good_listing_missed_begins_its_grace_anew(records: Records, clock: Clock) -> None:
    closed(records)
    judged(records, stranger("train.e1"))
    clock.now += GRACE
    assert judged(records) == []
    (again,) = judged(records, stranger("train.e1"))
    assert (again.ruling, again.first_seen) == (Ruling.WAIT, clock.now)


def test_a_dry_run_says_what_would_be_and_notes_nothing(records: Records, clock: Clock) -> None:
    closed(records)
    judged(records, stranger("train.e1"), dry_run=True)
    clock.now += GRACE
    (seen,) = judged(records, stranger("train.e1"))
    assert seen.ruling is Ruling.WAIT
    judged(records, dry_run=True)
    clock.now += GRACE
    (due,) = judged(records, stranger("train.e1"), dry_run=True)
    assert due.ruling is Ruling.END, "the empty dry run did not make the records forget it"


def test_what_no_line_knows_is_reported_only(records: Records, clock: Clock) -> None:
    closed(records)
    judged(records, stranger("train.e7"), stranger("other.e1"))
    clock.now += timedelta(days=30)
    found = judged(records, stranger("train.e7"), stranger("other.e1"))
    assert [(each.known, each.ruling, each.ends_at) for each in found] == [(Known.NOTHING, Ruling.REPORT, None)] * 2


def test_an_open_line_is_abandoned_or_another_machine_s(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    records.record_lease(lease(1))
    (double,) = judged(records, stranger("train.e1", "10"))
    assert double.known is Known.OTHER
    left = OpenLease(provider="vast", label="train.e1", instance_id="i-1")
    (abandoned,) = judged(records, stranger("train.e1", "i-1"), abandoned=(left,))
    assert abandoned.known is Known.ABANDONED


def test_an_abandoned_line_is_found_though_no_listing_shows_its_machine(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    left = OpenLease(provider="vast", label="train.e1", instance_id="")
    judged(records, abandoned=(left,))
    clock.now += GRACE
    (due,) = judged(records, abandoned=(left,))
    assert (due.known, due.ruling, due.instance_id, due.state) == (
        Known.ABANDONED,
        Ruling.END,
        "",
        InstanceState.GONE,
    )


def test_providers_and_machines_of_one_label_are_told_apart(records: Records, clock: Clock) -> None:
    closed(records)
    judged(records, stranger("train.e1", "9"))
    clock.now += GRACE
    found = judged(records, stranger("train.e1", "9"), stranger("train.e1", "10"))
    assert [each.ruling for each in found] == [Ruling.END, Ruling.WAIT]
    elsewhere = JudgeInput(
        provider="gcp", strangers=(stranger("train.e1", "9"),), abandoned=(), grace=GRACE, dry_run=False
    )
    assert records.judge_strangers(elsewhere)[0].ruling is Ruling.WAIT
