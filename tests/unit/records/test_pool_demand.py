"""What the records say of the losses that a pool is there for."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from holdfast.contracts.activities import ClaimEpochInput, OpenWorkloadInput
from holdfast.contracts.incidents import Cause
from holdfast.contracts.names import pool_record
from holdfast.contracts.pools import HandOverInput
from holdfast.records.store import Records
from tests.unit.records.makers import NOON, Clock, lease, offer, opening
from tests.unit.records.test_experience import an_incident

HOUR = timedelta(hours=1)
POOL = pool_record("spare")


def _served_by(records: Records, pool: str) -> None:
    """The workload `train` runs and names this pool."""
    opened = opening()
    failover = opened.spec.failover.model_copy(update={"pool": pool})
    records.open_workload(replace(opened, spec=opened.spec.model_copy(update={"failover": failover})))


def _standby_is_taken(records: Records, clock: Clock) -> None:
    """Wanted at noon, running two minutes later, taken after an hour."""
    spec = opening().spec.model_copy(update={"name": POOL})
    records.open_workload(OpenWorkloadInput(spec=spec, workdir=None, run_id="pool-run", pool=True))
    claimed = records.claim_epoch(ClaimEpochInput(workload=POOL, epoch=1, offer=offer()))
    running = NOON + timedelta(minutes=2)
    rented = replace(lease(1), workload=POOL, label=claimed.label, running_since=running, hourly=Decimal("0.30"))
    records.record_lease(rented)
    clock.now = NOON + HOUR
    records.hand_over(HandOverInput(standby=claimed.label, workload="train", epoch=1))


def test_it_tells_who_is_served_what_they_lost_and_how_standbys_were_taken(records: Records, clock: Clock) -> None:
    _served_by(records, "spare")
    _standby_is_taken(records, clock)
    records.record_incident(replace(an_incident(1, "warmpool", 5), decided_at=NOON + HOUR))
    records.record_incident(replace(an_incident(2, "warmpool", 5), decided_at=NOON + HOUR, cause=Cause.REQUESTED))
    clock.now = NOON + 3 * HOUR
    demand = records.pool_demand("spare")
    assert (demand.served, demand.losses) == (1, 1)
    assert demand.claims == (NOON + HOUR,)
    assert demand.refill == timedelta(minutes=2)
    assert 1.9 < demand.machine_hours < 3.1  # from the hand-over, or from the launch that it carries on


def test_workloads_of_other_pools_and_old_losses_count_for_nothing(records: Records, clock: Clock) -> None:
    _served_by(records, "other")
    records.record_incident(an_incident(1, "warmpool", 5))
    demand = records.pool_demand("spare")
    assert (demand.served, demand.losses, demand.claims, demand.refill) == (0, 0, (), None)
    clock.now = NOON + timedelta(days=8)
    assert records.pool_demand("other").losses == 0
    assert records.pool_demand("other").served == 1


def test_it_tells_how_many_losses_the_regions_of_its_workloads_let_one_expect(records: Records, clock: Clock) -> None:
    _served_by(records, "spare")
    assert records.pool_demand("spare").hazard is None
    records.claim_epoch(ClaimEpochInput(workload="train", epoch=1, offer=offer()))
    records.record_lease(lease(1))
    clock.now = NOON + HOUR
    young = records.pool_demand("spare").hazard
    clock.now = NOON + 40 * HOUR
    old = records.pool_demand("spare").hazard
    assert young is not None
    assert old is not None
    assert 0 < old < young < 1
