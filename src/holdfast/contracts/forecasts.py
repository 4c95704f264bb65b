"""Forecasts of prices on record: made after a survey on the workers for CPU work, one for each series.

A series here is what one provider asks for one kind of GPU in all its regions together, by the hour. Prices are US
dollars per hour and GPU.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from holdfast.contracts.machines import Terms


class ForecastAnswer(StrEnum):
    """What kind of answer a forecast is."""

    SKILL = "skill"
    NO_SKILL = "no skill"
    NOT_ENOUGH = "not enough data"


@dataclass(frozen=True, kw_only=True)
class ForecastKey:
    """What a forecast is of."""

    gpu: str
    provider: str
    region: str = ""  # "": all of the provider together
    kind: Terms
    measure: str = "min"  # the cheapest offer of each hour

    def __str__(self) -> str:
        return f"{self.gpu} at {self.provider}, {self.kind}"


@dataclass(frozen=True, kw_only=True)
class HourlyPrices:
    """A series by the hour, at most four weeks of it, in few bytes: most prices stand still for hours."""

    key: ForecastKey
    first: datetime  # the end of the first hour
    runs: tuple[tuple[int, float | None], ...]  # for so many hours this price; None: nobody looked


@dataclass(frozen=True, kw_only=True)
class LeadForecast:
    """What is expected so many hours ahead, and who says so."""

    lead: int  # hours
    price: float
    low80: float
    high80: float
    low95: float
    high95: float
    model: str
    skill: float | None  # the share of the last price's error that was saved so far; None: not judged yet


@dataclass(frozen=True, kw_only=True)
class RecordedForecast:
    """A forecast as it is on record. Without enough data it has no leads, and `why` says what is missing."""

    key: ForecastKey
    made_at: datetime
    known_until: datetime  # the end of the last hour that it stands on
    answer: ForecastAnswer
    why: str
    last: float | None  # the price at the end; None: there was none
    leads: tuple[LeadForecast, ...] = ()  # the path is straight between two of them, in the log of the price
    alarm: str = ""  # the market has broken with its past, and how that shows; "": it has not


@dataclass(frozen=True, kw_only=True)
class PriceAhead:
    """How much dearer a kind of machine is expected to be over a usual stay than it is now, as a share."""

    provider: str
    gpu: str
    kind: Terms
    change: float


@dataclass(frozen=True, kw_only=True)
class PlanRefitsInput:
    at: datetime  # the bucket that was surveyed last


@dataclass(frozen=True, kw_only=True)
class ReadHourlyInput:
    keys: tuple[ForecastKey, ...]


@dataclass(frozen=True, kw_only=True)
class FitInput:
    histories: tuple[HourlyPrices, ...]


@dataclass(frozen=True, kw_only=True)
class FitTrouble:
    """A series that could not be forecast."""

    key: ForecastKey
    reason: str


@dataclass(frozen=True, kw_only=True)
class Fitted:
    forecasts: tuple[RecordedForecast, ...] = ()
    troubles: tuple[FitTrouble, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ListForecastsInput:
    """Ask for forecasts on record."""

    gpus: tuple[str, ...] = ()  # as they are on record; none: all


@dataclass(frozen=True, kw_only=True)
class Refits:
    """How the forecasts after a survey went."""

    due: int  # series with a newer price than their forecast
    fitted: int = 0
    skilled: int = 0  # of those, where something beats the last price
    detail: str = ""  # which were not fitted, and why
