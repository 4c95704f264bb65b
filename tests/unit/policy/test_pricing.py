"""From offers to points, and from points to days."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from holdfast.contracts.machines import Offer, Terms
from holdfast.contracts.market import MarketPoint
from holdfast.policy.pricing import A_DAY, bucket, by_series, daily, points_of

DAWN = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def an_offer(price: str, **changes: Any) -> Offer:
    plain = Offer(
        provider="vast",
        offer_id=price,
        machine_id=price,
        gpu="RTX 4090",
        gpu_count=1,
        gpu_memory_gb=24,
        region="DE",
        terms=Terms.ON_DEMAND,
        hourly=Decimal(price),
    )
    return replace(plain, **changes)


def a_point(hours: float, price: str = "0.40", **changes: Any) -> MarketPoint:
    plain = MarketPoint(
        at=DAWN + timedelta(hours=hours),
        provider="vast",
        gpu="RTX 4090",
        kind=Terms.ON_DEMAND,
        minimum=Decimal(price),
        median=Decimal(price),
    )
    return replace(plain, **changes)


def test_a_bucket_begins_where_its_length_says() -> None:
    moment = datetime(2026, 5, 1, 13, 47, 11, tzinfo=UTC)
    assert bucket(moment, HOUR) == datetime(2026, 5, 1, 13, tzinfo=UTC)
    assert bucket(moment, timedelta(minutes=15)) == datetime(2026, 5, 1, 13, 45, tzinfo=UTC)
    assert bucket(moment, A_DAY) == DAWN
    assert bucket(DAWN, A_DAY) == DAWN


def test_each_region_has_a_point_and_all_together_another() -> None:
    offers = [an_offer("0.30"), an_offer("0.50"), an_offer("0.40", region="US")]
    points = {each.region: each for each in points_of(offers, at=DAWN, span=HOUR)}
    assert points.keys() == {"", "DE", "US"}
    assert (points[""].minimum, points[""].median, points[""].offers) == (Decimal("0.30"), Decimal("0.40"), 3)
    assert (points["DE"].minimum, points["DE"].p90, points["DE"].offers) == (Decimal("0.30"), Decimal("0.50"), 2)


def test_terms_gpus_and_providers_are_apart_and_prices_are_of_one_gpu() -> None:
    offers = [
        an_offer("0.80", gpu_count=2),
        an_offer("0.20", terms=Terms.INTERRUPTIBLE),
        an_offer("2", gpu="H100"),
        an_offer("0.9", provider="gcp"),
    ]
    whole = [each for each in points_of(offers, at=DAWN, span=HOUR) if not each.region]
    assert {(each.provider, each.gpu, each.kind, each.median) for each in whole} == {
        ("vast", "RTX 4090", Terms.ON_DEMAND, Decimal("0.40")),
        ("vast", "RTX 4090", Terms.INTERRUPTIBLE, Decimal("0.20")),
        ("vast", "H100", Terms.ON_DEMAND, Decimal(2)),
        ("gcp", "RTX 4090", Terms.ON_DEMAND, Decimal("0.9")),
    }


def test_an_offer_of_no_region_counts_once_and_one_for_nothing_not_at_all() -> None:
    (point,) = points_of([an_offer("0.30", region=""), an_offer("0", region="")], at=DAWN, span=HOUR)
    assert (point.region, point.offers) == ("", 1)


def test_no_offers_are_no_points_and_never_a_zero() -> None:
    assert points_of([], at=DAWN, span=HOUR) == []


def test_a_day_has_its_lowest_price_and_its_middle_one() -> None:
    points = [a_point(hour, f"0.{40 + hour}", offers=hour) for hour in range(5)] + [a_point(30)]
    one, other = daily(points)
    assert (one.at, one.span, one.minimum, one.median, one.offers) == (
        DAWN,
        A_DAY,
        Decimal("0.40"),
        Decimal("0.42"),
        2,
    )
    assert other.at == DAWN + A_DAY


def test_what_is_held_back_is_no_part_of_a_day() -> None:
    assert [each.minimum for each in daily([a_point(0), a_point(1, "0.001", held=True)])] == [Decimal("0.40")]


def test_series_come_in_order_with_their_points_in_order() -> None:
    found = by_series([a_point(2), a_point(1), a_point(0, gpu="H100")])
    assert [key[0] for key in found] == ["H100", "RTX 4090"]
    assert [each.at for each in found[next(key for key in found if key[0] == "RTX 4090")]] == [
        DAWN + HOUR,
        DAWN + 2 * HOUR,
    ]
