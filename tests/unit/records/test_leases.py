"""Cost lines: exact money, counted from the launch to the close, once."""

from dataclasses import replace
from datetime import timedelta, timezone
from decimal import Decimal

import pytest
from sqlalchemy.exc import StatementError

from holdfast.contracts.activities import ReportInput
from holdfast.records.errors import UnknownWorkload
from holdfast.records.store import Records
from tests.unit.records.makers import HOURLY, NOON, Clock, claim, closing, lease, offer, opening

HOUR = timedelta(hours=1)


@pytest.fixture
def rented(records: Records) -> Records:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    records.record_lease(lease(1))
    return records


def test_a_lease_costs_its_hourly_price_from_launch_to_close(rented: Records) -> None:
    assert rented.close_lease(closing(1, NOON + 90 * timedelta(minutes=1))) == Decimal("0.404000")


@pytest.mark.parametrize(
    ("hourly", "held", "cost"),
    [
        ("0.1", HOUR, "0.100000"),
        ("0.1", 3 * HOUR, "0.300000"),
        ("1", timedelta(seconds=1), "0.000278"),
        ("0.000001", timedelta(minutes=30), "0.000000"),
        ("999.999999", 365 * 24 * HOUR, "8759999.991240"),
        ("0.3333333333333333", 3 * HOUR, "1.000000"),
    ],
)
def test_money_is_exact_to_a_millionth(rented: Records, hourly: str, held: timedelta, cost: str) -> None:
    rented.record_lease(lease(1, hourly=Decimal(hourly)))
    assert str(rented.close_lease(closing(1, NOON + held))) == cost
    report = rented.report_workload(ReportInput(workload="train"))
    assert report is not None
    assert report.leases[0].hourly == Decimal(hourly)
    assert str(report.leases[0].cost) == cost


def test_the_first_close_stands(rented: Records) -> None:
    first = rented.close_lease(closing(1, NOON + HOUR))
    assert rented.close_lease(closing(1, NOON + 9 * HOUR, reason="again")) == first
    report = rented.report_workload(ReportInput(workload="train"))
    assert report is not None
    assert report.leases[0].closed_because == "done"


def test_what_was_claimed_and_never_launched_costs_nothing(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    assert records.close_lease(closing(1, NOON + HOUR)) == 0


def test_a_launch_that_is_learnt_of_after_the_close_is_still_charged(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    records.close_lease(closing(1, NOON + HOUR))
    records.record_lease(lease(1, hourly=Decimal(2)))
    assert records.close_lease(closing(1, NOON + HOUR)) == Decimal("2.000000")
    assert records.open_leases() == []


def test_a_machine_whose_launch_was_never_heard_of_is_charged_for_from_its_claim_on(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    order = replace(closing(1, NOON + HOUR), existed=True)
    assert records.close_lease(order) == HOURLY.quantize(Decimal("0.000001"))


def test_that_a_machine_came_to_run_may_be_learnt_at_its_end(rented: Records) -> None:
    order = replace(closing(1, NOON + HOUR), existed=True, running_since=NOON + HOUR / 2)
    rented.record_lease(lease(1, hourly=Decimal(2), storage_hourly=Decimal("0.2")))
    assert rented.close_lease(order) == Decimal("1.100000"), "half an hour of its disk, half an hour of all"


def test_a_machine_of_which_nobody_could_tell_whether_it_ran_is_charged_for_as_if_it_did(rented: Records) -> None:
    rented.record_lease(lease(1, hourly=Decimal(2), storage_hourly=Decimal("0.2")))
    order = replace(closing(1, NOON + HOUR), existed=True, heard=False)
    assert rented.close_lease(order) == Decimal("2.000000")


def test_a_machine_that_ran_before_it_was_heard_of_is_charged_for_from_then_on(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    adopted = lease(1, hourly=Decimal(2), since=NOON + HOUR)
    records.record_lease(adopted)
    records.record_lease(replace(adopted, running_since=NOON + HOUR / 2))
    assert records.close_lease(closing(1, NOON + 2 * HOUR)) == Decimal("3.000000")


def test_a_close_before_the_launch_costs_nothing_rather_than_earning(rented: Records) -> None:
    assert rented.close_lease(closing(1, NOON - HOUR)) == 0


def test_an_open_line_costs_up_to_now(rented: Records, clock: Clock) -> None:
    clock.now = NOON + 2 * HOUR
    (line,) = rented.open_leases()
    assert line.cost == (2 * HOURLY).quantize(Decimal("0.000001"))


def test_open_lines_are_found_by_provider(rented: Records) -> None:
    rented.claim_epoch(claim(2, of=offer("offer-2", provider="gcp")))
    rented.claim_epoch(claim(3, of=offer("offer-3")))
    rented.close_lease(closing(3, NOON))
    assert [line.label for line in rented.open_leases()] == ["train.e1.m4rk", "train.e2.m4rk"]
    assert [line.label for line in rented.open_leases("gcp")] == ["train.e2.m4rk"]
    assert rented.open_leases("nobody") == []


def test_newer_facts_replace_older_ones(rented: Records) -> None:
    rented.record_lease(lease(1, instance_id="i-77", region="DE"))
    (line,) = rented.open_leases()
    assert (line.instance_id, line.region) == ("i-77", "DE")


def test_a_lease_that_was_never_claimed_is_refused(rented: Records) -> None:
    for write in (lambda: rented.record_lease(lease(9)), lambda: rented.close_lease(closing(9, NOON))):
        with pytest.raises(UnknownWorkload, match=r"train\.e9"):
            write()


def test_times_keep_their_moment_whatever_their_zone(rented: Records) -> None:
    tokyo = timezone(9 * HOUR)
    rented.record_lease(lease(1, since=NOON.astimezone(tokyo)))
    (line,) = rented.open_leases()
    assert line.launched_at == NOON
    assert line.launched_at is not None
    assert line.launched_at.utcoffset() == timedelta()


def test_a_time_without_a_zone_is_refused(rented: Records) -> None:
    with pytest.raises(StatementError, match="has no time zone"):
        rented.record_lease(lease(1, since=NOON.replace(tzinfo=None)))
