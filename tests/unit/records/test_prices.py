"""Prices: one point for each series and bucket, held back when wild, thinned when old, on both databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast.contracts.machines import Terms
from holdfast.contracts.market import (
    Asking,
    AskingsInput,
    Basis,
    ListPricesInput,
    MarketPoint,
    PlanSurveyInput,
    PricesInput,
    PriceSource,
    RecordedPrices,
    RecordPricesInput,
    ThinInput,
)
from holdfast.records import prices
from holdfast.records.store import Records
from tests.unit.records.makers import NOON, claim, opening

DAWN = datetime(2026, 5, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def a_point(hours: float = 0, price: str = "0.40", **changes: Any) -> MarketPoint:
    plain = MarketPoint(
        at=DAWN + timedelta(hours=hours),
        provider="vast",
        gpu="RTX 4090",
        kind=Terms.ON_DEMAND,
        minimum=Decimal(price),
        median=Decimal(price),
        offers=3,
    )
    return replace(plain, **changes)


def record(records: Records, *points: MarketPoint, asking: Asking | None = None) -> RecordedPrices:
    return records.record_prices(RecordPricesInput(points=points, asking=asking))


def told(records: Records, **order: Any) -> list[MarketPoint]:
    return list(records.prices_after(PricesInput(**order)).points)


def an_asking(hours: float = 0, *, answered: bool = True, **changes: Any) -> Asking:
    at = DAWN + timedelta(hours=hours)
    return replace(Asking(provider="vast", source=PriceSource.SURVEY, at=at, span=HOUR, answered=answered), **changes)


def test_a_bucket_that_is_written_twice_has_one_point_with_the_newest_price(records: Records) -> None:
    assert record(records, a_point()) == RecordedPrices(new=1)
    assert record(records, a_point()) == RecordedPrices(known=1)
    assert record(records, a_point(price="0.41")) == RecordedPrices(changed=1)
    (point,) = told(records)
    assert point == a_point(price="0.41")


def test_every_field_comes_back_as_it_was_written(records: Records) -> None:
    full = a_point(
        region="DE",
        p10=Decimal("0.1"),
        p25=Decimal("0.25"),
        p75=Decimal("0.75"),
        p90=Decimal("0.9"),
        basis=Basis.PAID,
        source=PriceSource.FEED,
        span=DAY,
        offers=None,
    )
    record(records, full)
    assert told(records) == [full]


def test_what_a_survey_of_ours_saw_stands_before_what_others_say(records: Records) -> None:
    record(records, a_point())
    assert record(records, a_point(price="0.10", source=PriceSource.IMPORT)) == RecordedPrices(kept=1)
    assert record(records, a_point(1, source=PriceSource.IMPORT), a_point(1, "0.45")).changed == 1
    assert [each.median for each in told(records)] == [Decimal("0.40"), Decimal("0.45")]


def test_one_wild_point_is_held_back_until_the_next_one_confirms_it(records: Records) -> None:
    record(records, *(a_point(hour) for hour in range(6)))
    assert record(records, a_point(6, "3.20")).held == 1
    assert len(told(records)) == 6 and [each.median for each in told(records, held=True)] == [Decimal("3.20")]
    assert record(records, a_point(7, "3.10")).held == 0
    assert [each.median for each in told(records)][-2:] == [Decimal("3.20"), Decimal("3.10")]
    assert record(records, a_point(8, "3.15")).held == 0, "the new level is the usual one now"


def test_what_the_same_points_confirm_is_not_counted_as_held_back(records: Records) -> None:
    usual = [a_point(hour) for hour in range(6)]
    done = record(records, *usual, a_point(6, "3.20"), a_point(7, "3.10"), a_point(8, "0.001"))
    assert (done.held, done.confirmed) == (1, 0)
    done = record(records, a_point(9, "0.001"))
    assert (done.held, done.confirmed) == (0, 1) and told(records, held=True) == []


def test_a_wild_point_that_nothing_confirms_stays_out(records: Records) -> None:
    record(records, *(a_point(hour) for hour in range(6)), a_point(6, "0.001"), a_point(7), a_point(8, "0.42"))
    assert [each.at for each in told(records, held=True)] == [DAWN + 6 * HOUR]
    assert len(told(records)) == 8


def test_points_come_in_pages_of_all_series(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "POINTS_TOLD", 3)
    written = [a_point(hour, gpu=gpu, kind=kind) for gpu in ("H100", "RTX 4090") for kind in Terms for hour in range(4)]
    record(records, *written)
    order: PricesInput | None = PricesInput()
    found: list[MarketPoint] = []
    while order:
        page = records.prices_after(order)
        found += page.points
        order = replace(order, after=page.next) if page.next else None
    assert len(found) == len(written) and set(map(repr, found)) == set(map(repr, written))


def test_points_are_found_by_what_is_asked(records: Records) -> None:
    record(records, a_point(), a_point(5), a_point(region="DE"), a_point(provider="gcp"), a_point(gpu="L4"))
    assert len(told(records, gpus=("RTX 4090",), providers=("vast",), regions=("",))) == 2
    assert len(told(records, since=DAWN + HOUR)) == 1 and len(told(records, until=DAWN + HOUR)) == 4
    assert told(records, basis=Basis.PAID) == [] and told(records, kinds=(Terms.INTERRUPTIBLE,)) == []


def test_series_are_listed_with_their_length(records: Records) -> None:
    record(records, *(a_point(hour) for hour in range(5)), a_point(5, "9"), a_point(gpu="L4"))
    first, second = records.priced_series(ListPricesInput())
    assert (first.gpu, first.points) == ("L4", 1)
    assert (second.points, second.held, second.first, second.last) == (5, 1, DAWN, DAWN + 5 * HOUR)
    assert records.priced_series(ListPricesInput(provider="gcp")) == []
    assert records.priced_gpus() == ["L4", "RTX 4090"]


def test_a_question_without_an_answer_is_remembered_and_undoes_none(records: Records) -> None:
    record(records, asking=an_asking(answered=False, detail="it is down"))
    record(records, asking=an_asking(1, offers=4))
    record(records, asking=an_asking(1, answered=False, detail="late"))
    newest, oldest = records.askings(AskingsInput())
    assert (newest.answered, newest.offers) == (True, 4)
    assert records.askings(AskingsInput(unanswered=True)) == [oldest] and oldest.detail == "it is down"


def test_old_points_become_one_a_day_and_very_old_ones_go(records: Records) -> None:
    day = [a_point(hour, str(Decimal("0.40") + Decimal(hour) / 100)) for hour in range(24)]
    ancient = a_point(at=DAWN - 900 * DAY)
    record(records, ancient, *day, a_point(30), asking=an_asking(at=ancient.at))
    order = ThinInput(daily_before=DAWN + 30 * HOUR, gone_before=DAWN - 800 * DAY)
    done = records.thin_prices(order)
    assert (done.days, done.replaced, done.deleted) == (1, 24, 1)
    one, other = told(records)
    assert (one.at, one.span, one.minimum, one.median) == (DAWN, DAY, Decimal("0.40"), Decimal("0.51"))
    assert other == a_point(30) and records.askings(AskingsInput()) == []
    again = records.thin_prices(order)
    assert (again.days, again.replaced, again.deleted) == (0, 0, 0)


def test_many_days_are_thinned_one_by_one_and_the_next_run_goes_on(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices, "THINNED_AT_ONCE", 30)
    record(records, *(a_point(hour) for hour in range(5 * 24)))
    order = ThinInput(daily_before=DAWN + 5 * DAY, gone_before=DAWN - DAY)
    assert [records.thin_prices(order).days for _ in range(4)] == [2, 2, 1, 0]
    assert [each.at for each in told(records)] == [DAWN + day * DAY for day in range(5)]


def test_what_was_imported_is_never_thinned(records: Records) -> None:
    record(records, *(a_point(hour, source=PriceSource.IMPORT) for hour in range(24)))
    records.thin_prices(ThinInput(daily_before=DAWN + 900 * DAY, gone_before=DAWN + 800 * DAY))
    assert len(told(records)) == 24


def test_what_was_rented_lately_is_watched_and_a_feed_is_read_once_a_day(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    plan = records.plan_survey(PlanSurveyInput(provider="vast", at=NOON))
    assert plan.gpus == ("RTX 4090",) and plan.feed_since == NOON - timedelta(days=30)
    record(records, a_point(at=NOON - HOUR, basis=Basis.PAID, source=PriceSource.FEED))
    record(records, asking=an_asking(at=NOON, source=PriceSource.FEED, answered=False))
    assert records.plan_survey(PlanSurveyInput(provider="vast", at=NOON + HOUR)).feed_since is None
    assert records.plan_survey(PlanSurveyInput(provider="vast", at=NOON + 2 * DAY)).feed_since == NOON - HOUR
    assert records.plan_survey(PlanSurveyInput(provider="gcp", at=NOON)).gpus == ()
