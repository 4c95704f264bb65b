"""Price histories as other people publish them, and as Holdfast writes them: CSV, told apart by their columns.

Holdfast's own: `time, gpu, provider, region, kind, price, offers`; the price in USD per GPU and hour. The others are
what docs/market.md names. A name that ends in .gz is unpacked while it is read.
"""

import csv
import gzip
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from holdfast.market.errors import BadHistory, NoHistory
from holdfast.market.series import NO_PRICE, Series, SeriesKey, is_price, on_grid

_MEND: Final = "mend the line, or take it out"
Row = Mapping[str, str]
Point = tuple[SeriesKey, datetime, float]
OWN: Final = ("time", "gpu", "provider", "region", "kind", "price", "offers")
_PRIME: Final = ("min", "p10", "median", "mean")
_BIDDING_ENDED: Final = datetime(2017, 11, 28, tzinfo=UTC)
"""Until then AWS sold spot machines by auction; since then it sets a smooth price."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """One kind of file: the columns that tell it, how a row becomes points, and the group that its series belong to."""

    name: str
    columns: frozenset[str]
    points: Callable[[Row], Iterator[Point]]
    group: Callable[[SeriesKey, datetime], str]
    holds: bool = False  # a price stands until the next event
    cheapest: bool = False  # several rows of one moment are variants; the least price counts


def read(path: Path, *, unknown: Callable[[Path], None] = lambda _path: None) -> list[Series]:
    """All series of a file, or of the files of a folder; those of other kinds in a folder are told to `unknown`.

    Raises:
        NoHistory: there is no such file, or no price in it.
        BadHistory: a file cannot be read, or is of no known kind.
    """
    if path.is_dir():
        found: list[Series] = []
        for each in sorted([*path.glob("*.csv"), *path.glob("*.csv.gz")]):
            series = _read_file(each)
            if series is None:
                unknown(each)
            found += series or []
    else:
        found = _read_one(path)
    if not found:
        raise NoHistory(f"{path} holds no price history", remedy="docs/market.md names the formats")
    return found


def _read_one(path: Path) -> list[Series]:
    if not path.exists():
        raise NoHistory(f"there is no file {path}", remedy="give the path of a CSV file, or of a folder of them")
    found = _read_file(path)
    if found is None:
        why = f"{path} is of no kind that is known here"
        raise BadHistory(
            why, remedy=f"its first line should name the columns {', '.join(OWN)}; docs/market.md has others"
        )
    return found


def _read_file(path: Path) -> list[Series] | None:
    try:
        text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    except (OSError, UnicodeDecodeError, EOFError) as err:
        raise BadHistory(f"{path} cannot be read: {err}", remedy="it should be CSV in UTF-8") from err
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = frozenset(rows.fieldnames or ())
        kind = next((each for each in FORMATS if each.columns <= columns), None)
        return None if kind is None else _gather(path, kind, rows)
    except csv.Error as err:
        raise BadHistory(f"{path}, line {rows.line_num}: {err}", remedy=_MEND) from err


def _gather(path: Path, kind: Format, rows: "csv.DictReader[str]") -> list[Series]:
    points: dict[SeriesKey, dict[datetime, float]] = defaultdict(dict)
    for row in rows:
        if None in row.values():
            raise BadHistory(f"{path}, line {rows.line_num}: it has fewer columns than the first line", remedy=_MEND)
        try:
            for key, moment, price in kind.points(row):
                known = points[key]
                known[moment] = min(price, known[moment]) if kind.cheapest and moment in known else price
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            raise BadHistory(f"{path}, line {rows.line_num}: {err}", remedy=_MEND) from err
    return [
        on_grid(key, known.items(), group=kind.group(key, min(known)), holds=kind.holds)
        for key, known in sorted(points.items())
    ]


def moment_of(text: str) -> datetime:
    """A time in ISO 8601; without a zone it is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text.strip())
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _priced(row: Row, moment: str, columns: Mapping[str, str], key: Callable[[str], SeriesKey]) -> Iterator[Point]:
    """The points of a row with several prices; a price that is left out is no point."""
    for column, measure in columns.items():
        if text := row[column].strip():
            try:
                price = float(text)
            except ValueError:
                raise ValueError(f"{column} is no number: '{text}'") from None
            if not is_price(price):
                raise ValueError(f"{column} is {text}: {NO_PRICE}")
            yield key(measure), moment_of(row[moment]), price


