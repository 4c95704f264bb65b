"""The kinds of files that price histories come in, told apart by their columns, and what a line of each says."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from holdfast.contracts.machines import Terms
from holdfast.policy.gpu_names import tidied

A_DAY = timedelta(days=1)
DEAREST = Decimal(1000)
"""USD per hour and GPU; what is above is no price of one."""
OWN_COLUMNS: Final = ("time", "gpu", "provider", "region", "kind", "price", "offers")
MORE_COLUMNS: Final = ("minimum", "p10", "p25", "p75", "p90")
"""What an export adds, and an import reads where it is there."""
_KINDS: Final = {
    Terms.ON_DEMAND: ("on_demand", "on-demand", "ondemand", "on demand", "secure", "firm"),
    Terms.INTERRUPTIBLE: ("spot", "interruptible", "bid", "community", "preemptible"),
}
KIND_WORDS: Final = {word: terms for terms, words in _KINDS.items() for word in words}
_NO_MACHINES: Final = ("serverless", "reserved")
_PROVIDERS: Final = {"vast.ai": "vast", "vastai": "vast", "lambda labs": "lambda", "google": "gcp"}
Row = Mapping[str, str]


class BadLine(Exception):
    """A line says nothing that could be used; the message says why."""

    kind = "broken"


class NoMachine(BadLine):
    """What has this price is no machine that could be rented by the hour."""

    kind = "no machine"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a line says, before it is put into a bucket."""

    line: int
    at: datetime
    provider: str
    gpu: str
    region: str
    kind: Terms
    minimum: Decimal
    median: Decimal
    p10: Decimal | None = None
    p25: Decimal | None = None
    p75: Decimal | None = None
    p90: Decimal | None = None
    offers: int | None = None
    gpus: int = 1  # in one machine: a price that may be the whole machine's


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One kind of file."""

    name: str
    needs: frozenset[str]  # the columns that tell it
    drafts: Callable[[int, Row], Iterator[Draft]]
    variants: bool = False  # several lines of one moment are several offers, and are taken together
    daily: bool = False


def shape_of(columns: frozenset[str]) -> Shape | None:
    """The first kind whose columns are all there."""
    return next((shape for shape in SHAPES if shape.needs <= columns), None)


def moment(text: str) -> datetime:
    """A time in ISO 8601, or in seconds since 1970; UTC where no zone is named. Raises `BadLine`."""
    try:
        if text.replace(".", "", 1).isdigit() and len(text) > 8:
            return datetime.fromtimestamp(float(text), UTC)
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise BadLine(f"{text!r} is no time") from None


def price(row: Row, column: str) -> Decimal:
    """A price. Raises `BadLine`."""
    text = (row.get(column) or "").strip()
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise BadLine(f"{column} {text!r} is no price") from None
    if not found.is_finite() or not 0 < found <= DEAREST:
        raise BadLine(f"{column} {text} is no price of one GPU for an hour")
    return found


def _maybe(row: Row, column: str) -> Decimal | None:
    return price(row, column) if (row.get(column) or "").strip() else None


def _count(row: Row, column: str) -> int | None:
    text = (row.get(column) or "").strip()
    try:
        return int(float(text)) if text else None
    except (ValueError, OverflowError):
        raise BadLine(f"{column} {text!r} is no number") from None


def _word(row: Row, column: str) -> str:
    text = (row.get(column) or "").strip()
    if not text:
        raise BadLine(f"{column} is empty")
    return text


def _provider(row: Row) -> str:
    return provider_name(_word(row, "provider"))


def provider_name(text: str) -> str:
    """As it is on record, whatever a file calls it: Vast.ai is `vast`."""
    name = text.strip().lower()
    return _PROVIDERS.get(name, name)


def kind(text: str) -> Terms:
    """Raises `BadLine` for what is neither on demand nor interruptible."""
    found = KIND_WORDS.get(text.strip().lower())
    if text.strip().lower() in _NO_MACHINES:
        raise NoMachine(f"{text} is no machine for rent")
    if found is None:
        raise BadLine(f"{text!r} is neither on_demand nor spot")
    return found


def _region(text: str | None) -> str:
    """A country's code, or what else the file says; everywhere is nowhere in particular."""
    found = (text or "").strip()
    return "" if found.lower() in ("", "global", "all", "any", "*") else found.upper() if len(found) == 2 else found


