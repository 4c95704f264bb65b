"""Ask every provider what its GPUs cost now, and write it down. Run by a schedule, and by hand.

1. Each provider for itself, so that one that is slow or down holds up none: what is on offer, GPU by GPU.
2. Once a day also what a provider itself tells of the past, where it does.
3. What is old is thinned.
4. What has a newer price than its forecast is forecast anew.

A bucket of time has one point for each series, however often it is asked. A provider that does not answer leaves a gap
and the reason for it; never a zero, and never the price of before.
"""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from holdfast.contracts import names
from holdfast.contracts.market import (
    Asking,
    MarketPoint,
    PriceSource,
    RecordedPrices,
    RecordPricesInput,
    SurveyInput,
    SurveyLine,
    SurveyResult,
    ThinInput,
)
from holdfast.policy import pricing
from holdfast.workflows import refits, steps
from holdfast.workflows.failures import words_of

MOST_TOLD = 1200
"""Points in one message."""


@workflow.defn(name=names.SURVEY)
class SurveyWorkflow:
    @workflow.run
    async def run(self, order: SurveyInput) -> SurveyResult:
        at = pricing.bucket(workflow.now(), order.every)
        lines = await asyncio.gather(*(_survey(each, order, at) for each in order.providers))
        thinned = await steps.thin_prices(
            ThinInput(daily_before=at - order.fine_for, gone_before=at - max(order.fine_for, order.daily_for))
        )
        workflow.set_current_details(_told(at, lines))
        done = None
        if order.refit and workflow.patched("refits"):
            done = await refits.refit(at, every=order.every)
            workflow.set_current_details(f"{_told(at, lines)}\n{refits.words(done)}")
        return SurveyResult(at=at, lines=tuple(lines), thinned=thinned, refits=done)


async def _survey(provider: str, order: SurveyInput, at: datetime) -> SurveyLine:
    plan = await steps.plan_survey(provider, at)
    gpus = tuple(sorted({*order.gpus, *(plan.gpus if order.feeds else ())}))
    seen = await _ask(provider, gpus, at, order)
    recorded = await steps.record_prices(RecordPricesInput(points=seen.points[:MOST_TOLD], asking=seen.asking))
    line = SurveyLine(
        provider=provider,
        answered=seen.asking.answered,
        offers=seen.asking.offers,
        recorded=recorded,
        detail=seen.asking.detail,
    )
    if plan.feed_since is None or not line.answered or not order.feeds:
        return line
    return replace(line, feed=await _read_feed(provider, gpus, plan.feed_since, at))


class _Seen:
    """What one provider said."""

    def __init__(self, asking: Asking, points: tuple[MarketPoint, ...]) -> None:
        self.asking = asking
        self.points = points


async def _ask(provider: str, gpus: tuple[str, ...], at: datetime, order: SurveyInput) -> _Seen:
    """What is left when a provider stops answering is a gap; what it said before counts."""
    points: list[MarketPoint] = []
    offers, left, trouble = 0, gpus, ""
    while left:
        try:
            found = await steps.price_offers(provider, left)
        except ActivityError as err:
            if is_cancelled_exception(err):
                raise
            trouble = words_of(err)
            break
        points += [replace(each, at=at, span=order.every) for each in found.points]
        offers, left = offers + found.offers, found.left
        if left and order.pause:
            await workflow.sleep(order.pause)
    answered = left != gpus or not gpus
    about = f"no answer about {', '.join(left)}: " if trouble and answered else ""
    asking = Asking(
        provider=provider,
        source=PriceSource.SURVEY,
        at=at,
        span=order.every,
        answered=answered,
        offers=offers,
        detail=f"{about}{trouble}",
    )
    return _Seen(asking, tuple(sorted(points, key=lambda each: each.region != "")))


async def _read_feed(provider: str, gpus: tuple[str, ...], since: datetime, at: datetime) -> RecordedPrices | None:
    """A refusal is remembered as well, so that it is not asked for again before tomorrow."""
    done, trouble, seen = RecordedPrices(), "", 0
    for gpu in gpus:
        try:
            told = await steps.read_feed(provider, gpu, since)
        except ActivityError as err:
            if is_cancelled_exception(err):
                raise
            trouble = words_of(err)
            break
        if told is None:
            return None
        seen += len(told)
        done = _sum(done, await steps.record_prices(RecordPricesInput(points=tuple(told))))
    asking = Asking(
        provider=provider,
        source=PriceSource.FEED,
        at=at,
        span=timedelta(hours=1),
        answered=not trouble,
        offers=seen,
        detail=trouble,
    )
    await steps.record_prices(RecordPricesInput(points=(), asking=asking))
    return done


def _sum(one: RecordedPrices, other: RecordedPrices) -> RecordedPrices:
    return RecordedPrices(
        new=one.new + other.new,
        changed=one.changed + other.changed,
        known=one.known + other.known,
        kept=one.kept + other.kept,
        held=one.held + other.held,
        confirmed=one.confirmed + other.confirmed,
    )


def _told(at: datetime, lines: list[SurveyLine]) -> str:
    return "\n".join(
        [f"prices at {at:%Y-%m-%d %H:%M} UTC", *(f"- `{each.provider}`: {_words(each)}" for each in lines)]
    )


def _words(line: SurveyLine) -> str:
    if not line.answered:
        return f"**no answer**, a gap: {line.detail}"
    done = line.recorded
    held = f", {done.held} held back as too wild" if done.held else ""
    feed = "" if line.feed is None else f"; its own history: {line.feed.new} new"
    more = f"; {line.detail}" if line.detail else ""
    return f"{line.offers} offers, {done.new} points new, {done.changed} changed{held}{feed}{more}"
