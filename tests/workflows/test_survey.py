"""A survey writes down what providers ask, once for each bucket; who is silent leaves a gap, and holds up nobody.

What has a newer price than its forecast is forecast anew, and that fails no survey.
"""

import uuid
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest_asyncio
from prometheus_client import CollectorRegistry
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from holdfast.activities.fitting import FitActivities
from holdfast.activities.forecasts import ForecastRecords
from holdfast.activities.prices import PriceRecords
from holdfast.activities.surveying import SurveyActivities
from holdfast.contracts import names
from holdfast.contracts.forecasts import ForecastAnswer, HourlyPrices, ListForecastsInput, RecordedForecast
from holdfast.contracts.machines import Offer, Requirements, Terms
from holdfast.contracts.market import (
    AskingsInput,
    Basis,
    MarketPoint,
    PricesInput,
    PriceSource,
    RecordPricesInput,
    SurveyInput,
    SurveyLine,
    SurveyResult,
)
from holdfast.providers.base import Capabilities, PricePoint
from holdfast.providers.errors import CredentialsRefused, ProviderUnavailable
from holdfast.records.store import Records
from holdfast.telemetry.metrics import Metrics
from holdfast.workers.durable import SANDBOX
from holdfast.workers.fitters import Fitters, forecast_of
from holdfast.workflows.survey import SurveyWorkflow
from tests.unit.records.makers import new_records

DAY = timedelta(days=1)
GPUS = ("H100 SXM", "L4", "RTX 4090")


class Bazaar:
    """A provider with a price for each GPU, and a mood."""

    def __init__(self, name: str, prices: dict[str, str], **abilities: Any) -> None:
        self.name = name
        self.prices = prices
        self.capabilities = Capabilities(**abilities)
        self.asked: list[Requirements] = []
        self.silent_about: set[str] = set()

    async def search_offers(self, needs: Requirements) -> Sequence[Offer]:
        self.asked.append(needs)
        if self.silent_about & {needs.gpu, "all"}:
            raise ProviderUnavailable("nobody is there")
        return [
            Offer(
                provider=self.name,
                offer_id=f"{gpu} {needs.terms} {number}",
                machine_id=f"{gpu} {number}",
                gpu=gpu,
                gpu_count=1,
                gpu_memory_gb=24,
                region=region,
                terms=needs.terms,
                hourly=Decimal(price) + number,
            )
            for gpu, price in self.prices.items()
            if needs.gpu in (None, gpu)
            for number, region in enumerate(("DE", "US"))
        ]


class Chronicler(Bazaar):
    """It also tells of the past, to those whom it likes."""

    likes_us = True

    async def price_history(self, gpu: str, since: datetime) -> Sequence[PricePoint]:
        self.told = (gpu, since)
        if not self.likes_us:
            raise CredentialsRefused("only for hosts")
        moment = datetime.now(UTC) - DAY
        return [PricePoint(at=moment, gpu=gpu, hourly=Decimal(2), low=Decimal(1), high=Decimal(3))]


class Exchange:
    """Two providers and real records."""

    def __init__(self, environment: WorkflowEnvironment, records: Records) -> None:
        self.records = records
        self.client = environment.client
        mark = uuid.uuid4().hex[:6]
        self.open = Bazaar(f"open{mark}", {"RTX 4090": "0.40", "L4": "0.50"}, interruptible=True)
        self.shy = Chronicler(f"shy{mark}", {"H100 SXM": "2.00"}, shows_all=True)
        self.fitters = Fitters(forecast_of, processes=1)
        self.unfit: set[str] = set()  # GPUs whose prices break whoever looks at them

    async def fit(self, prices: HourlyPrices) -> RecordedForecast:
        if prices.key.gpu in self.unfit:
            raise FloatingPointError("no number")
        return await self.fitters(prices)

    def remember(self, gpu: str, provider: str, hours: int = 30) -> None:
        """What was asked on demand in the hours before this one."""
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        points = tuple(
            MarketPoint(
                at=now - timedelta(hours=back),
                provider=provider,
                gpu=gpu,
                kind=Terms.ON_DEMAND,
                minimum=Decimal("0.50"),
                median=Decimal("0.50"),
            )
            for back in range(2, hours + 2)
        )
        self.records.record_prices(RecordPricesInput(points=points))

    def forecasts(self) -> dict[str, RecordedForecast]:
        return {each.key.gpu: each for each in self.records.forecasts(ListForecastsInput())}

    async def survey(self, **changes: Any) -> dict[str, SurveyLine]:
        order = SurveyInput(providers=(self.open.name, self.shy.name), gpus=GPUS)
        self.result: SurveyResult = await self.client.execute_workflow(
            SurveyWorkflow.run,
            replace(order, **changes),
            id=f"survey/{uuid.uuid4().hex}",
            task_queue=names.CONTROL_QUEUE,
        )
        return {line.provider: line for line in self.result.lines}

    def points(self, **order: Any) -> list[MarketPoint]:
        return list(self.records.prices_after(PricesInput(**{"basis": Basis.ASKED, **order})).points)


