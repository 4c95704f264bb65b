"""What renting here saved, against references: the arithmetic that an auditor would follow."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast.client import comparing as client
from holdfast.contracts.machines import InstanceState, Terms
from holdfast.contracts.references import CheckedReference, Reference
from holdfast.contracts.savings import Against, LossLine, MachineLife, MeterLine, SavingsOrder
from holdfast.policy.comparing import compared, first_of, months, tallies

DAWN = datetime(2026, 9, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
RUNNING, STARTING, STOPPED = InstanceState.RUNNING, InstanceState.STARTING, InstanceState.STOPPED


def a_line(number: int, since: float, until: float | None, hourly: str, state: InstanceState = RUNNING) -> MeterLine:
    return MeterLine(
        number=number,
        state=state,
        hourly=Decimal(hourly),
        since=DAWN + since * HOUR,
        until=None if until is None else DAWN + until * HOUR,
    )


def a_life(label: str, *meter: MeterLine, **changes: Any) -> MachineLife:
    plain = MachineLife(
        label=label,
        workload="train",
        endpoint="",
        generation=1,
        opened_at=meter[0].since,
        wanted_at=None,
        closed_at=meter[-1].until,
        asleep=False,
        over_at=None,
        meter=meter,
        gpu="H100 SXM",
        gpu_count=1,
        provider="vast",
    )
    return replace(plain, **changes)


def a_reference(hourly: str) -> CheckedReference:
    return CheckedReference(
        reference=Reference(
            provider="somebody",
            gpu="H100 SXM",
            kind=Terms.ON_DEMAND,
            hourly=Decimal(hourly),
            region="",
            dated=date(2026, 8, 1),
            seen_until=date(2026, 8, 1),
            unit="one",
            includes="all",
            whole=True,
            source="a list",
        )
    )


def against(lives: list[MachineLife], losses: list[LossLine], **changes: Any) -> Against:
    """As `holdfast savings` computes it, up to ten days later."""
    order = SavingsOrder(**{"against": "aws", **changes})
    until = DAWN + 240 * HOUR
    stretches = [("", order.since, until), *(months(None, until, DAWN) if order.monthly else [])]
    return client.of(lives, [losses] * len(stretches), stretches, order, max_age=timedelta(days=180))


def test_an_h100_at_2_32_against_the_list_price_saves_two_thirds() -> None:
    found = against([a_life("train.e1", a_line(1, 0, 100, "2.32"))], [])
    assert found.total.percent == 66.28  # 66.3 %
    assert found.lines[0].reference is not None and found.lines[0].reference.hourly == Decimal("6.88")
    assert found.lines[0].remarks == ()


def test_against_the_stale_price_it_would_be_81_percent_and_is_flagged() -> None:
    found = against([a_life("train.e1", a_line(1, 0, 100, "2.32"))], [])
    stale = next(each for each in found.references if each.reference.hourly == Decimal("12.29"))
    assert stale.percent == 81.12  # 81.1 %
    assert not stale.chosen and stale.flags[0].startswith("stale: contradicted by $6.88")


def test_a_job_of_48_hours_on_spot_with_four_losses_pays_for_each_start() -> None:
    """0.30 of the reference; its first start and one after each of four losses take 0.2 h each."""
    meter = [a_line(1, 9.8 * number, 9.8 * number + 9.8, "0.30") for number in range(5)]
    lives = [a_life(f"train.e{number + 1}", line) for number, line in enumerate(meter)]
    (tally,) = tallies(
        lives, [LossLine(workload="train", losses=4, recovering=HOUR)], since=None, until=DAWN + 100 * HOUR
    )
    found = compared(tally, a_reference("1.00"), egress_per_gb=Decimal(0))
    assert found.useful == 48 * HOUR and found.paid.total == Decimal("14.7")
    assert found.percent == pytest.approx(69.4, abs=0.05)
    assert found.of_which_wasted == Decimal("0.30")


def test_disks_failed_starts_lost_work_and_traffic_are_paid_for_and_buy_nothing() -> None:
    works = a_life(
        "train.e2",
        a_line(1, 1, 2, "0.01", STARTING),
        a_line(2, 2, 12, "1.00"),
        a_line(3, 12, 22, "0.02", STOPPED),
    )
    fails = a_life("train.e1", a_line(1, 0, 0.5, "1.00"), failed=True)
    losses = [LossLine(workload="train", losses=1, work_lost=HOUR, recovering=HOUR, bytes_sent=5 * 10**9)]
    (tally,) = tallies([fails, works], losses, since=None, until=DAWN + 100 * HOUR)
    found = compared(tally, a_reference("2.00"), egress_per_gb=Decimal("0.10"))
    assert (found.machines, found.failed_starts, found.losses) == (2, 1, 1)
    paid = found.paid
    assert (paid.work, paid.booting, paid.storage) == (Decimal("10"), Decimal("0.01"), Decimal("0.2"))
    assert (paid.failed_starts, paid.egress, paid.total) == (Decimal("0.5"), Decimal("0.5"), Decimal("11.21"))
    assert found.useful == 8 * HOUR and found.would_have_cost == Decimal(16)
    assert found.saved == Decimal("4.79") and found.of_which_wasted == Decimal("2")


def test_gpus_count_each_and_time_outside_is_left_out() -> None:
    life = a_life("train.e1", a_line(1, 0, None, "4.00"), gpu_count=2)
    (tally,) = tallies([life], [], since=DAWN + HOUR, until=DAWN + 3 * HOUR)
    found = compared(tally, a_reference("5.00"), egress_per_gb=Decimal(0))
    assert (found.paid.total, found.would_have_cost, found.percent) == (Decimal(8), Decimal(20), 60.0)
    assert tallies([life], [], since=DAWN - 3 * HOUR, until=DAWN) == []


def test_without_a_reference_a_machine_is_told_and_stands_in_no_sum() -> None:
    known = a_life("train.e1", a_line(1, 0, 10, "2.32"))
    unknown = a_life("other.e1", a_line(1, 0, 10, "9"), workload="other", gpu="Unheard Of")
    found = against([known, unknown], [])
    assert [each.percent for each in found.lines] == [None, 66.28]
    assert found.total.paid.total == Decimal("23.2") and found.total.percent == 66.28


def test_months_add_up_to_the_whole_and_each_row_names_its_reference() -> None:
    lives = [a_life("train.e1", a_line(1, -48, 100, "2.00")), a_life("train.e2", a_line(1, 100, 200, "3.00"))]
    order = SavingsOrder(against="aws", monthly=True)
    until = DAWN + 240 * HOUR
    stretches = [("", None, until), *months(None, until, DAWN - 48 * HOUR)]
    found = client.of(lives, [[]] * len(stretches), stretches, order, max_age=timedelta(days=180))
    assert [each.month for each in found.months] == ["2026-08", "2026-09"]
    assert sum((each.paid.total for each in found.months), Decimal(0)) == found.total.paid.total
    assert sum((each.saved or Decimal(0) for each in found.months), Decimal(0)) == found.total.saved
    assert all(each.reference is not None for each in found.rows)


def test_what_is_sent_before_the_first_machine_and_after_the_last_is_in_a_month_too() -> None:
    """Checkpoint zero is sent a minute before the machine is rented, here in the month before; one comes late."""
    lives = [a_life("train.e1", a_line(1, 0, 100, "2.00"))]
    sent = {DAWN - HOUR / 60: 10**9, DAWN + HOUR: 2 * 10**9, DAWN + 35 * 24 * HOUR: 4 * 10**9}

    def told(since: datetime | None, until: datetime) -> list[LossLine]:
        within = {at: size for at, size in sent.items() if (since is None or at >= since) and at < until}
        return [LossLine(workload="train", bytes_sent=sum(within.values()), first_at=min(within))] if within else []

    until = DAWN + 40 * 24 * HOUR
    for since in (None, DAWN - HOUR, DAWN - 100 * 24 * HOUR, DAWN + HOUR / 2):
        order = SavingsOrder(against="aws", monthly=True, since=since, egress_per_gb=Decimal("0.10"))
        first = first_of(lives, told(since, until), until)
        stretches = [("", since, until), *months(since, until, first)]
        losses = [told(begin, end) for _, begin, end in stretches]
        found = client.of(lives, losses, stretches, order, max_age=timedelta(days=180))
        assert sum(each.bytes_sent for each in found.months) == found.total.bytes_sent
        assert found.total.bytes_sent == sum(size for at, size in sent.items() if since is None or at >= since)
        assert sum((each.paid_total for each in found.months), Decimal(0)) == found.total.paid_total
        assert sum((each.saved or Decimal(0) for each in found.months), Decimal(0)) == found.total.saved


def test_what_others_did_before_begins_no_month() -> None:
    lives = [a_life("train.e1", a_line(1, 0, 100, "2.00"))]
    assert first_of(lives, [LossLine(workload="other", first_at=DAWN - HOUR)], DAWN + HOUR) == DAWN
    assert first_of([], [], DAWN) == DAWN


def test_losing_money_is_told_as_it_is() -> None:
    found = against([a_life("train.e1", a_line(1, 0, 10, "8.00"))], [])
    assert found.total.percent == -16.28
