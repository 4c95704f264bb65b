"""Forecasts on record: what is due, what they are made from, and the newest of each series, on both databases."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast.contracts.forecasts import (
    ForecastAnswer,
    ForecastKey,
    LeadForecast,
    ListForecastsInput,
    PriceAhead,
    RecordedForecast,
)
from holdfast.contracts.machines import Terms
from holdfast.contracts.market import Basis, RecordPricesInput, ThinInput
from holdfast.records.forecasts import ENOUGH, LEARNT_FROM
from holdfast.records.store import Records
from tests.unit.records.makers import NOON
from tests.unit.records.test_prices import DAWN, DAY, HOUR, a_point

KEY = ForecastKey(gpu="RTX 4090", provider="vast", kind=Terms.ON_DEMAND)
LEADS = tuple(
    LeadForecast(
        lead=lead, price=0.44, low80=0.4, high80=0.5, low95=0.3, high95=0.6, model="mean of a day", skill=0.125
    )
    for lead in (1, 24)
)


def priced(records: Records, *hours: float, **changes: Any) -> None:
    points = tuple(a_point(hour, **changes) for hour in hours)
    records.record_prices(RecordPricesInput(points=points))


def made(until: float = 30, **changes: Any) -> RecordedForecast:
    plain = RecordedForecast(
        key=KEY,
        made_at=DAWN + timedelta(hours=until, minutes=5),
        known_until=DAWN + timedelta(hours=until),
        answer=ForecastAnswer.SKILL,
        why="at 24 h it erred less",
        last=0.4,
        leads=LEADS,
    )
    return replace(plain, **changes)


def due(records: Records, hours: float = 30) -> list[ForecastKey]:
    return records.due_forecasts(DAWN + timedelta(hours=hours))


def test_a_series_is_due_as_soon_as_it_has_enough_prices_and_then_with_each_new_one(records: Records) -> None:
    priced(records, *range(ENOUGH - 1))
    assert due(records) == []
    priced(records, ENOUGH - 1)
    assert due(records) == [KEY]
    records.record_forecasts([made(ENOUGH - 1)])
    assert due(records) == []
    priced(records, ENOUGH)
    assert due(records) == [KEY]


@pytest.mark.parametrize(
    "changes",
    [{"region": "DE"}, {"basis": Basis.PAID}, {"span": DAY}, {"minimum": Decimal(9), "median": Decimal(9)}],
    ids=["a region", "what was paid", "a day", "held back"],
)
def test_only_what_is_asked_of_a_whole_provider_by_the_hour_and_believed_counts(
    records: Records, changes: dict[str, Any]
) -> None:
    priced(records, *range(ENOUGH - 1))
    priced(records, ENOUGH, **changes)
    assert due(records) == []


def test_what_nobody_has_seen_for_a_day_is_not_due_and_who_waited_longest_is_first(records: Records) -> None:
    priced(records, *range(30))
    priced(records, *range(30), gpu="H100")
    priced(records, *range(30), gpu="L4")
    assert due(records, 24 * 3) == []
    h100, l4 = replace(KEY, gpu="H100"), replace(KEY, gpu="L4")
    records.record_forecasts([made(20), made(10, key=l4)])
    assert due(records) == [h100, l4, KEY]


def test_a_history_is_four_weeks_at_most_with_its_gaps_and_short_where_prices_stand_still(records: Records) -> None:
    priced(records, 0, 1, 2, 5)
    priced(records, 6, price="0.50")
    (found,) = records.hourly_prices([KEY, replace(KEY, gpu="B200")])
    assert (found.key, found.first) == (KEY, DAWN)
    assert found.runs == ((3, 0.4), (2, None), (1, 0.4), (1, 0.5))
    priced(records, LEARNT_FROM + 2)
    (found,) = records.hourly_prices([KEY])
    assert found.first == DAWN + 5 * HOUR and sum(many for many, _ in found.runs) == LEARNT_FROM - 2


def test_of_several_prices_in_an_hour_the_last_counts_and_the_hour_is_named_by_its_end(records: Records) -> None:
    quarter = timedelta(minutes=15)
    priced(records, 1.25, span=quarter)
    priced(records, 1.75, span=quarter, price="0.45")
    (found,) = records.hourly_prices([KEY])
    assert (found.first, found.runs) == (DAWN + 2 * HOUR, ((1, 0.45),))


def test_a_forecast_replaces_the_one_before_and_is_read_as_it_was_written(records: Records) -> None:
    assert records.record_forecasts([made()]) == 1
    assert records.record_forecasts([made()]) == 0, "repeated"
    assert records.record_forecasts([made(29)]) == 0, "late"
    assert records.forecasts(ListForecastsInput()) == [made()]
    newer = made(31, answer=ForecastAnswer.NOT_ENOUGH, leads=(), last=None, why="nothing", alarm="wild")
    assert records.record_forecasts([newer]) == 1
    assert records.forecasts(ListForecastsInput(gpus=("RTX 4090",))) == [newer]
    assert records.forecasts(ListForecastsInput(gpus=("H100",))) == []


def test_placement_hears_of_fresh_forecasts_with_skill_of_the_gpus_on_offer(records: Records) -> None:
    until = (NOON - DAWN) / HOUR - 1
    spot = replace(KEY, kind=Terms.INTERRUPTIBLE)
    records.record_forecasts([made(until, key=spot), made(until, key=replace(spot, gpu="H100"))])
    records.record_forecasts([made(until, key=replace(spot, provider="other"), answer=ForecastAnswer.NO_SKILL)])
    assert records.prices_ahead(("RTX 4090", "B200"), fresh=2 * HOUR) == [
        PriceAhead(provider="vast", gpu="RTX 4090", kind=Terms.INTERRUPTIBLE, change=0.1)
    ]
    assert records.prices_ahead(("RTX 4090",), fresh=HOUR / 2) == []


def test_a_series_that_nobody_sees_any_more_is_forgotten_when_its_prices_are_thinned(records: Records) -> None:
    records.record_forecasts([made(0), made(60, key=replace(KEY, gpu="H100"))])
    records.thin_prices(ThinInput(daily_before=DAWN + DAY, gone_before=DAWN))
    assert [each.key.gpu for each in records.forecasts(ListForecastsInput())] == ["H100"]
