"""`holdfast market`: histories in and out, and what people and programs are told of them."""

import asyncio
import csv
import io
import shlex
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.commands.market.survey import unoffered
from holdfast.client import prices
from holdfast.contracts.machines import Terms
from holdfast.contracts.market import Asking, MarketPoint, PriceSource, RecordPricesInput, SurveyLine
from holdfast.market.fitting import fit
from holdfast.records.store import Records
from tests.unit.records.makers import on_record

from .conftest import Run
from .embedded import SCRIPT
from .standins import World

HEADER = "time,gpu,provider,region,kind,price,offers"
HOUR = timedelta(hours=1)


@pytest.fixture
def records(world: World, tmp_path: Path) -> Iterator[Records]:
    with on_record(tmp_path) as world.records:
        yield world.records


def an_hour(ago: int) -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - ago * HOUR


def a_point(ago: int, price: str, **changes: Any) -> MarketPoint:
    told = {"provider": "vast", "gpu": "RTX 4090", "kind": Terms.ON_DEMAND} | changes
    return MarketPoint(
        at=an_hour(ago), minimum=Decimal(price), median=Decimal(price), source=PriceSource.IMPORT, **told
    )


def put(records: Records, *points: MarketPoint, asking: Asking | None = None) -> None:
    records.record_prices(RecordPricesInput(points=points, asking=asking))


@pytest.fixture
def traded(records: Records) -> Records:
    """One that fell, one that stood still, and one of which hours are missing."""
    put(records, *(a_point(ago, "0.30" if ago < 10 else "0.40") for ago in range(40)))
    put(records, *(a_point(ago, "2.00", gpu="H100 SXM", provider="lambda") for ago in range(40)))
    put(records, *(a_point(ago, "1.50", gpu="H100 SXM", kind=Terms.INTERRUPTIBLE) for ago in (0, 1, 30, 31)))
    return records


# --- import and export -----------------------------------------------------------------------------------------------