def _own(row: Row) -> Iterator[Point]:
    def key(measure: str) -> SeriesKey:
        return SeriesKey(
            gpu=_said(row, "gpu"), provider=row["provider"], region=row["region"], kind=row["kind"], measure=measure
        )

    yield from _priced(row, "time", {"price": "min"}, key)


def _said(row: Row, column: str) -> str:
    if not (text := row[column].strip()):
        raise ValueError(f"{column} is empty")
    return text


def _vast(row: Row) -> Iterator[Point]:
    provider = row["provider"]
    columns = {"min_price_hr": "min", "median_price_hr": "median"}
    yield from _priced(
        row, "timestamp", columns, lambda measure: SeriesKey(gpu=row["gpu"], provider=provider, measure=measure)
    )


def _prime_stats(row: Row) -> Iterator[Point]:
    columns = {f"usd_gpu_hr_{each}": each for each in _PRIME}
    yield from _priced(
        row, "timestamp", columns, lambda measure: SeriesKey(gpu=row["gpu"], provider="prime", measure=measure)
    )


def _prime_counts(row: Row) -> Iterator[Point]:
    if row["gpus"] in ("1", "8"):
        key = SeriesKey(gpu=row["gpu"], provider="prime", measure=f"min of {row['gpus']}x")
        yield from _priced(row, "timestamp", {"min_usd_gpu_hr": key.measure}, lambda _measure: key)


def _aws(row: Row) -> Iterator[Point]:
    # Captures are months apart, and a gap between two of them is no price that held.
    kind = " ".join(each for each in ("spot", row.get("capture", "")) if each)
    key = SeriesKey(gpu=row["instance_type"], provider="aws", region=row["zone"], kind=kind)
    yield from _priced(row, "timestamp", {"usd_hr": "min"}, lambda _measure: key)


def _cross(row: Row) -> Iterator[Point]:
    if row["gpu_count"] == "1":  # rows of several GPUs sometimes hold the price of the whole machine
        key = SeriesKey(gpu=row["gpu_model"], provider=row["provider"], region=row["region"], kind=row["rental_type"])
        yield from _priced(row, "date", {"price_min_usd": "min"}, lambda _measure: key)


def _rental(row: Row) -> Iterator[Point]:
    key = SeriesKey(gpu=row["gpu"], provider=row["provider"], kind=row["kind"])
    yield from _priced(row, "date", {"usd_hr": "min"}, lambda _measure: key)


def _named(name: str) -> Callable[[SeriesKey, datetime], str]:
    return lambda _key, _first: name


FORMATS: Final = (
    Format(
        name="holdfast", columns=frozenset(OWN) - {"offers"}, points=_own,
        group=lambda key, _first: key.provider or "own",
    ),
    Format(
        name="vast, runpod, lambda by the hour",
        columns=frozenset({"timestamp", "provider", "gpu", "min_price_hr", "median_price_hr"}),
        points=_vast,
        group=lambda key, _first: "vast" if key.provider.startswith("Vast") else "posted",
        cheapest=True,
    ),
    Format(
        name="prime intellect, statistics",
        columns=frozenset({"timestamp", "gpu", *(f"usd_gpu_hr_{each}" for each in _PRIME)}),
        points=_prime_stats,
        group=_named("pi"),
    ),
    Format(
        name="prime intellect, by number of GPUs",
        columns=frozenset({"timestamp", "gpu", "gpus", "min_usd_gpu_hr"}),
        points=_prime_counts,
        group=_named("pi"),
    ),
    Format(
        name="aws spot events",
        columns=frozenset({"zone", "instance_type", "timestamp", "usd_hr"}),
        points=_aws,
        group=lambda _key, first: "auction" if first < _BIDDING_ENDED else "aws",
        holds=True,
    ),
    Format(
        name="many providers by the day",
        columns=frozenset({"date", "provider", "gpu_model", "gpu_count", "region", "rental_type", "price_min_usd"}),
        points=_cross,
        group=_named("daily"),
        cheapest=True,
    ),
    Format(
        name="gpurentalprices.com by the day",
        columns=frozenset({"date", "provider", "gpu", "usd_hr", "kind"}),
        points=_rental,
        group=_named("daily"),
        cheapest=True,
    ),
)  # fmt: skip


def chosen(series: Iterable[Series], groups: Iterable[str]) -> list[Series]:
    """The series of some groups; all where none is named."""
    wanted = set(groups)
    return [each for each in series if not wanted or each.group in wanted]
