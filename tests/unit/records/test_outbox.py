"""What is told by webhook is written with its event, once, and is one worker's to tell."""

from datetime import timedelta
from decimal import Decimal

from holdfast.contracts.notifications import ListNotificationsInput, Notification
from holdfast.contracts.sweeping import JudgeInput
from holdfast.records.store import Records
from tests.unit.records.makers import NOON, Clock, claim, incident, lease, opening
from tests.unit.records.test_sightings import GRACE, closed, stranger

DAY = timedelta(days=1)


def outbox(records: Records) -> list[Notification]:
    """In the order of events."""
    return records.list_notifications(ListNotificationsInput())[::-1]


def test_a_loss_is_told_when_it_is_recorded_and_its_recovery_when_it_is_over(records: Records) -> None:
    records.open_workload(opening())
    gone = incident(1, epoch_gained=None, strategy="", recovered_at=None, recovery_time=None, work_lost=None)
    records.record_incident(gone)
    records.record_incident(incident(1, recovered_at=None, recovery_time=None))
    assert [each.event_id for each in outbox(records)] == ["train.g1.e1.lost"]
    records.record_incident(incident(1))
    records.record_incident(incident(1))
    assert [each.event_id for each in outbox(records)] == ["train.g1.e1.lost", "train.g1.e1.recovered"]
    recovered = outbox(records)[1].document
    assert (recovered["recovery_time"], recovered["work_lost"], recovered["cost"]) == (60.0, 30.0, "0.012345")


def test_the_next_run_of_a_name_has_events_of_its_own(records: Records) -> None:
    for run in ("run-1", "run-2"):
        records.open_workload(opening(run_id=run))
        epoch = 1 if run == "run-1" else 2
        records.claim_epoch(claim(epoch))
        records.record_lease(lease(epoch))
        records.record_incident(incident(epoch, recovered_at=None))
    assert [each.event_id for each in outbox(records)] == ["train.g1.e1.lost", "train.g2.e2.lost"]


def test_a_used_up_budget_is_told_once(records: Records, clock: Clock) -> None:
    records.open_workload(opening(budget=Decimal("0.50")))
    records.claim_epoch(claim(1))
    records.record_lease(lease(1))
    clock.now += timedelta(hours=5)
    for _ in range(2):
        assert records.keep_budget("train").used_up
    assert [each.kind for each in outbox(records)] == ["budget.used_up"]


def test_a_stranger_is_told_of_when_it_is_ended_and_not_in_a_dry_run(records: Records, clock: Clock) -> None:
    closed(records)
    for dry_run in (False, True, False):
        order = JudgeInput(
            provider="vast", strangers=(stranger("train.e1.m4rk"),), abandoned=(), grace=GRACE, dry_run=dry_run
        )
        records.judge_strangers(order)
        told = [each.event_id for each in outbox(records)]
        clock.now += GRACE
    assert told == ["vast.9.train.e1.m4rk.stranger"]


def test_a_notification_is_one_workers_and_everybodys_again_after_a_minute(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    records.record_incident(incident(1, recovered_at=None))
    (told,) = records.due_notifications(10)
    assert records.claim_notification(told)
    assert not records.claim_notification(told), "another worker that had seen it too"
    assert records.due_notifications(10) == []
    clock.now += timedelta(minutes=1)
    (again,) = records.due_notifications(10)
    assert (again.number, again.tries) == (told.number, 1)


def test_what_is_settled_is_tried_no_more(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    for epoch in (1, 2, 3):
        records.record_incident(incident(epoch, recovered_at=None))
    first, second, third = outbox(records)
    for each in (first, second, third):
        assert records.claim_notification(each)
    records.settle_notification(first.number, error="", next_at=None)
    records.settle_notification(second.number, error="answered 410", next_at=None)
    records.settle_notification(third.number, error="answered 500", next_at=NOON + timedelta(seconds=90))
    clock.now += timedelta(hours=1)
    assert [each.number for each in records.due_notifications(10)] == [third.number]
    first, second, third = outbox(records)
    assert first.delivered_at == NOON and second.given_up_at == NOON
    assert third.last_error == "answered 500"


def test_what_nobody_took_in_a_day_is_given_up_and_forgotten_after_a_month(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    records.record_incident(incident(1, recovered_at=None))
    clock.now += DAY
    assert records.due_notifications(10) == []
    records.prune_notifications()
    assert outbox(records)[0].given_up_at == clock.now
    clock.now += 30 * DAY
    records.prune_notifications()
    assert outbox(records) == []
