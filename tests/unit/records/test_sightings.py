"""Strangers are remembered from sweep to sweep, and judged by what the records know of their labels."""

from datetime import datetime, timedelta

from holdfast.contracts.activities import CloseLeaseInput
from holdfast.contracts.machines import InstanceState, OpenLease
from holdfast.contracts.sweeping import Finding, JudgeInput, Known, Ruling, Stranger
from holdfast.records.store import Records
from tests.unit.records.makers import NOON, Clock, claim, lease, opening

GRACE = timedelta(minutes=10)


def stranger(label: str, instance_id: str = "9") -> Stranger:
    return Stranger(instance_id=instance_id, label=label, state=InstanceState.RUNNING)


def judged(
    records: Records,
    *strangers: Stranger,
    abandoned: tuple[OpenLease, ...] = (),
    dry_run: bool = False,
    asked_at: datetime | None = None,
) -> list[Finding]:
    order = JudgeInput(
        provider="vast",
        strangers=strangers,
        abandoned=abandoned,
        grace=GRACE,
        dry_run=dry_run,
        asked_at=asked_at,
        listed_at=asked_at,
    )
    return records.judge_strangers(order)


def closed(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    records.record_lease(lease(1))
    records.close_lease(CloseLeaseInput(label="train.e1.m4rk", closed_at=NOON, reason="finished"))


def test_a_machine_of_a_closed_line_is_ended_at_the_second_sighting_after_its_grace(
    records: Records, clock: Clock
) -> None:
    closed(records)
    (first,) = judged(records, stranger("train.e1.m4rk"))
    assert (first.known, first.ruling, first.first_seen, first.ends_at) == (
        Known.CLOSED,
        Ruling.WAIT,
        NOON,
        NOON + GRACE,
    )
    clock.now += GRACE
    (second,) = judged(records, stranger("train.e1.m4rk"))
    assert (second.ruling, second.first_seen) == (Ruling.END, NOON)


def test_one_that_a_good_listing_missed_begins_its_grace_anew(records: Records, clock: Clock) -> None:
    closed(records)
    judged(records, stranger("train.e1.m4rk"))
    clock.now += GRACE
    assert judged(records) == []
    (again,) = judged(records, stranger("train.e1.m4rk"))
    assert (again.ruling, again.first_seen) == (Ruling.WAIT, clock.now)


def test_a_dry_run_says_what_would_be_and_notes_nothing(records: Records, clock: Clock) -> None:
    closed(records)
    judged(records, stranger("train.e1.m4rk"), dry_run=True)
    clock.now += GRACE
    (seen,) = judged(records, stranger("train.e1.m4rk"))
    assert seen.ruling is Ruling.WAIT
    judged(records, dry_run=True)
    clock.now += GRACE
    (due,) = judged(records, stranger("train.e1.m4rk"), dry_run=True)
    assert due.ruling is Ruling.END, "the empty dry run did not make the records forget it"


def test_what_no_line_knows_is_reported_only(records: Records, clock: Clock) -> None:
    closed(records)
    judged(records, stranger("train.e7.m4rk"), stranger("other.e1.m4rk"))
    clock.now += timedelta(days=30)
    found = judged(records, stranger("train.e7.m4rk"), stranger("other.e1.m4rk"))
    assert [(each.known, each.ruling, each.ends_at) for each in found] == [(Known.NOTHING, Ruling.REPORT, None)] * 2


def test_an_open_line_is_abandoned_or_another_machine_s(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    records.record_lease(lease(1))
    (double,) = judged(records, stranger("train.e1.m4rk", "10"))
    assert double.known is Known.OTHER
    left = OpenLease(provider="vast", label="train.e1.m4rk", instance_id="i-1")
    (abandoned,) = judged(records, stranger("train.e1.m4rk", "i-1"), abandoned=(left,))
    assert abandoned.known is Known.ABANDONED


def test_an_abandoned_line_is_found_though_no_listing_shows_its_machine(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    left = OpenLease(provider="vast", label="train.e1.m4rk", instance_id="")
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
    judged(records, stranger("train.e1.m4rk", "9"))
    clock.now += GRACE
    found = judged(records, stranger("train.e1.m4rk", "9"), stranger("train.e1.m4rk", "10"))
    assert [each.ruling for each in found] == [Ruling.END, Ruling.WAIT]
    elsewhere = JudgeInput(
        provider="gcp", strangers=(stranger("train.e1.m4rk", "9"),), abandoned=(), grace=GRACE, dry_run=False
    )
    assert records.judge_strangers(elsewhere)[0].ruling is Ruling.WAIT


def test_a_judgement_that_is_repeated_late_is_no_second_sighting(records: Records, clock: Clock) -> None:
    """Its first answer was lost with the worker, and nobody worked for an hour."""
    closed(records)
    judged(records, stranger("train.e1.m4rk"), asked_at=NOON)
    clock.now += timedelta(hours=1)
    (again,) = judged(records, stranger("train.e1.m4rk"), asked_at=NOON)
    assert again.ruling is Ruling.WAIT
    (second,) = judged(records, stranger("train.e1.m4rk"), asked_at=clock.now)
    assert second.ruling is Ruling.END


def test_what_was_asked_before_the_first_sighting_confirms_nothing(records: Records, clock: Clock) -> None:
    """A sweep that was stuck between its listing and its judgement while another one began and ended."""
    closed(records)
    clock.now += timedelta(minutes=1)
    judged(records, stranger("train.e1.m4rk"), asked_at=clock.now)
    clock.now += timedelta(hours=1)
    (stale,) = judged(records, stranger("train.e1.m4rk"), asked_at=NOON)
    assert stale.ruling is Ruling.WAIT


def test_a_stale_listing_makes_nobody_forget_what_was_seen_after_it(records: Records, clock: Clock) -> None:
    closed(records)
    clock.now += timedelta(minutes=1)
    judged(records, stranger("train.e1.m4rk"), asked_at=clock.now)
    judged(records, asked_at=NOON)
    clock.now += GRACE
    (due,) = judged(records, stranger("train.e1.m4rk"), asked_at=clock.now)
    assert due.ruling is Ruling.END


def test_a_machine_that_was_rented_and_recorded_since_the_stock_was_taken_is_no_stranger(
    records: Records, clock: Clock
) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    for _ in range(2):
        assert judged(records, stranger("train.e1.m4rk", "i-1")) == [], "it is being rented, and its answer is awaited"
        clock.now += GRACE
    records.record_lease(lease(1))
    for _ in range(2):
        assert judged(records, stranger("train.e1.m4rk", "i-1")) == [], "its lease is open, for this very machine"
        clock.now += GRACE


def test_the_machine_of_an_abandoned_line_is_found_beside_its_double(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    records.record_lease(lease(1))
    left = OpenLease(provider="vast", label="train.e1.m4rk", instance_id="i-1")
    found = judged(records, stranger("train.e1.m4rk", "double"), abandoned=(left,))
    assert {(each.instance_id, each.known) for each in found} == {
        ("double", Known.ABANDONED),
        ("i-1", Known.ABANDONED),
    }
