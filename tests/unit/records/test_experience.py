"""What the records say of places and of recoveries."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from holdfast.contracts.activities import CloseLeaseInput
from holdfast.contracts.incidents import Attempt, Cause, Incident, Phases
from holdfast.contracts.machines import Conduct, Terms
from holdfast.contracts.memory import PlaceLoss
from holdfast.contracts.spec import Strategy
from holdfast.records.store import Records
from tests.unit.records.makers import NOON, Clock, claim, incident, lease, offer, opening

MINUTE = timedelta(minutes=1)


def failed(records: Records, *machines: str) -> None:
    records.open_workload(opening())
    for epoch, machine in enumerate(machines, start=1):
        records.claim_epoch(claim(epoch, of=offer(f"offer-{epoch}", machine_id=machine)))
        records.record_lease(lease(epoch, machine_id=machine))
        order = CloseLeaseInput(
            label=f"train.e{epoch}.m4rk",
            closed_at=NOON + epoch * MINUTE,
            reason="it never answered",
            conduct=Conduct.BAD,
            failed_in="boot",
        )
        records.close_lease(order)


def an_incident(epoch: int, strategy: str, seconds: int, *, recovered: bool = True) -> Incident:
    attempt = Attempt(
        epoch=epoch + 1,
        strategy=strategy,
        provider="vast",
        offer_id="o",
        machine_id="m",
        hourly=Decimal("0.36"),
        outcome="running",
        took=timedelta(seconds=seconds),
    )
    return Incident(
        workload="train",
        epoch_lost=epoch,
        epoch_gained=epoch + 1,
        cause=Cause.OUTBID,
        reason="",
        strategy=strategy,
        silent_since=NOON,
        decided_at=NOON,
        recovered_at=NOON + timedelta(seconds=seconds) if recovered else None,
        phases=Phases(detect=timedelta(hours=1), boot=timedelta(seconds=seconds), progress=timedelta(hours=1)),
        recovery_time=timedelta(hours=2) if recovered else None,
        work_lost=None,
        cost=Decimal("0.001"),
        attempts=(attempt,),
    )


def test_machines_of_one_region_that_fail_in_a_row_close_it_for_a_while(records: Records, clock: Clock) -> None:
    failed(records, "m1", "m2", "m3")
    clock.now = NOON + 4 * MINUTE
    (place,) = records.closed_places()
    assert (place.provider, place.until) == ("vast", NOON + 8 * MINUTE)
    clock.now = NOON + 9 * MINUTE
    assert records.closed_places() == []


def test_two_failures_close_nothing(records: Records, clock: Clock) -> None:
    failed(records, "m1", "m2")
    clock.now = NOON + 4 * MINUTE
    assert records.closed_places() == []


def test_a_strategys_record_is_the_median_from_the_decision_to_the_running_work(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    for epoch, seconds in enumerate((20, 90, 30), start=1):
        records.record_incident(an_incident(epoch, Strategy.SNAPSHOT, seconds))
    records.record_incident(an_incident(4, Strategy.REGIONAL, 5, recovered=False))
    clock.now = NOON + MINUTE
    (record,) = records.strategy_records()
    assert (record.strategy, record.times, record.typical) == (Strategy.SNAPSHOT, 3, timedelta(seconds=30))
    assert record.spent == timedelta(seconds=10)
    clock.now = NOON + timedelta(days=31)
    assert records.strategy_records() == []


# --- losses to the market ----------------------------------------------------------------------------------------

HOUR = timedelta(hours=1)


def rented(records: Records, epoch: int, region: str, *, hours: float, cause: Cause | None = None) -> None:
    """An interruptible machine of so many hours from the epoch's day on; with a cause, that is how it ended."""
    began = NOON + (epoch - 1) * 24 * HOUR
    records.claim_epoch(claim(epoch, of=offer(f"offer-{epoch}", region=region, terms=Terms.INTERRUPTIBLE)))
    records.record_lease(lease(epoch, region=region, terms=Terms.INTERRUPTIBLE, since=began, running_since=began))
    ends = began + hours * HOUR
    if cause is not None:
        records.record_incident(replace(an_incident(epoch, Strategy.SNAPSHOT, 90), cause=cause, decided_at=ends))
    order = CloseLeaseInput(label=f"train.e{epoch}.m4rk", closed_at=ends + MINUTE, reason="over")
    records.close_lease(order)


def test_nothing_is_known_of_regions_that_were_never_rented_in(records: Records) -> None:
    assert records.place_risks() == []


def test_a_region_that_took_machines_is_more_dangerous_than_one_that_did_not(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    clock.now = NOON
    rented(records, 1, "CA", hours=20)
    clock.now = NOON + 24 * HOUR
    rented(records, 2, "US", hours=2, cause=Cause.OUTBID)
    clock.now = NOON + 27 * HOUR
    canada, states = records.place_risks()
    assert (canada.region, states.region) == ("CA", "US")
    assert (canada.losses, states.losses) == (0, 1)
    assert (canada.lost_at, states.lost_at) == (None, NOON + 26 * HOUR)
    assert states.six_hours > canada.six_hours
    clock.now = NOON + timedelta(days=20)
    assert records.place_risks() == []


def test_a_host_that_went_silent_says_nothing_of_its_region(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    rented(records, 1, "US", hours=2, cause=Cause.SILENT)
    clock.now = NOON + 3 * HOUR
    assert records.place_risks()[0].losses == 0


def test_a_loss_that_is_not_on_record_yet_counts(records: Records, clock: Clock) -> None:
    clock.now = NOON + HOUR
    (found,) = records.place_risks(lost=PlaceLoss(provider="vast", region="US", at=NOON + HOUR - MINUTE))
    assert (found.region, found.losses, found.lost_at) == ("US", 1, NOON + HOUR - MINUTE)
    assert found.six_hours > 0.5


# --- what a loss costs ---------------------------------------------------------------------------------------------


def test_what_a_loss_costs_a_workload_is_learnt_from_its_own_losses_to_the_market(records: Records) -> None:
    records.open_workload(opening())
    assert records.cost_of_loss("train", 10 * MINUTE) == 15 * MINUTE
    took = {"recovery_time": 20 * MINUTE, "work_lost": 40 * MINUTE}
    records.record_incident(incident(1, **took))
    assert records.cost_of_loss("train", 10 * MINUTE) == (3 * 15 + 60) / 4 * MINUTE
    others = [
        incident(2, cause=Cause.SILENT, **took),
        incident(3, recovery_time=None, work_lost=None, recovered_at=None),
        incident(4, decided_at=NOON - timedelta(days=31), **took),
    ]
    for each in others:
        records.record_incident(each)
    assert records.cost_of_loss("train", 10 * MINUTE) == (3 * 15 + 60) / 4 * MINUTE
    assert records.cost_of_loss("another", 10 * MINUTE) == 15 * MINUTE


def test_kinds_of_gpu_are_told_apart(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    rented(records, 1, "US", hours=2, cause=Cause.OUTBID)
    clock.now = NOON + 3 * HOUR
    (known,) = records.place_risks()
    lost = PlaceLoss(provider="vast", region="US", gpu="H100", at=clock.now - MINUTE)
    both = {each.gpu: each for each in records.place_risks(lost=lost)}
    assert sorted(both) == sorted([known.gpu, "H100"])
    assert both[known.gpu] == known
    assert both["H100"].lost_at == lost.at
