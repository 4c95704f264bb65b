"""Past prices: Vast.ai's feed of what GPUs were rented for.

The feed is for accounts that rent machines out, too. A tenant's key is refused, or told that it needs a machine.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from holdfast.providers.base import PricePoint
from holdfast.providers.errors import CredentialsRefused, ProviderUnavailable
from holdfast.providers.vast.client import VastClient
from holdfast.providers.vast.endpoints import PRICES

FINEST = timedelta(hours=1)
POINTS = 500
"""About as many as one answer is asked for; a long time is told in longer steps."""


async def history(client: VastClient, gpu: str, since: datetime, *, now: datetime) -> list[PricePoint]:
    """The prices paid for one GPU since then, oldest first; empty when the feed does not know the GPU.

    Raises:
        CredentialsRefused: the account rents nothing out, and so may not read the feed.
        ProviderUnavailable: the answer has not the promised form.
    """
    name = " ".join(gpu.replace("_", " ").split())
    step = max(FINEST, (now - since) / POINTS)
    params = {
        "gpu_name": name,
        "verified": "yes",
        "start": str(int(since.timestamp())),
        "end": str(int(now.timestamp())),
        "step": str(int(step.total_seconds())),
    }
    body = await client.call(PRICES, params=params)
    if isinstance(body, dict) and body.get("needs_machine"):
        raise CredentialsRefused("Vast.ai tells past prices only to accounts that rent machines out")
    gpus = body.get("gpus") if isinstance(body, dict) else None
    if not isinstance(gpus, dict):
        raise ProviderUnavailable("Vast.ai answered a question for past prices without any GPU")
    found = next((told for known, told in gpus.items() if str(known).casefold() == name.casefold()), None)
    points = [] if found is None else _points(found, gpu=name)
    return sorted((point for point in points if point.at >= since), key=lambda point: point.at)


def _points(told: Any, *, gpu: str) -> Iterator[PricePoint]:
    series = told.get("pricing") if isinstance(told, dict) else None
    times = series.get("timestamps") if isinstance(series, dict) else None
    if not isinstance(series, dict) or not isinstance(times, list):
        raise ProviderUnavailable(f"Vast.ai told the past prices of {gpu} in a form that we cannot read")
    for place, second in enumerate(times):
        # Where nobody rented, what was asked for is the price.
        for kind in ("rented", "avail"):
            median = _price(series, f"{kind}_median", place)
            if median is not None:
                yield PricePoint(
                    at=_moment(second),
                    gpu=gpu,
                    hourly=median,
                    low=_price(series, f"{kind}_p10", place),
                    high=_price(series, f"{kind}_p90", place),
                )
                break


def _price(series: Mapping[str, Any], name: str, place: int) -> Decimal | None:
    column = series.get(name)
    value = column[place] if isinstance(column, list) and place < len(column) else None
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        return None
    return price if price.is_finite() and price > 0 else None


def _moment(second: Any) -> datetime:
    try:
        return datetime.fromtimestamp(second, UTC)
    except (TypeError, ValueError, OverflowError) as odd:
        raise ProviderUnavailable(f"Vast.ai dates a past price {second!r}") from odd
