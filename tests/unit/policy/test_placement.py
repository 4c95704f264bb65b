"""Placement: what is refused and why, what costs points, and that the order is always the same."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast.contracts.forecasts import PriceAhead
from holdfast.contracts.machines import Offer, Requirements, Terms
from holdfast.contracts.memory import MachineKey, MachineMemory, PlaceMemory, PlaceRisk
from holdfast.policy.fitness import misfits
from holdfast.policy.placement import CHOSEN_KEPT, REJECTED_KEPT, rank

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
GOOD = Offer(
    provider="vast",
    offer_id="1",
    machine_id="m1",
    gpu="RTX 4090",
    gpu_count=1,
    gpu_memory_gb=23.99,
    cpu_cores=16,
    memory_gb=64,
    disk_gb=100,
    region="US",
    terms=Terms.INTERRUPTIBLE,
    hourly=Decimal("0.30"),
    bid=Decimal("0.30"),
    reliability=0.99,
    download_mbps=500,
)
NEEDS = Requirements(
    gpu="RTX 4090",
    gpu_memory_gb=24,
    cpu_cores=8,
    memory_gb=32,
    disk_gb=50,
    max_hourly=Decimal("0.50"),
    min_reliability=0.9,
    min_download_mbps=100,
    min_contract=timedelta(hours=2),
)


def order_of(*offers: Offer, needs: Requirements = NEEDS, **how: object) -> list[str]:
    return [offer.offer_id for offer in rank(offers, needs, now=NOW, **how).best]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gpu": "RTX 3090"}, "its GPU is RTX 3090"),
        ({"gpu_count": 0}, "it has 0 GPUs"),
        ({"gpu_memory_gb": 16.0}, "16 GB of GPU memory"),
        ({"cpu_cores": 4}, "4 CPU cores"),
        ({"memory_gb": 16}, "16 GB of memory"),
        ({"disk_gb": 20}, "20 GB of disk"),
        ({"hourly": Decimal("0.51")}, "above the limit of $0.50/h"),
        ({"hourly": Decimal("NaN")}, "makes no sense"),
        ({"hourly": Decimal("0")}, "makes no sense"),
        ({"hourly": Decimal("-1")}, "makes no sense"),
        ({"reliability": 0.5}, "0.5 reliability"),
        ({"reliability": None}, "does not state its reliability"),
        ({"reliability": float("nan")}, "does not state its reliability"),
        ({"download_mbps": 50}, "50 Mbit/s"),
        ({"contract_ends": NOW + timedelta(hours=1)}, "too soon"),
        ({"contract_ends": NOW - timedelta(hours=1)}, "too soon"),
        ({"contract_ends": datetime(2027, 1, 1)}, "without a time zone"),  # noqa: DTZ001 (the odd offer itself)
    ],
)
def test_an_offer_that_misses_a_limit_is_rejected_with_the_reason(change: dict[str, object], reason: str) -> None:
    ranking = rank([replace(GOOD, **change)], NEEDS, now=NOW)  # type: ignore[arg-type]
    assert ranking.best == ()
    assert reason in ranking.rejected[0].reason
    assert ranking.rejected[0].score is None


def test_the_gpu_is_compared_as_people_write_it() -> None:
    assert order_of(GOOD, needs=replace(NEEDS, gpu="rtx_4090")) == ["1"]


def test_an_on_demand_workload_does_not_take_an_interruptible_machine() -> None:
    assert order_of(GOOD, needs=replace(NEEDS, terms=Terms.ON_DEMAND)) == []


def test_an_interruptible_workload_may_take_a_firmer_machine() -> None:
    assert order_of(replace(GOOD, terms=Terms.ON_DEMAND)) == ["1"]


def test_a_machine_outside_the_regions_is_rejected() -> None:
    needs = replace(NEEDS, regions=("DE", "FR"))
    assert "it is in US, not in DE, FR" in rank([GOOD], needs, now=NOW).rejected[0].reason


def test_a_machine_that_failed_just_now_is_avoided_and_one_without_an_id_is_not() -> None:
    nameless = replace(GOOD, offer_id="2", machine_id="")
    assert order_of(GOOD, nameless, avoid_machines=frozenset({"m1", ""})) == ["2"]


def test_an_offer_listed_twice_is_ranked_once() -> None:
    ranking = rank([GOOD, GOOD], NEEDS, now=NOW)
    assert len(ranking.best) == 1
    assert ranking.rejected[0].reason == "listed twice"


def test_the_cheaper_of_two_equal_machines_comes_first() -> None:
    assert order_of(GOOD, replace(GOOD, offer_id="2", hourly=Decimal("0.29"))) == ["2", "1"]


@pytest.mark.parametrize(
    "worse",
    [
        {"reliability": 0.91},
        {"download_mbps": 100.0},
        {"contract_ends": NOW + timedelta(hours=3)},
    ],
)
def test_a_weakness_costs_more_than_a_cent_of_price_saves(worse: dict[str, object]) -> None:
    weak = replace(GOOD, offer_id="0", hourly=Decimal("0.299"), **worse)  # type: ignore[arg-type]
    assert order_of(weak, GOOD) == ["1", "0"]


def test_the_owners_first_region_is_preferred_until_it_costs_too_much() -> None:
    needs = replace(NEEDS, regions=("DE", "US"))
    near = replace(GOOD, offer_id="near", region="DE", hourly=Decimal("0.31"))
    dear = replace(near, hourly=Decimal("0.45"))
    assert order_of(GOOD, near, needs=needs) == ["near", "1"]
    assert order_of(GOOD, dear, needs=needs) == ["1", "near"]
    assert order_of(GOOD, replace(near, hourly=Decimal("0.30")), preferred_regions=("US",)) == ["1", "near"]


def test_the_order_does_not_depend_on_the_order_of_the_answers() -> None:
    offers = [replace(GOOD, offer_id=str(number), hourly=Decimal(30 + number % 3) / 100) for number in range(40)]
    offers += [replace(GOOD, offer_id=f"odd{number}", hourly=Decimal("NaN")) for number in range(30)]
    first = rank(offers, NEEDS, now=NOW)
    shuffler = random.Random(7)  # seeded: the test is the same each time
    for _ in range(5):
        shuffler.shuffle(offers)
        assert rank(offers, NEEDS, now=NOW) == first


def test_the_record_keeps_a_bounded_number_of_rows_and_the_true_count() -> None:
    fitting = [replace(GOOD, offer_id=f"f{number}") for number in range(50)]
    refused = [replace(GOOD, offer_id=f"r{number}", gpu="H100") for number in range(70)]
    ranking = rank(fitting + refused, NEEDS, now=NOW)
    assert (len(ranking.best), len(ranking.chosen)) == (50, CHOSEN_KEPT)
    assert (ranking.rejected_total, len(ranking.rejected)) == (70, REJECTED_KEPT)
    assert len(rank(fitting + refused, NEEDS, now=NOW, rejected_kept=65).rejected) == 65


def test_a_row_explains_its_score() -> None:
    row = rank([replace(GOOD, reliability=0.95)], NEEDS, now=NOW).chosen[0]
    assert row.score is not None
    assert row.score > 0.30
    assert "$0.30/h" in row.reason
    assert "reliability +10.0%" in row.reason


def test_no_offers_give_an_empty_ranking() -> None:
    ranking = rank([], NEEDS, now=NOW)
    assert (ranking.best, ranking.rejected_total) == ((), 0)


def test_every_reason_is_told_on_request() -> None:
    assert misfits(GOOD, NEEDS, now=NOW) == ()
    assert misfits(replace(GOOD, disk_gb=20, region="FR"), replace(NEEDS, regions=("US",)), now=NOW) == (
        "it has 20 GB of disk, and 50 are needed",
        "it is in FR, not in US",
    )


CLOSED = PlaceMemory(
    provider="vast", region="US", until=NOW + timedelta(minutes=5), reason="3 machines in a row failed"
)


def test_a_place_where_machines_fail_is_left_alone_while_there_is_another() -> None:
    elsewhere = replace(GOOD, offer_id="2", machine_id="m2", region="CA", hourly=Decimal("0.40"))
    ranking = rank([GOOD, elsewhere], NEEDS, now=NOW, places=[CLOSED])
    assert [offer.offer_id for offer in ranking.best] == ["2"]
    assert ranking.rejected[0].reason == "3 machines in a row failed: not before 12:05 UTC"
    assert order_of(GOOD, elsewhere, places=[replace(CLOSED, until=NOW)]) == ["1", "2"]


def test_where_there_is_nothing_else_one_machine_of_the_place_is_tried() -> None:
    dearer = replace(GOOD, offer_id="2", machine_id="m2", hourly=Decimal("0.40"))
    assert order_of(dearer, GOOD, places=[replace(CLOSED, region="")]) == ["1"]


def test_a_region_may_come_first_whatever_it_costs() -> None:
    near = replace(GOOD, offer_id="2", machine_id="m2", region="CA", hourly=Decimal("0.49"))
    needs = replace(NEEDS, regions=("CA", "US"))
    assert order_of(GOOD, near, needs=needs) == ["1", "2"]
    assert order_of(GOOD, near, needs=needs, regions_first=True) == ["2", "1"]


# --- losses to the market ----------------------------------------------------------------------------------------


def a_risk(region: str, hour: float, *, lost: timedelta | None = None) -> PlaceRisk:
    return PlaceRisk(
        provider="vast",
        region=region,
        hour=hour,
        six_hours=min(0.9, 4 * hour),
        day=min(0.95, 8 * hour),
        age=timedelta(hours=1),
        losses=0,
        watched=timedelta(hours=1),
        lost_at=None if lost is None else NOW - lost,
    )


HERE = replace(GOOD, offer_id="here", region="US")
THERE = replace(GOOD, offer_id="there", machine_id="m2", region="CA", hourly=Decimal("0.303"))


def test_a_region_where_machines_are_taken_costs_a_share_of_the_price() -> None:
    assert order_of(HERE, THERE) == ["here", "there"]
    assert order_of(HERE, THERE, risks=[a_risk("US", 0.2), a_risk("CA", 0.02)]) == ["there", "here"]
    dear = replace(THERE, hourly=Decimal("0.36"))
    assert order_of(HERE, dear, risks=[a_risk("US", 0.2), a_risk("CA", 0.02)]) == ["here", "there"]
    ranking = rank([HERE], NEEDS, now=NOW, risks=[a_risk("US", 0.2)])
    assert "interruption +" in ranking.chosen[0].reason


def test_a_loss_that_takes_much_work_with_it_counts_more() -> None:
    dear = replace(THERE, hourly=Decimal("0.36"))
    risks = [a_risk("US", 0.2), a_risk("CA", 0.02)]
    assert order_of(HERE, dear, risks=risks, per_loss=timedelta(minutes=15)) == ["here", "there"]
    assert order_of(HERE, dear, risks=risks, per_loss=timedelta(hours=1)) == ["there", "here"]
    hopeless = rank([HERE], NEEDS, now=NOW, risks=[a_risk("US", 0.9)], per_loss=timedelta(days=9)).chosen[0]
    assert "interruption +900.0%" in hopeless.reason, "finite, however much is lost"


def test_a_region_of_which_nothing_is_known_is_as_dangerous_as_usual() -> None:
    assert order_of(HERE, THERE, risks=[a_risk("US", 0.2)]) == ["there", "here"]
    assert order_of(HERE, THERE, risks=[a_risk("CA", 0.3)]) == ["here", "there"]


def test_what_is_usual_is_told_with_what_is_known() -> None:
    known = [a_risk("CA", 0.1)]
    assert order_of(HERE, THERE, risks=known, usual_risk=(0.3, 0.8, 0.95)) == ["there", "here"]
    assert order_of(HERE, THERE, risks=known, usual_risk=(0.01, 0.04, 0.1)) == ["here", "there"]
    assert order_of(HERE, THERE, usual_risk=(0.3, 0.8, 0.95)) == ["here", "there"], "all are alike"


def test_each_kind_of_gpu_has_a_market_of_its_own_in_a_region() -> None:
    other = replace(a_risk("US", 0.3), gpu="H100")
    same = replace(a_risk("US", 0.3), gpu=HERE.gpu)
    usual = {"usual_risk": (0.1, 0.4, 0.8)}
    assert order_of(HERE, THERE, risks=[other], **usual) == ["here", "there"]  # type: ignore[arg-type]
    assert order_of(HERE, THERE, risks=[same], **usual) == ["there", "here"]  # type: ignore[arg-type]
    assert order_of(HERE, THERE, risks=[a_risk("US", 0.3)], **usual) == ["there", "here"], "it was of any"  # type: ignore[arg-type]


def test_a_fresh_loss_of_one_kind_of_gpu_warns_of_the_others_in_its_region() -> None:
    needs = replace(NEEDS, regions=("US", "CA"))
    lost = [replace(a_risk("US", 0.4, lost=timedelta(minutes=5)), gpu="H100")]
    assert order_of(HERE, THERE, needs=needs, regions_first=True, risks=lost) == ["there", "here"]


def test_a_machine_on_demand_is_not_in_that_danger() -> None:
    firm = replace(HERE, terms=Terms.ON_DEMAND, bid=None)
    assert order_of(firm, THERE, risks=[a_risk("US", 0.3), a_risk("CA", 0.1)]) == ["here", "there"]
    assert "interruption" not in rank([firm], NEEDS, now=NOW, risks=[a_risk("US", 0.3)]).chosen[0].reason


def test_the_region_of_a_fresh_loss_comes_after_the_others_that_were_asked_for() -> None:
    needs = replace(NEEDS, regions=("US", "CA"))
    fresh, old = timedelta(minutes=5), timedelta(hours=3)
    assert order_of(HERE, THERE, needs=needs, regions_first=True) == ["here", "there"]
    assert order_of(HERE, THERE, needs=needs, regions_first=True, risks=[a_risk("US", 0.4, lost=old)]) == [
        "here",
        "there",
    ]
    just_lost = [a_risk("US", 0.4, lost=fresh)]
    assert order_of(HERE, THERE, needs=needs, regions_first=True, risks=just_lost) == ["there", "here"]
    assert order_of(HERE, needs=needs, regions_first=True, risks=just_lost) == ["here"]
    firm = replace(HERE, terms=Terms.ON_DEMAND, bid=None)
    assert order_of(firm, THERE, needs=needs, regions_first=True, risks=just_lost) == ["here", "there"]


def expects(change: float, *, provider: str = "vast", gpu: str = "", kind: Terms = Terms.INTERRUPTIBLE) -> PriceAhead:
    return PriceAhead(provider=provider, gpu=gpu or HERE.gpu, kind=kind, change=change)


def test_a_price_that_is_expected_to_rise_counts_before_it_does() -> None:
    elsewhere = replace(THERE, provider="other")
    assert order_of(HERE, elsewhere) == ["here", "there"]
    assert order_of(HERE, elsewhere, ahead=[expects(0.1)]) == ["there", "here"]
    assert order_of(HERE, THERE, ahead=[expects(0.1)]) == ["here", "there"], "it rises for both"
    assert "price to come +10.0%" in rank([HERE], NEEDS, now=NOW, ahead=[expects(0.1)]).chosen[0].reason
    for others in (expects(0.1, provider="other"), expects(0.1, gpu="B200"), expects(0.1, kind=Terms.ON_DEMAND)):
        assert order_of(HERE, elsewhere, ahead=[others])[0] == "here"
    firm = replace(HERE, terms=Terms.ON_DEMAND, bid=None)
    assert "to come" not in rank([firm], NEEDS, now=NOW, ahead=[expects(0.1)]).chosen[0].reason


def test_a_price_that_falls_is_worth_something_where_the_market_s_price_is_paid_and_not_a_bid() -> None:
    unbid = replace(HERE, bid=None)
    assert "price to come -5.0%" in rank([unbid], NEEDS, now=NOW, ahead=[expects(-0.05)]).chosen[0].reason
    assert "to come" not in rank([HERE], NEEDS, now=NOW, ahead=[expects(-0.05)]).chosen[0].reason
    absurd = rank([unbid], NEEDS, now=NOW, ahead=[expects(-90.0)]).chosen[0].score
    assert absurd is not None and absurd > 0
    assert rank([unbid], NEEDS, now=NOW, ahead=[expects(float("nan"))]).chosen[0].score == pytest.approx(
        rank([unbid], NEEDS, now=NOW).chosen[0].score
    )


def test_a_host_is_judged_by_its_last_three_days_with_us() -> None:
    key = MachineKey(provider="vast", machine_id="m1")
    flaky = MachineMemory(provider="vast", machine_id="m1", watched=timedelta(hours=6), up=timedelta(hours=3))
    assert order_of(HERE, THERE, memory={key: flaky}) == ["there", "here"]
    steady = replace(flaky, up=timedelta(hours=6))
    boastful = replace(THERE, hourly=HERE.hourly, reliability=0.992)
    assert order_of(HERE, boastful) == ["there", "here"]
    assert order_of(HERE, boastful, memory={key: steady}) == ["here", "there"]
