"""The facts that savings are computed from: what slept, since when, and what it had cost."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import create_engine

from holdfast.client.savings import of
from holdfast.contracts.activities import CloseWorkloadInput, OpenWorkloadInput, RecordEndpointInput
from holdfast.contracts.endpoints import EndpointSpec
from holdfast.contracts.incidents import Phases
from holdfast.contracts.machines import Conduct, InstanceState
from holdfast.contracts.money import MeterInput
from holdfast.contracts.names import label
from holdfast.contracts.savings import LivesInput, LossesInput, LossLine, MachineLife, Mode, SavingsLine, SavingsOrder
from holdfast.contracts.workload import Phase
from holdfast.records import savings
from holdfast.records.schema import migrate
from holdfast.records.store import Records
from tests.unit.records.makers import MARK, NOON, Clock, claim, closing, commit, incident, lease, opening

HOUR = timedelta(hours=1)
RUN, DISK = Decimal("0.36"), Decimal("0.012")


def rents(records: Records, epoch: int, name: str = "train", *, after: timedelta = timedelta()) -> None:
    """A machine that runs from then on."""
    since = NOON + after
    records.record_lease(
        lease(epoch, name, hourly=RUN, storage_hourly=DISK, since=since, running_since=since + HOUR / 2)
    )


def turns(records: Records, epoch: int, state: InstanceState, after: timedelta, name: str = "train") -> None:
    records.meter_lease(MeterInput(label=label(name, epoch, MARK), state=state, at=NOON + after))


def all_lives(records: Records) -> list[MachineLife]:
    return list(records.lives_after(LivesInput()).lives)


def total(records: Records, clock: Clock) -> SavingsLine:
    return of(all_lives(records), SavingsOrder(), clock.now).total


def test_a_workload_that_was_stopped_and_then_let_go_saved_by_both(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    rents(records, 1)
    turns(records, 1, InstanceState.STOPPED, 2 * HOUR)
    turns(records, 1, InstanceState.RUNNING, 5 * HOUR)
    records.close_lease(replace(closing(1, NOON + 6 * HOUR), asleep=True))
    clock.now = NOON + 9 * HOUR
    records.claim_epoch(replace(claim(2), wanted_at=NOON + 8 * HOUR))
    rents(records, 2, after=9 * HOUR)
    clock.now = NOON + 10 * HOUR
    line = total(records, clock)
    assert (line.waking, line.awake, line.stopped, line.let_go) == (HOUR, 3 * HOUR, 3 * HOUR, 2 * HOUR)
    assert line.saved == 3 * (RUN - DISK) + 2 * RUN
    assert line.paid == 3 * RUN + 4 * DISK


def test_only_a_lease_that_ended_for_a_sleep_begins_one(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    rents(records, 1)
    records.close_lease(closing(1, NOON + HOUR, reason="paused, with checkpoint 3, it says"))
    clock.now = NOON + 9 * HOUR
    assert total(records, clock).let_go == timedelta()


def test_the_first_close_says_whether_it_sleeps(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    rents(records, 1)
    records.close_lease(replace(closing(1, NOON + HOUR), asleep=True))
    records.close_lease(closing(1, NOON + 2 * HOUR))
    clock.now = NOON + 3 * HOUR
    assert total(records, clock).let_go == 2 * HOUR


def test_a_sleep_ends_with_the_run_of_its_workload_and_the_next_run_begins_without(
    records: Records, clock: Clock
) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    rents(records, 1)
    records.close_lease(replace(closing(1, NOON + HOUR), asleep=True))
    records.close_workload(
        CloseWorkloadInput(workload="train", phase=Phase.STOPPED, reason="by hand", closed_at=NOON + 4 * HOUR)
    )
    clock.now = NOON + 8 * HOUR
    records.open_workload(opening(run_id="run-2"))
    records.claim_epoch(claim(2))
    assert total(records, clock).let_go == 3 * HOUR


def test_a_replica_belongs_to_its_endpoint_and_a_workload_of_such_a_name_to_nobody(records: Records) -> None:
    spec = EndpointSpec.model_validate(
        {"name": "chat", "workload": {"command": "serve", "price": {"max_hourly": "1"}}, "service": {}}
    )
    records.record_endpoint(RecordEndpointInput(spec=spec, token_hashes=(), at=NOON))
    for name in ("chat-r0", "chat-r12", "other-r1", "chat-rx"):
        records.open_workload(OpenWorkloadInput(spec=opening(name).spec, workdir=None, run_id=name))
        records.claim_epoch(claim(1, name))
    assert {each.workload: each.endpoint for each in all_lives(records)} == {
        "chat-r0": "chat",
        "chat-r12": "chat",
        "other-r1": "",
        "chat-rx": "",
    }


def test_pages_tell_every_life_and_every_row_once(
    records: Records, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.open_workload(opening())
    for epoch in (1, 2, 3):
        clock.now = NOON + epoch * HOUR
        records.claim_epoch(claim(epoch))
        if epoch != 2:  # it was refused: no meter
            rents(records, epoch, after=epoch * HOUR)
        for turn in range(3 if epoch == 1 else 0):
            state = InstanceState.RUNNING if turn % 2 else InstanceState.STOPPED
            turns(records, epoch, state, (2 + turn) * HOUR)
    whole = all_lives(records)
    assert [len(each.meter) for each in whole] == [5, 0, 2]
    monkeypatch.setattr(savings, "ROWS_TOLD", 2)
    found: list[tuple[str, tuple[int, ...]]] = []
    order: LivesInput | None = LivesInput()
    while order is not None:
        page = records.lives_after(order)
        found += [(each.label, tuple(row.number for row in each.meter)) for each in page.lives]
        order = page.next
    told = [(each, number) for each, numbers in found for number in numbers or (0,)]
    expected = [(each.label, row.number) for each in whole for row in each.meter]
    expected.insert(5, (whole[1].label, 0))
    assert told == expected


def test_rates_come_back_exact(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    odd = Decimal("0.333333333333333333")
    records.record_lease(lease(1, hourly=odd, running_since=NOON))
    turns(records, 1, InstanceState.STOPPED, HOUR)
    clock.now = NOON + 2 * HOUR
    (life,) = all_lives(records)
    assert {row.hourly for row in life.meter} == {odd}
    rows = of([life], SavingsOrder(rows=True), clock.now).rows
    assert [row.mode for row in rows] == [Mode.AWAKE, Mode.STOPPED]


def test_sleeps_of_before_are_known_by_their_reason_when_records_are_upgraded(
    records: Records, url: str, clock: Clock
) -> None:
    records.open_workload(opening())
    for epoch, reason in ((1, "paused, with checkpoint 3"), (2, "lost: silent")):
        records.claim_epoch(claim(epoch))
        records.close_lease(closing(epoch, NOON + HOUR, reason=reason))
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE leases DROP COLUMN asleep")
        connection.exec_driver_sql("ALTER TABLE leases DROP COLUMN wanted_at")
        for later in ("deployments", "job_manifests", "jobs", "prices", "surveys", "forecasts"):
            connection.exec_driver_sql(f"DROP TABLE {later}")
        connection.exec_driver_sql("ALTER TABLE model_versions DROP COLUMN lineage")
        connection.exec_driver_sql("ALTER TABLE endpoints DROP COLUMN deployment")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0010'")
    engine.dispose()
    migrate(url)
    assert {each.label: each.asleep for each in all_lives(records)} == {"train.e1.m4rk": True, "train.e2.m4rk": False}


def test_losses_of_a_stretch_of_time_are_summed_by_workload(records: Records) -> None:
    for name in ("train", "other"):
        records.open_workload(opening(name))
        records.claim_epoch(claim(1, name))
    phases = Phases(detect=HOUR, boot=HOUR, connect=HOUR / 60, restore=HOUR / 30, start=HOUR / 60, progress=HOUR)
    records.record_incident(incident(1, work_lost=HOUR / 4, phases=phases))
    early = incident(1).decided_at
    records.record_incident(incident(2, work_lost=None, phases=phases, decided_at=NOON + 5 * HOUR))
    records.commit_checkpoint(commit(1, name="other"))
    both = records.losses(LossesInput(since=None, until=NOON + 9 * HOUR))
    assert both == [
        LossLine(workload="other", bytes_sent=1_000, first_at=NOON + timedelta(seconds=2)),
        LossLine(workload="train", losses=2, work_lost=HOUR / 4, recovering=2 * (HOUR / 15), first_at=early),
    ]
    (late,) = records.losses(LossesInput(since=NOON + HOUR, until=NOON + 9 * HOUR))
    assert (late.workload, late.losses, late.work_lost) == ("train", 1, timedelta())
    assert records.losses(LossesInput(since=None, until=NOON - HOUR)) == []


def test_a_machine_that_never_came_so_far_as_to_work_is_told_with_its_gpu(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    records.close_lease(replace(closing(1, NOON + HOUR), conduct=Conduct.BAD, failed_in="settle_in"))
    records.claim_epoch(claim(2))
    rents(records, 2)
    first, second = all_lives(records)
    assert (first.failed, second.failed) == (True, False)
    assert (second.gpu, second.gpu_count, second.provider) == ("RTX 4090", 1, "vast")
