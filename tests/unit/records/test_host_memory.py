"""What is remembered of machines is read from the cost lines, and people have the last word."""

from datetime import timedelta

from holdfast.contracts.activities import CloseLeaseInput
from holdfast.contracts.machines import Conduct, InstanceState
from holdfast.contracts.memory import BanInput, ListMachinesInput, MachineKey, MachineMemory, RecallInput
from holdfast.contracts.money import MeterInput
from holdfast.records.store import Records
from tests.unit.records.makers import NOON, Clock, claim, lease, offer, opening

KEY = MachineKey(provider="vast", machine_id="m1")
HOUR = timedelta(hours=1)


def lived(records: Records, *conduct: Conduct, machine: str = "m1", first: int = 1) -> None:
    records.open_workload(opening())
    for n, each in enumerate(conduct):
        epoch = first + n
        records.claim_epoch(claim(epoch, of=offer(f"offer-{epoch}", machine_id=machine)))
        records.record_lease(lease(epoch, machine_id=machine))
        order = CloseLeaseInput(
            label=f"train.e{epoch}.m4rk",
            closed_at=NOON + epoch * HOUR,
            reason="it never answered",
            conduct=each,
            failed_in="boot" if each is Conduct.BAD else "",
        )
        records.close_lease(order)


def recalled(records: Records) -> MachineMemory | None:
    found = records.recall_machines(RecallInput(machines=(KEY, MachineKey(provider="vast", machine_id="never had"))))
    assert len(found) <= 1
    return found[0] if found else None


def test_nothing_is_remembered_of_machines_never_had(records: Records) -> None:
    assert recalled(records) is None
    assert records.machine_history(KEY) is None
    assert records.list_machines(ListMachinesInput()) == []


def test_three_failures_in_a_row_ban_a_machine_and_the_ban_runs_out(records: Records, clock: Clock) -> None:
    lived(records, Conduct.GOOD, Conduct.BAD, Conduct.NEUTRAL, Conduct.BAD, Conduct.BAD)
    clock.now = NOON + 5 * HOUR
    found = recalled(records)
    assert found is not None
    assert (found.good, found.bad, found.neutral) == (1, 3, 1)
    assert (found.banned_until, found.ban_reason) == (NOON + 29 * HOUR, "3 failures in a row")
    clock.now = NOON + 29 * HOUR
    later = recalled(records)
    assert later is not None and later.banned_until is None


def test_lifting_a_ban_forgets_what_was_held_against_the_machine(records: Records, clock: Clock) -> None:
    lived(records, Conduct.BAD, Conduct.BAD, Conduct.BAD)
    clock.now = NOON + 4 * HOUR
    lifted = records.ban_machine(BanInput(provider="vast", machine_id="m1", until=None))
    assert lifted.banned_until is None and lifted.bad == 3
    lived(records, Conduct.BAD, Conduct.BAD, first=5)
    clock.now = NOON + 7 * HOUR
    found = recalled(records)
    assert found is not None and found.banned_until is None, "two since it was forgiven"


def test_a_person_may_ban_a_machine_never_had_and_for_longer(records: Records, clock: Clock) -> None:
    until = NOON + timedelta(days=7)
    records.ban_machine(BanInput(provider="vast", machine_id="m1", until=until, reason="slow disk"))
    found = recalled(records)
    assert found is not None and (found.banned_until, found.ban_reason) == (until, "slow disk")
    assert [each.machine_id for each in records.list_machines(ListMachinesInput(banned_only=True))] == ["m1"]
    clock.now = until
    over = recalled(records)
    assert over is not None and over.banned_until is None


def test_the_list_has_the_banned_first_and_then_those_that_failed_most(records: Records, clock: Clock) -> None:
    lived(records, Conduct.GOOD, machine="fine")
    lived(records, Conduct.BAD, machine="meh", first=2)
    lived(records, Conduct.BAD, Conduct.BAD, Conduct.BAD, machine="bad", first=3)
    clock.now = NOON + 6 * HOUR
    assert [each.machine_id for each in records.list_machines(ListMachinesInput())] == ["bad", "meh", "fine"]
    assert records.list_machines(ListMachinesInput(provider="gcp")) == []


def test_a_history_tells_each_time_newest_first(records: Records) -> None:
    lived(records, Conduct.GOOD, Conduct.BAD)
    found = records.machine_history(KEY)
    assert found is not None
    assert [(each.label, each.conduct, each.failed_in) for each in found.stays] == [
        ("train.e2.m4rk", Conduct.BAD, "boot"),
        ("train.e1.m4rk", Conduct.GOOD, ""),
    ]


def test_a_market_of_many_machines_is_recalled_at_once(records: Records) -> None:
    lived(records, Conduct.GOOD)
    keys = tuple(MachineKey(provider="vast", machine_id=f"m{n}") for n in range(1_000))
    assert [each.machine_id for each in records.recall_machines(RecallInput(machines=keys))] == ["m1"]


def test_a_machine_that_rests_on_it_is_told_for_as_long_as_it_is_stopped(records: Records, clock: Clock) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1, of=offer(machine_id="m1", exclusive=True)))
    records.record_lease(lease(1, machine_id="m1"))
    label = lease(1).label
    found = recalled(records)
    assert found is not None and found.resting == 0
    records.meter_lease(MeterInput(label=label, state=InstanceState.STOPPED, at=NOON + HOUR, charged=None))
    found = recalled(records)
    assert found is not None and found.resting == 1
    clock.now = NOON + 2 * HOUR
    records.close_lease(
        CloseLeaseInput(label=label, closed_at=clock.now, reason="over", conduct=Conduct.GOOD, failed_in="")
    )
    found = recalled(records)
    assert found is not None and found.resting == 0


def test_the_last_three_days_with_a_machine_are_measured(records: Records, clock: Clock) -> None:
    lived(records, Conduct.GOOD, Conduct.BAD)
    clock.now = NOON + 3 * HOUR
    found = recalled(records)
    assert found is not None
    assert found.watched - found.up == HOUR  # for the one failure
    assert timedelta() < found.up <= 3 * HOUR
    clock.now = NOON + timedelta(days=4)
    later = recalled(records)
    assert later is not None
    assert (later.watched, later.up, later.bad) == (timedelta(), timedelta(), 1)
