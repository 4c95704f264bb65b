"""Whether a job had better wait: by the prices on record, and never for want of them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from holdfast.activities.advising import Advising
from holdfast.contracts.machines import Terms
from holdfast.contracts.market import AdviseStartInput, MarketPoint, RecordPricesInput, StartWord
from holdfast.records.store import Records
from tests.unit.records.makers import on_record

HOUR = timedelta(hours=1)
WEEKS = 24 * 14
DEAR, CHEAP = "0.60", "0.30"


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    with on_record(tmp_path) as opened:
        yield opened


def ask(records: Records, **changes: Any) -> StartWord:
    now = datetime.now(UTC)
    order = AdviseStartInput(gpu="rtx_4090", kind=Terms.INTERRUPTIBLE, latest=now + 24 * HOUR)
    advice: StartWord = ActivityEnvironment().run(Advising(records).advise_start, replace(order, **changes))
    return advice


def put(records: Records, prices: list[str], *, ago: int = 0, **changes: Any) -> None:
    """One price an hour, the last one so many hours ago."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    points = [
        MarketPoint(
            at=now - (ago + back) * HOUR,
            provider=changes.get("provider", "vast"),
            gpu="RTX 4090",
            region=changes.get("region", ""),
            kind=changes.get("kind", Terms.INTERRUPTIBLE),
            minimum=Decimal(price),
            median=Decimal(price),
        )
        for back, price in enumerate(reversed(prices))
    ]
    records.record_prices(RecordPricesInput(points=tuple(sorted(points, key=lambda each: each.at))))


def mostly_cheap(last: str) -> list[str]:
    """Six hours dear, six hours cheap, for two weeks; and then this."""
    return [DEAR if (hour // 6) % 2 else CHEAP for hour in range(WEEKS)] + [last] * 2


def test_a_dear_hour_among_cheap_ones_is_waited_out(records: Records) -> None:
    put(records, mostly_cheap(DEAR))
    advice = ask(records)
    assert advice.wait
    assert advice.price == Decimal("0.6")
    assert advice.reserve is not None and advice.reserve < Decimal("0.6")
    assert advice.chance_of_more is not None and advice.chance_of_more < 0.5
    assert "waits for" in advice.reason


def test_a_cheap_hour_is_taken(records: Records) -> None:
    put(records, mostly_cheap(CHEAP))
    advice = ask(records)
    assert not advice.wait
    assert advice.price == Decimal("0.3")


def test_the_cheapest_of_several_providers_counts(records: Records) -> None:
    put(records, mostly_cheap(DEAR))
    put(records, [CHEAP] * WEEKS, provider="tensordock")
    assert not ask(records).wait
    assert ask(records, providers=("vast",)).wait


def test_another_kind_or_region_says_nothing(records: Records) -> None:
    put(records, mostly_cheap(DEAR), kind=Terms.ON_DEMAND)
    put(records, mostly_cheap(DEAR), region="DE")
    assert "no price" in ask(records).reason
    assert ask(records, regions=("DE",)).wait


def test_what_is_not_known_is_no_reason_to_wait(records: Records) -> None:
    assert not ask(records).wait
    put(records, [DEAR, CHEAP, DEAR])
    assert "too few" in ask(records).reason
    assert not ask(records).wait


def test_prices_of_yesterday_say_nothing_of_now(records: Records) -> None:
    put(records, mostly_cheap(DEAR), ago=20)
    advice = ask(records)
    assert not advice.wait
    assert "the last price" in advice.reason


def test_with_no_time_left_it_starts(records: Records) -> None:
    put(records, mostly_cheap(DEAR))
    assert not ask(records, latest=datetime.now(UTC) + HOUR / 2).wait