def _own(line: int, row: Row) -> Iterator[Draft]:
    median = price(row, "price")
    yield Draft(
        line=line,
        at=moment(_word(row, "time")),
        provider=_provider(row),
        gpu=tidied(_word(row, "gpu")),
        region=_region(row.get("region")),
        kind=kind(_word(row, "kind")),
        minimum=_maybe(row, "minimum") or median,
        median=median,
        p10=_maybe(row, "p10"),
        p25=_maybe(row, "p25"),
        p75=_maybe(row, "p75"),
        p90=_maybe(row, "p90"),
        offers=_count(row, "offers"),
    )


def _aggregated(line: int, row: Row) -> Iterator[Draft]:
    """Vast.ai, RunPod and Lambda, every hour or two: what is on demand, and where it is told, what is not."""
    known = {
        "line": line,
        "at": moment(_word(row, "timestamp")),
        "provider": _provider(row),
        "gpu": tidied(_word(row, "gpu")),
        "region": "",
    }
    told, bid = _maybe(row, "on_demand_hr"), _maybe(row, "spot_price_hr")
    if told is not None:
        yield Draft(**known, kind=Terms.ON_DEMAND, minimum=told, median=told, offers=_count(row, "num_offers"))  # type: ignore[arg-type]
        if bid is not None:
            yield Draft(**known, kind=Terms.INTERRUPTIBLE, minimum=bid, median=bid)  # type: ignore[arg-type]
        return
    yield Draft(
        **known,  # type: ignore[arg-type]
        kind=Terms.ON_DEMAND,
        minimum=price(row, "min_price_hr"),
        median=price(row, "median_price_hr"),
        offers=_count(row, "num_offers"),
    )


def _statistics(line: int, row: Row) -> Iterator[Draft]:
    """Prime Intellect, every half hour, over all offers of its marketplace."""
    stem = "usd_gpu_hr_"
    yield Draft(
        line=line,
        at=moment(_word(row, "timestamp")),
        provider="primeintellect",
        gpu=tidied(_word(row, "gpu")),
        region="",
        kind=Terms.ON_DEMAND,
        minimum=price(row, f"{stem}min"),
        median=price(row, f"{stem}median"),
        p10=_maybe(row, f"{stem}p10"),
        p25=_maybe(row, f"{stem}p25"),
        p75=_maybe(row, f"{stem}p75"),
        p90=_maybe(row, f"{stem}p90"),
        offers=_count(row, "offers_total"),
    )


def _daily_list(line: int, row: Row) -> Iterator[Draft]:
    """List prices of many providers, day by day."""
    told = price(row, "usd_hr")
    yield Draft(
        line=line,
        at=moment(_word(row, "date")),
        provider=_provider(row),
        gpu=tidied(_word(row, "gpu")),
        region="",
        kind=kind(_word(row, "kind")),
        minimum=told,
        median=told,
    )


def _cross_provider(line: int, row: Row) -> Iterator[Draft]:
    """Prices of many providers, day by day and by the number of GPUs; some are of the whole machine."""
    yield Draft(
        line=line,
        at=moment(_word(row, "date")),
        provider=_provider(row),
        gpu=tidied(_word(row, "gpu_model")),
        region=_region(row.get("region")),
        kind=kind(_word(row, "rental_type")),
        minimum=price(row, "price_min_usd"),
        median=price(row, "price_median_usd"),
        offers=_count(row, "n_offers"),
        gpus=_count(row, "gpu_count") or 1,
    )


SHAPES: Final = (
    Shape(name="holdfast", needs=frozenset(OWN_COLUMNS) - {"region", "offers"}, drafts=_own),
    Shape(
        name="vast_runpod_lambda_hourly",
        needs=frozenset(("timestamp", "provider", "gpu", "min_price_hr", "median_price_hr", "on_demand_hr")),
        drafts=_aggregated,
        variants=True,
    ),
    Shape(
        name="prime_intellect_stats",
        needs=frozenset(("timestamp", "gpu", "usd_gpu_hr_min", "usd_gpu_hr_median")),
        drafts=_statistics,
    ),
    Shape(
        name="gpurentalprices_daily",
        needs=frozenset(("date", "provider", "gpu", "usd_hr", "kind")),
        drafts=_daily_list,
        variants=True,
        daily=True,
    ),
    Shape(
        name="cross_provider_daily",
        needs=frozenset(("date", "provider", "gpu_model", "gpu_count", "rental_type", "price_median_usd")),
        drafts=_cross_provider,
        variants=True,
        daily=True,
    ),
)
