"""What the commands that look ahead have in common: where prices come from, and which of several series is meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.cli.session import with_holdfast
from holdfast.policy import gpu_names

if TYPE_CHECKING:
    from holdfast.market.series import Series

Gpu = Annotated[str, typer.Argument(metavar="GPU", help="Such as 'RTX 4090', as the history calls it.")]
From = Annotated[
    Path | None,
    typer.Option(
        "--from", metavar="FILE", help="A price history as CSV (docs/market.md) [default: the prices on record]."
    ),
]
Provider = Annotated[str | None, typer.Option(help="Only this provider's prices.", show_default=False)]
Region = Annotated[str | None, typer.Option(help="Only this region's prices.", show_default=False)]
Kind = Annotated[str | None, typer.Option(help="Only this kind of price, as the history calls it.", show_default=False)]
Measure = Annotated[
    str | None,
    typer.Option(help="Which of several prices: min, median, … [default: min, of a file all].", show_default=False),
]


def histories(source: Path | None, gpu: str, data_dir: Path | None, *, measure: str | None = None) -> list[Series]:
    """Price series of a file, or of this GPU on record: there the cheapest offers, or what `measure` says.

    Errors as `datasets.read` and `Holdfast.prices`.
    """
    if source is not None:
        from holdfast.market.datasets import read  # noqa: PLC0415 (numpy; not for `--help`)

        return read(source)
    from holdfast.market.errors import NoHistory  # noqa: PLC0415 (likewise)
    from holdfast.market.recorded import LOOKED_BACK, MEASURES, series_of  # noqa: PLC0415 (likewise)

    now = datetime.now(UTC)
    points = with_holdfast(data_dir, lambda holdfast: holdfast.prices(gpu, since=now - LOOKED_BACK))
    if not points:  # what is older tells at least how old it is
        points = with_holdfast(data_dir, lambda holdfast: holdfast.prices(gpu))
    known = next((each for each in MEASURES if each == (measure or "").strip().lower()), "min")
    found = series_of(points, until=now, measure=known)
    if not found:
        raise NoHistory(
            f"no hourly price of {gpu} is on record, only one a day",
            remedy="`holdfast market survey` asks for prices now; or give a history with --from FILE: docs/market.md",
        )
    return found


def age(series: Series, source: Path | None) -> str:
    """Said when the prices on record are some hours old; empty otherwise."""
    from holdfast.market.recorded import FRESH  # noqa: PLC0415 (numpy; not for `--help`)

    old = series.last - _seen_at(series)
    if source is not None or old <= FRESH:
        return ""
    return f"the last price on record is {old // timedelta(hours=1)} hours old; `holdfast market survey` asks for one"


def choose(
    found: Sequence[Series],
    gpu: str,
    *,
    provider: str | None,
    region: str | None,
    kind: str | None,
    measure: str | None,
) -> tuple[Series, list[Series]]:
    """The series that is meant, and the others that would fit: of several the one with the lowest price now.

    Raises:
        NoHistory: none fits; with the names that would.
    """
    fits = [each for each in found if _plain(each.key.gpu) == _plain(gpu)]
    fits = fits or [each for each in found if gpu_names.same(each.key.gpu, gpu)]
    if not fits:
        _refuse(gpu, found)
    asked = {"provider": provider, "region": region, "kind": kind, "measure": measure}
    for field, wanted in asked.items():
        if wanted is None:
            continue
        said = _provider if field == "provider" else _plain
        narrower = [each for each in fits if said(getattr(each.key, field)) == said(wanted)]
        if not narrower:
            _refuse_field(gpu, field, wanted, fits)
        fits = narrower
    newest = max(map(_seen_at, fits))
    fits.sort(key=lambda each: ((newest - _seen_at(each)).days > 1, _now(each), each.key))
    return fits[0], fits[1:]


def others(rest: Sequence[Series]) -> str:
    """Said when more than one series fits; empty otherwise."""
    if not rest:
        return ""
    more = "1 other series fits" if len(rest) == 1 else f"{len(rest)} other series fit"
    return f"{more}; --provider, --region, --kind or --measure choose another than the cheapest"


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _provider(name: str) -> str:
    from holdfast.market.shapes import provider_name  # noqa: PLC0415 (not for `--help`)

    return _plain(provider_name(name))


def _seen_at(series: Series) -> datetime:
    import numpy as np  # noqa: PLC0415 (not for `--help`)

    return series.first + int(np.flatnonzero(np.isfinite(series.prices))[-1]) * timedelta(hours=1)


def _now(series: Series) -> float:
    import numpy as np  # noqa: PLC0415 (not for `--help`)

    return float(series.prices[np.isfinite(series.prices)][-1])


def _refuse(gpu: str, found: Sequence[Series]) -> None:
    from holdfast.market.errors import NoHistory  # noqa: PLC0415 (not for `--help`)

    names = sorted({each.key.gpu for each in found})
    near = difflib.get_close_matches(gpu.upper(), names, n=3, cutoff=0.4) or names
    known = ", ".join(near[:8]) + (", …" if len(near) > 8 else "")
    raise NoHistory(f"the history knows no GPU {gpu!r}", remedy=f"it knows {known}")


def _refuse_field(gpu: str, field: str, wanted: str, fits: Sequence[Series]) -> None:
    from holdfast.market.errors import NoHistory  # noqa: PLC0415 (not for `--help`)

    known = ", ".join(sorted({getattr(each.key, field) or "(none)" for each in fits})[:8])
    raise NoHistory(f"the history has no {field} {wanted!r} of {gpu}", remedy=f"it has {known}")