@asynccontextmanager
async def serving(temporal: WorkflowEnvironment, folder: Path, *, analysis: bool = True) -> AsyncIterator[Exchange]:
    """An exchange with its workers; without `analysis` nobody is there to forecast."""
    opened = Exchange(temporal, new_records(folder))
    on_record = PriceRecords(opened.records, metrics=Metrics(CollectorRegistry()))
    async with AsyncExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(2))
        control = Worker(
            temporal.client,
            task_queue=names.CONTROL_QUEUE,
            workflows=[SurveyWorkflow],
            workflow_runner=SANDBOX,
            activities=[*on_record.all(), *ForecastRecords(opened.records).all()],
            activity_executor=threads,
        )
        await stack.enter_async_context(control)
        for bazaar in (opened.open, opened.shy):
            acts = SurveyActivities(bazaar)  # type: ignore[arg-type]  # no more of a provider is used
            queue = names.provider_queue(bazaar.name)
            await stack.enter_async_context(Worker(temporal.client, task_queue=queue, activities=acts.all()))
        if analysis:
            stack.push_async_callback(opened.fitters.close)
            fitting = FitActivities(opened.fit, metrics=Metrics(CollectorRegistry())).fit_forecasts
            orders = Worker(temporal.client, task_queue=names.ANALYSIS_QUEUE, activities=[fitting])
            await stack.enter_async_context(orders)
        yield opened
    opened.records.close()


@pytest_asyncio.fixture(loop_scope="session")
async def exchange(temporal: WorkflowEnvironment, tmp_path: Path) -> AsyncIterator[Exchange]:
    async with serving(temporal, tmp_path) as opened:
        yield opened


async def test_every_provider_has_its_points_in_the_bucket_of_the_hour(exchange: Exchange) -> None:
    lines = await exchange.survey()
    at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    whole = exchange.points(regions=("",))
    assert {(each.gpu, each.provider, each.kind) for each in whole} == {
        ("RTX 4090", exchange.open.name, Terms.ON_DEMAND),
        ("RTX 4090", exchange.open.name, Terms.INTERRUPTIBLE),
        ("L4", exchange.open.name, Terms.ON_DEMAND),
        ("L4", exchange.open.name, Terms.INTERRUPTIBLE),
        ("H100 SXM", exchange.shy.name, Terms.ON_DEMAND),
    }
    assert {each.at for each in whole} <= {at, at - timedelta(hours=1)} and exchange.result.at == whole[0].at
    assert {each.region for each in exchange.points()} == {"", "DE", "US"}
    assert lines[exchange.open.name].offers == 8 and lines[exchange.open.name].recorded.new == 12
    assert all(line.answered for line in lines.values())


async def test_a_provider_that_shows_all_is_asked_once_and_others_gpu_by_gpu_at_exact_terms(
    exchange: Exchange,
) -> None:
    await exchange.survey()
    assert [each.gpu for each in exchange.shy.asked] == [None]
    assert [(each.gpu, each.terms) for each in exchange.open.asked] == [
        (gpu, terms) for gpu in GPUS for terms in (Terms.ON_DEMAND, Terms.INTERRUPTIBLE)
    ]
    assert all(each.exact_terms for each in exchange.open.asked)


async def test_two_surveys_of_one_bucket_leave_one_point_with_the_newer_price(exchange: Exchange) -> None:
    await exchange.survey(every=DAY)
    before = len(exchange.points())
    exchange.open.prices["L4"] = "0.60"
    lines = await exchange.survey(every=DAY)
    assert len(exchange.points()) == before
    assert lines[exchange.open.name].recorded.changed == 6 and lines[exchange.open.name].recorded.new == 0
    (l4,) = exchange.points(gpus=("L4",), regions=("",), kinds=(Terms.ON_DEMAND,))
    assert l4.minimum == Decimal("0.60")


async def test_one_that_is_down_leaves_a_gap_with_its_reason_and_never_a_zero(exchange: Exchange) -> None:
    exchange.open.silent_about = {*GPUS}
    lines = await exchange.survey()
    assert not lines[exchange.open.name].answered and lines[exchange.shy.name].answered
    assert {each.provider for each in exchange.points()} == {exchange.shy.name}
    (gap,) = exchange.records.askings(AskingsInput(unanswered=True))
    assert (gap.provider, gap.detail) == (exchange.open.name, "nobody is there")
    assert len(exchange.open.asked) == 5, "a few tries, for the first GPU alone"


