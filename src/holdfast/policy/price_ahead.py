"""What a forecast on record means for a machine that is rented now."""

import math
from datetime import timedelta
from itertools import pairwise
from typing import Final

from holdfast.contracts.forecasts import ForecastAnswer, RecordedForecast

USUAL_STAY: Final = timedelta(hours=8)
"""How long a machine is usually kept."""
_HOUR: Final = timedelta(hours=1)


def expected_change(known: RecordedForecast, stay: timedelta = USUAL_STAY) -> float:
    """How much dearer the mean of the hours of a stay is expected to be than the last price, as a share.

    0 where nothing is known better than the last price: without skill, and while the market breaks with its past.
    """
    if known.answer is not ForecastAnswer.SKILL or known.alarm or not known.last or not known.leads:
        return 0.0
    hours = max(1, round(stay / _HOUR))
    path = [(0, 0.0), *((each.lead, math.log(each.price / known.last)) for each in known.leads)]
    change = sum(math.exp(_at(path, hour)) for hour in range(1, hours + 1)) / hours - 1
    return round(change, 4) if math.isfinite(change) else 0.0


def _at(path: list[tuple[int, float]], hour: int) -> float:
    for (since, low), (until, high) in pairwise(path):
        if hour <= until:
            return low + (high - low) * (hour - since) / (until - since)
    return path[-1][1]
