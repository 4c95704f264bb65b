from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from holdfast.market.errors import BadHistory
from holdfast.market.series import WINDOW, SeriesKey, on_grid
from tests.unit.market.examples import series

KEY = SeriesKey(gpu="H100")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def minutes(many: float) -> datetime:
    return NOON + timedelta(minutes=many)


def test_a_cell_holds_the_last_price_of_its_hour_and_its_end_belongs_to_it() -> None:
    found = on_grid(KEY, [(minutes(-59), 1.0), (minutes(0), 2.0), (minutes(1), 3.0), (minutes(60), 4.0)])
    assert found.first == NOON
    assert found.prices.tolist() == [2.0, 4.0]


def test_an_hour_in_which_nobody_looked_stays_empty() -> None:
    found = on_grid(KEY, [(minutes(0), 1.0), (minutes(180), 2.0)])
    assert np.isnan(found.prices[1:3]).all()
    assert found.seen == 2


def test_a_price_of_an_event_stream_holds_until_the_next_event() -> None:
    found = on_grid(KEY, [(minutes(0), 1.0), (minutes(180), 2.0)], holds=True)
    assert found.prices.tolist() == [1.0, 1.0, 1.0, 2.0]


def test_times_may_come_in_any_order_and_of_two_at_one_moment_the_later_counts() -> None:
    found = on_grid(KEY, [(minutes(60), 3.0), (minutes(0), 1.0), (minutes(60), 4.0)])
    assert found.prices.tolist() == [1.0, 4.0]


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_what_is_no_price_is_refused(price: float) -> None:
    with pytest.raises(BadHistory, match="is no price"):
        on_grid(KEY, [(NOON, price)])


def test_a_clock_that_jumped_is_told() -> None:
    with pytest.raises(BadHistory, match="1970") as raised:
        on_grid(KEY, [(datetime(1970, 1, 1, tzinfo=UTC), 1.0), (NOON, 1.0)])
    assert "clock" in raised.value.remedy


def test_nothing_is_no_history() -> None:
    with pytest.raises(BadHistory, match="no price"):
        on_grid(KEY, [])


def test_a_forecast_sees_four_weeks_and_nothing_that_comes_after() -> None:
    whole = series(range(1, 1001))
    known = whole.until(899)
    assert len(known.prices) == WINDOW
    assert known.prices[-1] == 900
    assert known.last == whole.first + timedelta(hours=899)