async def test_what_a_provider_said_before_it_fell_silent_counts(exchange: Exchange) -> None:
    exchange.open.silent_about = {"RTX 4090"}
    lines = await exchange.survey()
    line = lines[exchange.open.name]
    assert line.answered and line.detail == "no answer about RTX 4090: nobody is there"
    assert {each.gpu for each in exchange.points(providers=(exchange.open.name,))} == {"L4"}


async def test_a_gpu_that_nobody_offers_has_no_point_and_the_answer_is_on_record(exchange: Exchange) -> None:
    exchange.open.prices, exchange.shy.prices = {}, {}
    lines = await exchange.survey()
    assert exchange.points() == [] and all(line.answered and line.offers == 0 for line in lines.values())
    assert exchange.records.askings(AskingsInput(unanswered=True)) == []


async def test_a_provider_s_own_history_is_read_once_a_day_as_what_was_paid(exchange: Exchange) -> None:
    lines = await exchange.survey(every=timedelta(seconds=1))
    feed = lines[exchange.shy.name].feed
    assert feed is not None and feed.new == len(GPUS) and lines[exchange.open.name].feed is None
    (point,) = exchange.points(basis=Basis.PAID, gpus=("L4",))
    assert (point.source, point.minimum, point.median, point.p90) == (
        PriceSource.FEED,
        Decimal(1),
        Decimal(2),
        Decimal(3),
    )
    again = await exchange.survey(every=timedelta(seconds=1))
    assert again[exchange.shy.name].feed is None


async def test_a_history_that_is_refused_spoils_no_survey_and_is_not_asked_for_again_at_once(
    exchange: Exchange,
) -> None:
    exchange.shy.likes_us = False
    lines = await exchange.survey(every=timedelta(seconds=1))
    assert lines[exchange.shy.name].answered and lines[exchange.shy.name].recorded.new == 3
    (refusal,) = exchange.records.askings(AskingsInput(unanswered=True))
    assert (refusal.source, refusal.detail) == (PriceSource.FEED, "only for hosts")
    exchange.shy.likes_us = True
    assert (await exchange.survey(every=timedelta(seconds=1)))[exchange.shy.name].feed is None


async def test_a_survey_of_some_gpus_by_hand_reads_no_history(exchange: Exchange) -> None:
    lines = await exchange.survey(gpus=("L4",), feeds=False)
    assert lines[exchange.shy.name].feed is None
    assert [each.gpu for each in exchange.open.asked] == ["L4", "L4"]


# --- forecasts ---------------------------------------------------------------------------------------------------


async def test_what_has_a_newer_price_than_its_forecast_is_forecast_anew_once(exchange: Exchange) -> None:
    exchange.remember("L4", exchange.open.name)
    await exchange.survey()
    assert exchange.result.refits is not None
    assert (exchange.result.refits.due, exchange.result.refits.fitted, exchange.result.refits.detail) == (1, 1, "")
    made = exchange.forecasts()["L4"]
    assert made.answer is ForecastAnswer.NO_SKILL and made.known_until == exchange.result.at
    assert made.last == 0.5 and [each.price for each in made.leads] == [0.5] * 16
    await exchange.survey()
    assert exchange.result.refits.due == 0, "no price is newer"
    assert exchange.forecasts()["L4"] == made


async def test_a_series_that_cannot_be_fitted_is_told_and_spoils_no_other(exchange: Exchange) -> None:
    exchange.remember("L4", exchange.open.name)
    exchange.remember("H100 SXM", exchange.shy.name)
    exchange.unfit = {"H100 SXM"}
    lines = await exchange.survey()
    done = exchange.result.refits
    assert done is not None and (done.due, done.fitted) == (2, 1)
    assert "H100 SXM at shy" in done.detail and "FloatingPointError: no number" in done.detail
    assert set(exchange.forecasts()) == {"L4"} and all(line.answered for line in lines.values())
    exchange.unfit = set()
    await exchange.survey()
    assert set(exchange.forecasts()) == {"L4", "H100 SXM"}


async def test_where_nobody_forecasts_a_survey_says_so_and_ends(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    async with serving(temporal, tmp_path, analysis=False) as exchange:
        exchange.remember("L4", exchange.open.name)
        lines = await exchange.survey(every=timedelta(seconds=1))
        assert all(line.answered for line in lines.values()) and exchange.forecasts() == {}
        done = exchange.result.refits
        assert done is not None and (done.due, done.fitted) == (1, 0)
        assert done.detail.endswith("no analysis worker did it in time")


async def test_a_survey_may_leave_the_forecasts_alone(exchange: Exchange) -> None:
    exchange.remember("L4", exchange.open.name)
    await exchange.survey(refit=False)
    assert exchange.result.refits is None and exchange.forecasts() == {}