def a_file(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "prices.csv"
    path.write_text("\n".join([HEADER, *lines, ""]))
    return path


LINES = [f"2026-05-01T{hour:02d}:00:00Z,RTX 4090,vast,,on_demand,0.4{hour % 10},3" for hour in range(12)]


async def test_a_file_is_brought_in_and_a_second_time_changes_nothing(
    online: Run, records: Records, tmp_path: Path
) -> None:
    path = a_file(tmp_path, *LINES)
    first = await online("market", "import", str(path))
    assert first.code == 0, first.err
    assert "points   12 in 1 series" in first.out and "12 new, 0 changed, 0 known already" in first.out
    again = await online("market", "import", str(path), "--json")
    assert again.document["recorded"] == {"new": 0, "changed": 0, "known": 12, "kept": 0, "held": 0, "confirmed": 0}


@pytest.mark.parametrize("at_once", [600, 7])
async def test_what_is_held_back_is_counted_when_all_is_written(
    online: Run, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """The seventh line is wild, and the eighth, in another message or not, confirms it; nothing does the last."""
    monkeypatch.setattr(prices, "AT_ONCE", at_once)
    leaps = [line.replace(",0.4", f",{price}") for line, price in zip(LINES[6:9], ("9.4", "9.4", "99.4"), strict=True)]
    told = await online("market", "import", str(a_file(tmp_path, *LINES[:6], *leaps)))
    assert "held back  1 point too far from the others" in told.out and "confirmed" not in told.out
    shown = "market history 'RTX 4090' --held --since 2026-05-01"
    assert f"`holdfast {shown}` shows them" in told.out
    held = await online(*shlex.split(shown))
    assert held.code == 0 and "$99.480" in held.out and "$9.4" not in held.out


async def test_an_import_that_is_interrupted_says_how_it_goes_on(
    online: Run, records: Records, world: World, tmp_path: Path
) -> None:
    path = a_file(tmp_path, *LINES)
    world.stalled = asyncio.Event()
    process = await asyncio.create_subprocess_exec(
        *(SCRIPT, "market", "import", str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        async with asyncio.timeout(60):
            await world.writing.wait()
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
    finally:
        world.stalled.set()
    assert process.returncode == 130 and out == b""
    assert f"what is written stays, and `holdfast market import {path}` goes on where this stopped" in err.decode()


async def test_what_is_refused_is_told_line_by_line_with_its_reason(
    online: Run, records: Records, tmp_path: Path
) -> None:
    jump = LINES[5].replace("2026-05-01T05", "2025-05-01T05")
    future = LINES[0].replace("2026-05-01T00", "2999-01-01T00")
    path = a_file(tmp_path, *LINES[:5], jump, *LINES[6:], LINES[11], "rubbish", future)
    told = await online("market", "import", str(path))
    assert told.code == 0
    assert "line 7: clock jump: 2025-05-01 05:00:00 stands among lines of another time" in told.err
    assert "line 14: duplicate: line 13 says the same" in told.err
    assert "line 15: broken: price '' is no price" in told.err
    assert "line 16: future: 2999-01-01 00:00 has not come yet" in told.err
    assert "refused, clock jump  1 line" in told.out
    document = (await online("market", "import", str(path), "--json")).document
    assert [each["line"] for each in document["refused"]] == [7, 14, 15, 16] and document["points"] == 11


async def test_a_dry_run_writes_nothing(online: Run, records: Records, tmp_path: Path) -> None:
    told = await online("market", "import", str(a_file(tmp_path, *LINES)), "--dry-run")
    assert told.code == 0 and "written  nothing" in told.out
    assert (await online("market", "ls")).err.startswith("no price is on record yet")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,b\n1,2\n", "has the columns a, b; wanted are time, gpu"),
        (f"{HEADER}\n", "has no line that could be used"),
        (f"{HEADER}\nx,y\n", "has no line that could be used"),
    ],
)
async def test_a_file_without_a_price_is_a_usage_error(
    online: Run, records: Records, tmp_path: Path, text: str, why: str
) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(text)
    told = await online("market", "import", str(path))
    assert told.code == 2 and why in told.err and told.out == ""
    document = await online("market", "import", str(path), "--json")
    assert document.code == 2 and why in document.err and document.out == ""
    if "x,y" in text:
        assert "line 2: broken: " in told.err
    missing = await online("market", "import", str(tmp_path / "none.csv"))
    assert missing.code == 2 and "cannot be read" in missing.err


async def test_what_is_exported_can_be_imported_elsewhere(online: Run, traded: Records, tmp_path: Path) -> None:
    told = await online("market", "export", "--gpu", "RTX 4090")
    rows = list(csv.DictReader(io.StringIO(told.out)))
    assert len(rows) == 40 and rows[-1]["price"] == "0.30"
    path = tmp_path / "all.csv"
    assert (await online("market", "export", str(path))).code == 0
    again = await online("market", "import", str(path), "--json")
    assert again.document["recorded"]["known"] == again.document["points"] == 84
    nothing = await online("market", "export", "--provider", "nobody")
    assert nothing.code == 4 and nothing.out == ""


# --- looking ---------------------------------------------------------------------------------------------------------


async def test_a_history_tells_what_moved_what_did_not_and_what_is_missing(online: Run, traded: Records) -> None:
    rows = (await online("market", "history", "rtx-4090", "--since", "39h")).out.splitlines()
    assert rows[0].startswith("GPU") and rows[0].split()[-3:] == ["CHANGE", "MISSING", "PRICE"]
    assert "-25.0%" in rows[1] and "none" in rows[1] and rows[1].endswith("▁▁▁")
    h100 = (await online("market", "history", "H100", "--since", "39h")).out.splitlines()
    still = next(row for row in h100 if "lambda" in row)
    assert "unchanged" in still and "▄▄▄▄" in still and "·" not in still
    holey = next(row for row in h100 if "spot" in row)
    assert "unchanged" in holey and "·····" in holey and "28h 00m (88%)" in holey


async def test_a_document_has_every_point(online: Run, traded: Records) -> None:
    (found,) = (await online("market", "history", "RTX 4090", "--since", "39h", "--json")).document
    assert len(found["points"]) == 39 and found["last"] == "0.30" and found["unchanged"] is False
    assert found["points"][0]["source"] == "import" and found["points"][0]["offers"] is None


async def test_why_there_are_gaps_is_told(online: Run, traded: Records) -> None:
    silent = Asking(
        provider="vast", source=PriceSource.SURVEY, at=an_hour(2), span=HOUR, answered=False, detail="it is down"
    )
    put(traded, asking=silent)
    told = await online("market", "history", "RTX 4090", "--since", "2d")
    assert "vast did not answer 1 survey, last at" in told.out and "it is down" in told.out


async def test_the_cheapest_comes_first_in_a_comparison(online: Run, traded: Records) -> None:
    rows = (await online("market", "compare", "H100", "RTX 4090", "--since", "39h")).out.splitlines()
    assert [row.split()[0] for row in rows[1:4]] == ["RTX", "H100", "H100"]
    assert "+400%" in rows[2] and "+567%" in rows[3]


async def test_longer_names_that_a_name_on_record_hides_are_told(online: Run, traded: Records) -> None:
    assert "also on record" not in (await online("market", "history", "H100")).err
    put(traded, a_point(1, "2.20", gpu="H100", provider="elsewhere"))
    for command in ("history", "compare"):
        told = await online("market", command, "h100")
        assert told.code == 0 and "H100 SXM" not in told.out and "also on record: H100 SXM\n" in told.err
    both = await online("market", "compare", "H100", "H100 SXM")
    assert "H100 SXM" in both.out and "also on record" not in both.err


async def test_a_comparison_of_the_past_does_not_call_its_prices_those_of_now(online: Run, traded: Records) -> None:
    until = f"{an_hour(20):%Y-%m-%dT%H:%M}"
    past = (await online("market", "compare", "RTX 4090", "--since", "39h", "--until", until)).out.splitlines()[1]
    assert "21h" in past and " ago" in past and "now" not in past
    assert "now" in (await online("market", "compare", "RTX 4090")).out.splitlines()[1]


def test_a_gpu_that_nobody_offers_is_named_after_a_survey() -> None:
    nothing = SurveyLine(provider="vast", answered=True)
    everything = SurveyLine(provider="tensordock", answered=True, offers=9)  # it tells all it has, whatever is asked
    silent = SurveyLine(provider="gcp", answered=False)
    known = ("H100 SXM", "RTX 4090")
    assert unoffered(("RTX 4090",), (nothing, silent), known) == ["RTX 4090"]
    assert unoffered(("GTX 9999", "rtx-4090", "H100"), (nothing, everything), known) == ["GTX 9999"]
    assert unoffered(("GTX 9999",), (silent,), known) == [] == unoffered((), (nothing,), ())


async def test_movers_come_first_and_what_stood_still_is_counted(online: Run, traded: Records) -> None:
    told = await online("market", "movers", "--over", "24h")
    assert told.out.splitlines()[1].split()[-3:] == ["$0.400", "$0.300", "-25.0%"]
    assert "in 24h 00m: 2 of 3 series unchanged" in told.out
    everything = await online("market", "movers", "--over", "24h", "--all")
    assert everything.out.count("unchanged") == 3
    assert len((await online("market", "movers", "--json")).document) == 1


@pytest.mark.parametrize("suffix", ["png", "svg"])
async def test_a_picture_is_drawn(online: Run, traded: Records, tmp_path: Path, suffix: str) -> None:
    for command in ("history", "compare"):
        path = tmp_path / f"{command}.{suffix}"
        told = await online("market", command, "H100", "--since", "39h", "--plot", str(path))
        assert told.code == 0, told.err
        begins = path.read_bytes()[:200]
        assert begins.startswith(b"\x89PNG") if suffix == "png" else b"<svg" in path.read_bytes()


async def test_what_is_held_back_is_shown_apart(online: Run, traded: Records) -> None:
    put(traded, a_point(-1, "9.00"))
    assert "$9.000" not in (await online("market", "history", "RTX 4090", "--until", "2999-01-01")).out
    held = await online("market", "history", "RTX 4090", "--held", "--until", "2999-01-01")
    assert "$9.000" in held.out and "one point" in held.out


# --- what cannot be answered -----------------------------------------------------------------------------------------


async def test_the_prices_on_record_are_forecast_and_tell_when_to_start(online: Run, traded: Records) -> None:
    told = (await online("market", "forecast", "rtx 4090", "--hours", "24", "--json")).document
    assert told["key"] == {"gpu": "RTX 4090", "provider": "vast", "region": "", "kind": "on_demand", "measure": "min"}
    assert told["last"] == 0.3 and len(told["hours"]) == 24
    wanted = ("H100", "--provider", "lambda", "--hours", "2", "--deadline", "1d", "--json")
    advice = (await online("market", "when", *wanted)).document["advice"]
    assert advice["key"]["gpu"] == "H100 SXM" and not advice["wait"]
    assert (await online("market", "forecast", "nothing")).code == 4


async def test_the_median_on_record_is_forecast_as_well(online: Run, records: Records) -> None:
    put(records, *(replace(a_point(ago, "0.30"), median=Decimal("0.70"), p90=Decimal("0.90")) for ago in range(40)))
    for measure, last in (("median", 0.7), ("p90", 0.9), ("min", 0.3)):
        told = (await online("market", "forecast", "RTX 4090", "--measure", measure, "--json")).document
        assert (told["key"]["measure"], told["last"]) == (measure, last)
    when = ("when", "RTX 4090", "--hours", "2", "--deadline", "1d", "--measure", "median", "--json")
    assert (await online("market", *when)).document["advice"]["now"] == 0.7
    assert (await online("market", "forecast", "RTX 4090", "--measure", "p25")).code == 4
    unknown = await online("market", "forecast", "RTX 4090", "--measure", "mood")
    assert unknown.code == 4 and "has no measure 'mood'" in unknown.err


async def test_the_forecast_that_is_on_record_is_shown_as_it_was_made(online: Run, traded: Records) -> None:
    nothing = await online("market", "forecast", "RTX 4090", "--recorded")
    assert nothing.code == 4 and "no forecast of RTX 4090 is on record" in nothing.err
    traded.record_forecasts([fit(each) for each in traded.hourly_prices(traded.due_forecasts(an_hour(0)))])
    told = await online("market", "forecast", "RTX 4090", "--recorded")
    assert told.code == 0, told.err
    assert told.out.startswith("RTX 4090 vast on demand: ")
    assert f"known until {an_hour(0):%Y-%m-%d %H:%M} UTC; made " in told.out and "over a usual stay" in told.out
    assert [line.split()[0] for line in told.out.splitlines() if "$" in line][1:] == ["1", "6", "24", "72", "168"]
    (kept,) = (await online("market", "forecast", "RTX 4090", "--recorded", "--provider", "Vast.ai", "--json")).document
    made_now = (await online("market", "forecast", "RTX 4090", "--json")).document
    assert [(each["lead"], each["price"]) for each in kept["leads"]] == [
        (each["lead"], made_now["hours"][each["lead"] - 1]["price"]) for each in made_now["skills"]
    ]
    assert (await online("market", "forecast", "RTX 4090", "--recorded", "--kind", "spot")).code == 4
    assert (await online("market", "forecast", "RTX 4090", "--recorded", "--measure", "median")).code == 2


async def test_prices_that_are_old_are_no_prices_of_now(online: Run, records: Records) -> None:
    put(records, *(a_point(24 * 9 + ago, "0.30" if ago % 7 else "0.50") for ago in range(60)))
    told = await online("market", "forecast", "RTX 4090")
    assert told.code == 0 and "not enough data" in told.out and "hours old" in told.out + told.err
    when = await online("market", "when", "RTX 4090", "--hours", "2", "--deadline", "1d")
    assert when.code == 0 and "start now" in when.out and "hours old" in when.err
    past = await online("market", "when", "RTX 4090", "--hours", "2", "--deadline", f"{an_hour(24 * 8):%Y-%m-%dT%H:%M}")
    assert past.code == 2 and "are missing" in past.err


async def test_prices_of_a_long_time_ago_say_how_old_they_are(online: Run, records: Records) -> None:
    put(records, *(a_point(24 * 60 + ago, "0.30") for ago in range(60)))
    told = await online("market", "forecast", "RTX 4090")
    assert told.code == 0 and "no price was seen in the last four weeks" in told.out
    assert (await online("market", "forecast", "RTX 4090", "--provider", "nosuch")).code == 4


async def test_an_unknown_gpu_is_told_with_those_that_are_known(online: Run, traded: Records) -> None:
    told = await online("market", "history", "RTX 4009")
    assert told.code == 4 and told.out == ""
    assert "no price of a GPU 'RTX 4009' is on record; there are prices of RTX 4090" in told.err
    assert (await online("market", "compare", "H100", "nothing")).code == 4


async def test_an_empty_record_says_how_prices_come_there(online: Run, records: Records) -> None:
    told = await online("market", "history", "H100")
    assert told.code == 4 and "no price of any GPU is on record yet" in told.err and "market import" in told.err
    movers = await online("market", "movers")
    assert movers.code == 4 and "no price is known both now and 24h 00m ago" in movers.err and movers.out == ""


async def test_a_time_without_a_price_is_no_empty_table(online: Run, traded: Records) -> None:
    told = await online("market", "history", "H100", "--since", "2020-01-01", "--until", "2020-02-01")
    assert told.code == 4 and "no price is on record of H100 from 2020-01-01 00:00" in told.err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--since", "whenever"), "--since 'whenever' is no time"),
        (("--since", "2026-05-02", "--until", "2026-05-01"), "no time lies between"),
        (("--kind", "lent"), "--kind 'lent' is neither"),
        (("--plot", "picture.gif"), "picture.gif is no picture"),
    ],
)
async def test_what_cannot_be_used_is_told_before_anything_is_asked(
    online: Run, traded: Records, options: tuple[str, ...], why: str
) -> None:
    told = await online("market", "history", "H100", *options)
    assert told.code == 2 and why in told.err


