"""What a price will be, hour by hour, how sure that is, who says so, and how good they were at it so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from holdfast.contracts.forecasts import ForecastAnswer
from holdfast.market.candidates import LAST_PRICE, LEADS, Field, Floats, candidates
from holdfast.market.champion import GAIN, Record, record
from holdfast.market.intervals import LEVELS, intervals
from holdfast.market.series import HOUR, Prices, Series, SeriesKey, carried

LONGEST: Final = int(LEADS[-1])
"""Hours ahead."""
ENOUGH: Final = 24
"""Hours with a price, in the last four weeks, below which nothing is said."""
FRESH: Final = 168
"""A price older than so many hours is no start for a forecast."""
_RECENT: Final = 48
_BEYOND: Final = 0.35
_JUDGED: Final = 12


@dataclass(frozen=True, kw_only=True)
class ForecastHour:
    """One hour of a forecast: USD an hour, and the ranges that hold with 80 % and 95 %."""

    at: datetime
    price: float
    low80: float
    high80: float
    low95: float
    high95: float


@dataclass(frozen=True, kw_only=True)
class LeadSkill:
    """Who is in charge at one lead, and the record of this series' own forecasts there.

    `own_error` and `last_error` are mean errors in USD, of what was said and of the last price, over `judged` hours.
    `skill` is the share of the last price's error that was saved; `gain` what the one in charge would have saved.
    """

    lead: int
    model: str
    gain: float
    judged: int
    own_error: float | None
    last_error: float | None
    skill: float | None


@dataclass(frozen=True, kw_only=True)
class PriceForecast:
    """The answer for one series. Without enough data `hours` and `skills` are empty, and `why` says what is missing."""

    key: SeriesKey
    at: datetime
    answer: ForecastAnswer
    why: str
    last: float | None
    hours: tuple[ForecastHour, ...] = ()
    skills: tuple[LeadSkill, ...] = ()
    drift: str = ""


def forecast(series: Series, *, hours: int = LONGEST) -> PriceForecast:
    """What follows the last cell of a series, `hours` (1 to `LONGEST`) ahead; only the last four weeks are used."""
    window = series.until(len(series.prices) - 1)
    seen = np.flatnonzero(np.isfinite(window.prices))
    last = float(window.prices[seen[-1]]) if len(seen) else None
    if last is None or len(seen) < ENOUGH or len(window.prices) - seen[-1] > FRESH:
        why = _missing(seen, len(window.prices))
        return PriceForecast(key=series.key, at=window.last, answer=ForecastAnswer.NOT_ENOUGH, why=why, last=last)
    prices = window.prices[seen[0] :]
    field = candidates(prices)
    judged = record(field)
    skills = tuple(_skill(field, judged, k) for k in range(len(LEADS)))
    led = [each for each in skills if each.model != LAST_PRICE]
    return PriceForecast(
        key=series.key,
        at=window.last,
        answer=ForecastAnswer.SKILL if led else ForecastAnswer.NO_SKILL,
        why=_why(led, prices),
        last=last,
        hours=_hours(window.last, last, judged, field.log, hours),
        skills=skills,
        drift=_drift(judged),
    )


def _missing(seen: NDArray[np.intp], hours: int) -> str:
    if not len(seen):
        return "no price was seen in the last four weeks"
    if len(seen) < ENOUGH:
        return f"prices of {len(seen)} hours in the last four weeks; {ENOUGH} are needed"
    return f"the last price is {hours - seen[-1]} hours old; at most {FRESH} are allowed"


def _why(led: list[LeadSkill], prices: Prices) -> str:
    if not led:
        known = prices[np.isfinite(prices)]
        if (known == known[0]).all():
            return "the price has not moved: the last price stands"
        return f"nothing beats the last price by {GAIN:.0%} or more: the last price stands"
    best = best_of(led)
    if best.skill is None or best.skill <= 0:
        return f"at {best.lead} h the {best.model} leads since lately; what was forecast until then was no better"
    return f"at {best.lead} h the forecasts erred {best.skill:.0%} less than the last price; {best.model} leads"


def best_of(led: Sequence[LeadSkill]) -> LeadSkill:
    """Where the forecasts beat the last price most, of leads at which another model is in charge."""
    return max(led, key=lambda each: -1.0 if each.skill is None else each.skill)


def _skill(field: Field, judged: Record, k: int) -> LeadSkill:
    own, last = judged.own_error[:, k], judged.last_error[:, k]
    known = np.isfinite(own) & np.isfinite(last)
    many = int(known.sum())
    own_error, last_error = (float(own[known].mean()), float(last[known].mean())) if many else (None, None)
    leader = int(judged.chosen[-1, k])
    return LeadSkill(
        lead=int(LEADS[k]),
        model=field.names[leader],
        gain=float(judged.gain[leader, k]) if leader else 0.0,
        judged=many,
        own_error=own_error,
        last_error=last_error,
        skill=None if own_error is None or not last_error else 1 - own_error / last_error,
    )


def _hours(at: datetime, last: float, judged: Record, log: Floats, hours: int) -> tuple[ForecastHour, ...]:
    ahead = np.arange(1, hours + 1)
    start = carried(log)[-1]
    edges = intervals(judged.path[-1], judged.missed, log)
    (low80, high80), (low95, high95) = edges[0], edges[1]
    ways = (judged.path[-1], low80, high80, low95, high95)
    # As factors of the last price, so that a path that stands still is that price to the last digit.
    prices = [(last * np.exp(np.interp(ahead, LEADS, way - start))).tolist() for way in ways]
    return tuple(
        ForecastHour(at=at + (lead + 1) * HOUR, price=p, low80=a, high80=b, low95=c, high95=d)
        for lead, (p, a, b, c, d) in enumerate(zip(*prices, strict=True))
    )


def _drift(judged: Record) -> str:
    """Whether the last two days were worse than the record foretold: too many errors beyond their 95 % range."""
    for k in (int(np.flatnonzero(lead == LEADS)[0]) for lead in (6, 24)):
        missed = judged.missed[:, k]
        before, now = missed[:-_RECENT], missed[-_RECENT:]
        before, now = before[np.isfinite(before)], now[np.isfinite(now)]
        if len(before) < 2 * _JUDGED or len(now) < _JUDGED:
            continue
        low, high = np.quantile(before, [(1 - LEVELS[1]) / 2, (1 + LEVELS[1]) / 2])
        beyond = float(((now < low) | (now > high)).mean())
        if beyond >= _BEYOND:
            return f"{beyond:.0%} of the last two days' errors at {LEADS[k]} h lie outside their 95 % range"
    return ""
