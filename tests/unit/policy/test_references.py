"""Which reference is fair, and what speaks against the others."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from holdfast.contracts.machines import Terms
from holdfast.contracts.references import Reference
from holdfast.market.references import brought
from holdfast.policy.references import CHEAPEST, for_gpu

AGE = timedelta(days=180)
TODAY = date(2026, 9, 1)


def a_reference(hourly: str, dated: date = date(2026, 8, 1), **changes: Any) -> Reference:
    plain = Reference(
        provider="aws",
        gpu="H100 SXM",
        kind=Terms.ON_DEMAND,
        hourly=Decimal(hourly),
        region="us-east-1",
        dated=dated,
        seen_until=dated,
        unit="an eighth of a machine",
        includes="all of it",
        whole=True,
        source="a list",
    )
    return replace(plain, **changes)


def flags(one: Reference, *others: Reference, at: date = TODAY) -> tuple[str, ...]:
    found = for_gpu([one, *others], one.gpu, against=CHEAPEST, at=at, max_age=AGE)
    return next(each.flags for each in found if each.reference == one)


def test_a_fresh_reference_that_nothing_speaks_against_has_no_flag() -> None:
    assert flags(a_reference("6.88")) == ()


def test_an_old_one_is_stale_and_one_that_is_still_seen_is_not() -> None:
    old = a_reference("6.88", date(2025, 6, 5))
    assert flags(old) == ("stale: 453 days older than what it is compared with",)
    assert flags(replace(old, seen_until=date(2026, 8, 22))) == ()


def test_a_newer_price_of_the_same_thing_makes_it_stale_whoever_says_so() -> None:
    old, new = a_reference("12.29", source="a site", region=""), a_reference("6.88", date(2026, 8, 22))
    assert flags(old, new) == ("stale: contradicted by $6.88 of 2026-08-22 (a list)",)
    assert flags(new, old) == ()


def test_what_agrees_within_five_percent_or_is_of_something_else_contradicts_nothing() -> None:
    one = a_reference("6.88")
    newer = date(2026, 8, 22)
    assert flags(one, a_reference("6.95", newer, source="other")) == ()
    for other in (
        a_reference("3", newer, region="eu-west-1", source="other"),
        a_reference("3", newer, provider="azure"),
        a_reference("3", newer, whole=False, source="other"),
        a_reference("3", newer, gpu="H100 PCIE"),
        a_reference("3", newer, kind=Terms.INTERRUPTIBLE),
    ):
        assert flags(one, other) == ()


def test_a_price_that_was_cut_later_was_right_in_its_time() -> None:
    before = a_reference("12.29", date(2025, 4, 23), seen_until=date(2025, 6, 4))
    after = a_reference("6.88", date(2025, 6, 5), seen_until=date(2026, 8, 22))
    (then,) = for_gpu([before, after], "H100 SXM", against="aws", at=date(2025, 5, 20), max_age=AGE)
    assert then.reference == before and then.flags == ()
    (now,) = for_gpu([before, after], "H100 SXM", against="aws", at=TODAY, max_age=AGE)
    assert now.reference == after and now.flags == ()


def test_two_prices_of_one_day_disagree_and_both_are_told() -> None:
    one, other = a_reference("6.88"), a_reference("9.00", source="a site")
    assert flags(one, other) == ("disagrees with $9 of the same day (a site)",)
    assert flags(other, one) == ("disagrees with $6.88 of the same day (a list)",)


def test_a_bare_accelerator_is_no_machine() -> None:
    (flag,) = flags(a_reference("9.80", whole=False, includes="the accelerator alone"))
    assert flag == "not a whole machine: the accelerator alone"


def test_the_cheapest_without_a_flag_is_chosen_before_one_with() -> None:
    found = for_gpu(
        [
            a_reference("1.00", date(2020, 1, 1), provider="old"),
            a_reference("6.88"),
            a_reference("3.99", provider="lambda"),
        ],
        "H100",
        against=CHEAPEST,
        at=TODAY,
        max_age=AGE,
    )
    assert [each.reference.provider for each in found] == ["lambda", "aws", "old"]


def test_whose_price_is_meant_may_be_said_with_its_region() -> None:
    known = [a_reference("6.88"), a_reference("8.00", region="eu-west-1"), a_reference("3", provider="lambda")]

    def asked(against: str) -> list[Decimal]:
        return [each.reference.hourly for each in for_gpu(known, "H100 SXM", against=against, at=TODAY, max_age=AGE)]

    assert asked("aws") == [Decimal("6.88"), Decimal("8.00")]
    assert asked("aws:eu-west-1") == [Decimal("8.00")]
    assert asked("azure") == []


def test_of_what_is_brought_the_stale_aws_price_is_flagged_and_the_list_price_is_not() -> None:
    found = for_gpu(brought(), "H100 SXM", against="aws", at=TODAY, max_age=AGE)
    assert [(each.reference.hourly, bool(each.flags)) for each in found] == [
        (Decimal("6.88"), False),
        (Decimal("12.29"), True),
    ]
    assert found[1].flags[0].startswith("stale: contradicted by $6.88 of 2026-08-22")


def test_everything_that_is_brought_says_where_it_is_from() -> None:
    for each in brought():
        assert each.source and each.unit and each.includes and each.licence and each.hourly > 0
    gcp = [each for each in brought() if each.provider == "gcp"]
    assert gcp and not any(each.whole for each in gcp)