# --- references ------------------------------------------------------------------------------------------------------


async def test_references_are_listed_with_what_speaks_against_them_and_without_any_server(cli: Run) -> None:
    told = await cli("market", "references", "H100 SXM")
    assert told.code == 0, told.err
    stale = next(line for line in told.out.splitlines() if "$12.29" in line)
    assert "stale: contradicted by $6.88 of 2026-08-22" in stale
    assert "GPU rental price data by gpurentalprices.com, CC BY 4.0" in told.out
    found = (await cli("market", "references", "H100 SXM", "--json")).document
    fair = next(each for each in found if each["reference"]["hourly"] == "6.88")
    assert fair["reference"]["region"] == "us-east-1" and fair["reference"]["seen_until"] == "2026-08-22"
    assert (await cli("market", "references", "Abacus")).code == 4


async def test_a_file_of_one_s_own_adds_references(cli: Run, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    header = "provider,gpu,kind,hourly,region,dated,unit,includes,whole,source"
    path.write_text(f"{header}\nours,Abacus,on_demand,3.50,DE,2026-08-01,one,all,yes,our contract\n")
    told = await cli("market", "references", "Abacus", "--reference-file", str(path))
    assert told.code == 0 and "$3.5" in told.out
    path.write_text(f"{header}\nours,Abacus,on_demand,free,DE,2026-08-01,one,all,yes,our contract\n")
    broken = await cli("market", "references", "Abacus", "--reference-file", str(path))
    assert broken.code == 2 and "line 2" in broken.err
