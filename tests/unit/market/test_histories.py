"""What a series did: moved or not, and with what gaps."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from holdfast.market.histories import columns, gaps, histories, moves
from tests.unit.policy.test_pricing import DAWN, HOUR, a_point

DAY = timedelta(days=1)


def test_a_history_says_where_it_began_where_it_is_and_how_far_it_went() -> None:
    points = [a_point(0, "0.40"), a_point(1, "0.30"), a_point(2, "0.50", minimum=Decimal("0.45"), offers=7)]
    (found,) = histories(points, since=DAWN, until=DAWN + DAY)
    assert (found.first, found.last, found.low, found.high) == tuple(map(Decimal, ("0.40", "0.50", "0.30", "0.50")))
    assert (found.minimum, found.offers, found.change, found.unchanged) == (Decimal("0.45"), 7, 0.25, False)
    assert found.missing == timedelta() and found.points == tuple(points)


def test_what_never_moved_is_unchanged_and_not_missing() -> None:
    (found,) = histories([a_point(hour) for hour in range(30)], since=DAWN, until=DAWN + 2 * DAY)
    assert found.unchanged and found.change == 0 and found.missing_share == 0


def test_hours_without_a_point_are_missing_and_no_price_is_made_up_for_them() -> None:
    points = [a_point(0), a_point(1), a_point(5)]
    (found,) = histories(points, since=DAWN, until=DAWN + DAY)
    assert gaps(points) == [(DAWN + 2 * HOUR, DAWN + 5 * HOUR)]
    assert found.missing == 3 * HOUR and found.missing_share == 0.5


def test_a_day_that_one_point_stands_for_is_no_gap() -> None:
    assert gaps([a_point(0, span=DAY), a_point(24), a_point(25)]) == []


def test_one_point_alone_has_no_change() -> None:
    (found,) = histories([a_point(0)], since=DAWN, until=DAWN + DAY)
    assert found.change is None


def test_what_lies_outside_of_the_time_is_no_part() -> None:
    assert histories([a_point(0)], since=DAWN + HOUR, until=DAWN + DAY) == []


def test_the_greatest_moves_come_first_and_what_stood_still_is_told_so() -> None:
    now = DAWN + 2 * DAY
    points = [
        *(a_point(hour, gpu="STILL") for hour in (20, 30, 40)),
        *(a_point(hour, price, gpu="UP") for hour, price in ((20, "0.40"), (40, "0.60"))),
        *(a_point(hour, price, gpu="DOWN") for hour, price in ((20, "0.40"), (40, "0.10"))),
        *(a_point(hour, price, gpu="THERE AND BACK") for hour, price in ((20, "0.40"), (30, "0.80"), (40, "0.40"))),
    ]
    found = moves(points, over=DAY, now=now)
    assert [(each.gpu, each.change, each.unchanged) for each in found] == [
        ("DOWN", -0.75, False),
        ("UP", 0.5, False),
        ("STILL", 0.0, True),
        ("THERE AND BACK", 0.0, False),
    ]


def test_a_series_of_which_one_end_is_not_known_has_not_moved_by_anything_known() -> None:
    assert moves([a_point(40)], over=DAY, now=DAWN + 2 * DAY) == []
    assert moves([a_point(0), a_point(1)], over=DAY, now=DAWN + 9 * DAY) == []


def test_columns_have_gaps_where_there_are_and_a_daily_point_fills_its_day() -> None:
    points = [a_point(24, span=DAY), replace(a_point(60), span=HOUR)]
    found = columns(points, since=DAWN, until=DAWN + 3 * DAY, many=6)
    assert [value for value, _ in found] == [None, None, 0.4, 0.4, None, 0.4]
    assert [begun for _, begun in found] == [False, False, True, True, True, True]
