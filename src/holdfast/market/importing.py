"""Read a price history from a CSV file: what can be used as points, and what cannot, line by line, with the reason.

Nothing is repaired. A line that is broken, from the future, out of its place in time, or a second time the same is
refused; lines of one hour are folded into one point, the last price of the hour.
"""

import csv
import gzip
import io
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median_low

from holdfast.contracts.machines import Terms
from holdfast.contracts.market import MarketPoint, PriceSource
from holdfast.market.shapes import MORE_COLUMNS, OWN_COLUMNS, SHAPES, BadLine, Draft, Shape, shape_of
from holdfast.policy.pricing import A_DAY, bucket

AN_HOUR = timedelta(hours=1)
OLDEST = datetime(2006, 1, 1, tzinfo=UTC)
"""Nobody rented out machines by the hour before that."""
_IN_ORDER = 0.8
"""A file is in order of time if so much of it is; in another there are no jumps to be found."""
_WHOLE_MACHINE = 3
"""Times the price of one GPU: then it is that of all GPUs of the machine."""
_Series = tuple[str, str, str, Terms]
Told = Callable[[int, int], None]


class NotReadable(Exception):
    """A file is no price history that could be read; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A line that was not used. Lines count from 1, which is the header."""

    line: int
    kind: str  # broken, no machine, future, clock jump, duplicate, contradiction, whole machine
    reason: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a file has."""

    shape: str
    lines: int  # without the header
    points: tuple[MarketPoint, ...]
    folded: int  # lines that share their bucket with a later one, or that are variants of one point
    refused: tuple[Refusal, ...]  # in order

    def reasons(self) -> dict[str, int]:
        """How many lines were refused, by kind."""
        return dict(Counter(each.kind for each in self.refused))


def read(path: Path, *, now: datetime, told: Told = lambda _done, _all: None) -> Reading:
    """Read a file; one that ends in .gz is unpacked. `told` hears how many bytes of how many are read.

    Raises:
        NotReadable: it is not there, no text, or has columns that nobody knows.
    """
    text = _text(path)
    rows = csv.DictReader(io.StringIO(text, newline=""))
    columns = frozenset(each.strip() for each in rows.fieldnames or () if each)
    shape = shape_of(columns)
    if shape is None:
        wanted = ", ".join(OWN_COLUMNS)
        raise NotReadable(f"{path} has the columns {', '.join(sorted(columns)) or 'of nothing'}; wanted are {wanted}")
    refused: list[Refusal] = []
    drafts: list[Draft] = []
    line, lines = 1, 0
    for line, row in _numbered(rows, path):
        lines += 1
        if lines % 500 == 0:
            told(line, text.count("\n"))
        try:
            drafts += _checked(line, row, shape, now)
        except BadLine as err:
            refused.append(Refusal(line=line, kind=err.kind, reason=str(err)))
    kept = _without_whole_machines(drafts, refused)
    points: list[MarketPoint] = []
    for series in _by_series(kept).values():
        points += _points(_once(_in_order(series, refused), shape, refused), shape)
    used = sum(1 for _ in kept) - sum(
        1 for each in refused if each.kind in ("clock jump", "duplicate", "contradiction")
    )
    return Reading(
        shape=shape.name,
        lines=lines,
        points=tuple(points),
        folded=max(used - len(points), 0),
        refused=tuple(sorted(refused, key=lambda each: each.line)),
    )


class _Future(BadLine):
    """A time that has not come."""

    kind = "future"


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
        text = raw.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as err:
        raise NotReadable(f"{path} cannot be read: {err}") from err
    if "\0" in text:
        raise NotReadable(f"{path} is no text")
    return text


def _numbered(rows: "csv.DictReader[str]", path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        for row in rows:
            yield rows.line_num, {(key or "").strip(): value for key, value in row.items() if isinstance(value, str)}
    except csv.Error as err:
        raise NotReadable(f"{path}, line {rows.line_num}: {err}") from err


def _checked(line: int, row: dict[str, str], shape: Shape, now: datetime) -> list[Draft]:
    found = list(shape.drafts(line, row))
    for draft in found:
        if draft.at > now + AN_HOUR:
            raise _Future(f"{draft.at:%Y-%m-%d %H:%M} has not come yet")
        if draft.at < OLDEST:
            raise BadLine(f"{draft.at.date()} is before there was such a market")
    return found


def _key(draft: Draft) -> _Series:
    return draft.gpu, draft.provider, draft.region, draft.kind


def _by_series(drafts: Iterable[Draft]) -> dict[_Series, list[Draft]]:
    found: dict[_Series, list[Draft]] = defaultdict(list)
    for draft in drafts:
        found[_key(draft)].append(draft)
    return found


# --- what a line cannot say of itself ------------------------------------------------------------------------------


def _without_whole_machines(drafts: Sequence[Draft], refused: list[Refusal]) -> list[Draft]:
    """A machine with several GPUs, at several times the price of one: that is the price of the machine."""
    singles: dict[str, list[Decimal]] = defaultdict(list)
    for draft in drafts:
        if draft.gpus == 1 and draft.kind is Terms.ON_DEMAND:
            singles[draft.gpu].append(draft.median)
    usual = {gpu: median_low(prices) for gpu, prices in singles.items()}
    kept = []
    for draft in drafts:
        most = usual.get(draft.gpu)
        if draft.gpus > 1 and most is not None and draft.median > _WHOLE_MACHINE * most:
            reason = f"{draft.median} for one of {draft.gpus} GPUs, where one alone costs {most}: the machine's price"
            refused.append(Refusal(line=draft.line, kind="whole machine", reason=reason))
        else:
            kept.append(draft)
    return kept


def _in_order(series: list[Draft], refused: list[Refusal]) -> list[Draft]:
    """In order of time. If the file is, what stands elsewhere than its time says had a clock that jumped."""
    forward, backward = _longest_rise(series), _longest_rise(series[::-1])
    best = set(forward if len(forward) >= len(backward) else [len(series) - 1 - each for each in backward])
    if len(best) >= _IN_ORDER * len(series):
        for place, draft in enumerate(series):
            if place not in best:
                reason = f"{draft.at:%Y-%m-%d %H:%M:%S} stands among lines of another time"
                refused.append(Refusal(line=draft.line, kind="clock jump", reason=reason))
        series = [draft for place, draft in enumerate(series) if place in best]
    return sorted(series, key=lambda each: (each.at, each.line))


def _longest_rise(series: Sequence[Draft]) -> list[int]:
    """Places of a longest run of lines, others left out, in which time never goes back."""
    tails: list[datetime] = []
    ends: list[int] = []
    before: list[int] = []
    for place, draft in enumerate(series):
        length = bisect_right(tails, draft.at)
        before.append(ends[length - 1] if length else -1)
        tails[length:] = [draft.at, *tails[length + 1 :]]
        ends[length:] = [place, *ends[length + 1 :]]
    found: list[int] = []
    place = ends[-1] if ends else -1
    while place >= 0:
        found.append(place)
        place = before[place]
    return found[::-1]


def _once(series: Sequence[Draft], shape: Shape, refused: list[Refusal]) -> list[Draft]:
    """One line for each moment: variants together, of others the first."""
    moments: dict[datetime, list[Draft]] = defaultdict(list)
    for draft in series:
        moments[draft.at].append(draft)
    found = []
    for drafts in moments.values():
        first, *others = drafts
        if shape.variants:
            found.append(_together(drafts))
            continue
        for other in others:
            if replace(other, line=first.line) == first:
                refused.append(Refusal(line=other.line, kind="duplicate", reason=f"line {first.line} says the same"))
            else:
                reason = f"{other.median}, where line {first.line} says {first.median} for the same moment"
                refused.append(Refusal(line=other.line, kind="contradiction", reason=reason))
        found.append(first)
    return found


def _together(drafts: Sequence[Draft]) -> Draft:
    counts = [each.offers for each in drafts if each.offers is not None]
    return replace(
        drafts[0],
        minimum=min(each.minimum for each in drafts),
        median=median_low(each.median for each in drafts),
        offers=sum(counts) if counts else None,
    )


def _points(series: Sequence[Draft], shape: Shape) -> list[MarketPoint]:
    """The last of each hour; of a series that is told by the day, of each day."""
    by_day = shape.daily or (len(series) > 1 and all(each.at == bucket(each.at, A_DAY) for each in series))
    span = A_DAY if by_day else AN_HOUR
    buckets = {bucket(each.at, span): each for each in series}
    return [
        MarketPoint(
            at=at,
            provider=each.provider,
            gpu=each.gpu,
            region=each.region,
            kind=each.kind,
            minimum=min(each.minimum, each.median),
            median=each.median,
            p10=each.p10,
            p25=each.p25,
            p75=each.p75,
            p90=each.p90,
            offers=each.offers,
            source=PriceSource.IMPORT,
            span=span,
        )
        for at, each in buckets.items()
    ]


# --- and back ------------------------------------------------------------------------------------------------------


def written(points: Iterable[MarketPoint]) -> Iterator[list[str]]:
    """The rows of the file that `read` reads back as these points; the header first."""
    yield [*OWN_COLUMNS, *MORE_COLUMNS]
    for each in points:
        told = (each.p10, each.p25, each.p75, each.p90)
        kind = "spot" if each.kind is Terms.INTERRUPTIBLE else each.kind.value
        yield [
            each.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            each.gpu,
            each.provider,
            each.region,
            kind,
            f"{each.median:f}",
            "" if each.offers is None else str(each.offers),
            f"{each.minimum:f}",
            *("" if price is None else f"{price:f}" for price in told),
        ]


def known_shapes() -> tuple[str, ...]:
    """The names of the kinds of files that are known."""
    return tuple(each.name for each in SHAPES)
