"""`holdfast savings`: sums that its own rows add up to, for people, programs and spreadsheets."""

import csv
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.app import run
from holdfast.contracts.machines import InstanceState
from holdfast.contracts.savings import LossLine, MachineLife, MeterLine

from .conftest import Run
from .standins import NOON, World

RUN, DISK = Decimal("0.36"), Decimal("0.012")


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def a_life(workload: str, *, endpoint: str = "", hourly: Decimal = RUN) -> MachineLife:
    """Two hours awake, three stopped, one awake; let go for a sleep that lasts."""
    meter = (
        MeterLine(number=1, state=InstanceState.RUNNING, hourly=hourly, since=at(0), until=at(2)),
        MeterLine(number=2, state=InstanceState.STOPPED, hourly=DISK, since=at(2), until=at(5)),
        MeterLine(number=3, state=InstanceState.RUNNING, hourly=hourly, since=at(5), until=at(6)),
    )
    return MachineLife(
        label=f"{workload}.e1",
        workload=workload,
        endpoint=endpoint,
        generation=1,
        opened_at=at(0),
        wanted_at=None,
        closed_at=at(6),
        asleep=True,
        over_at=None,
        meter=meter,
    )


@pytest.fixture
def slept(world: World) -> World:
    world.lives = [a_life("chat-r0", endpoint="chat"), a_life("chat-r1", endpoint="chat"), a_life("train")]
    return world


def in_sum(rows: list[dict[str, Any]], column: str) -> Decimal:
    return sum((Decimal(row[column]) for row in rows if not row["uncounted"]), Decimal(0))


async def test_what_sleeping_saved_is_told_by_endpoint_and_workload_with_its_basis(online: Run, slept: World) -> None:
    told = await online("savings")
    assert told.code == 0, told.err
    header, chat, train, total, basis = told.out.splitlines()
    assert header.split()[:3] == ["NAME", "AWAKE", "STOPPED"]
    assert chat.split()[:7] == ["chat", "6h", "00m", "6h", "00m", "8h", "00m"]
    assert train.split()[-4:] == ["$0.0360", "$3.6000", "$2.4840", "69.0%"]
    assert total.split()[-4:] == ["$0.1080", "$10.80", "$7.4520", "69.0%"]
    assert basis.startswith("against always awake: each moment asleep at the price")


async def test_the_rows_of_the_document_add_up_to_its_totals_exactly(online: Run, slept: World) -> None:
    document = (await online("savings", "--rows", "--json")).document
    rows, total = document["rows"], document["total"]
    assert len(rows) == 12 and [each["name"] for each in document["lines"]] == ["chat", "train"]
    assert in_sum(rows, "saved") == Decimal(total["saved"]) == 9 * (RUN - DISK) + 12 * RUN
    assert in_sum(rows, "reference") == Decimal(total["reference"])
    assert {(row["mode"], row["meter"]) for row in rows} == {("awake", 1), ("stopped", 2), ("awake", 3), ("let_go", 0)}
    assert (await online("savings", "--json")).document["rows"] == []


async def test_a_time_is_cut_out_of_it(online: Run, slept: World) -> None:
    begin, end = f"{at(1):%Y-%m-%dT%H:%M}", at(4).astimezone(UTC).isoformat()
    total = (await online("savings", "train", "--since", begin, "--until", end, "--json")).document["total"]
    assert (total["awake"], total["stopped"], total["let_go"]) == (3600, 7200, 0)
    assert Decimal(total["saved"]) == 2 * (RUN - DISK)


async def test_a_spreadsheet_gets_every_stretch_unrounded(online: Run, slept: World, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    assert (await online("savings", "chat", "--csv", str(file))).code == 0
    with file.open(newline="") as written:
        rows = list(csv.DictReader(written))
    assert len(rows) == 8 and in_sum(rows, "saved") == 6 * (RUN - DISK) + 8 * RUN
    assert (rows[0]["label"], rows[0]["since"]) == ("chat-r0.e1", at(0).isoformat())
    unwritten = await online("savings", "--csv", str(tmp_path / "none" / "rows.csv"))
    assert unwritten.code == 2 and "cannot be written" in unwritten.err


async def test_what_has_no_price_is_listed_with_the_reason_and_counted_nowhere(online: Run, world: World) -> None:
    world.lives = [a_life("train", hourly=Decimal(0))]
    told = await online("savings", "--rows")
    assert "not counted: what the machine costs while it runs is not known" in told.out
    assert "not counted: 7h 00m, for which $0.0360 was paid; --rows says why" in told.out
    total = (await online("savings", "--json")).document["total"]
    assert (total["saved"], total["percent"], total["uncounted"]) == ("0", None, 7 * 3600)


async def test_a_workload_that_only_ran_saved_nothing(online: Run, world: World) -> None:
    life = a_life("train")
    world.lives = [replace(life, meter=life.meter[:1], asleep=False)]
    total = (await online("savings", "--json")).document["total"]
    assert (Decimal(total["saved"]), total["percent"]) == (0, 0.0)


async def test_a_name_that_never_had_a_machine_and_a_time_that_is_none_are_refused(online: Run, slept: World) -> None:
    unknown = await online("savings", "nobody")
    assert unknown.code == 4 and "'nobody' ever had a machine" in unknown.err
    backwards = await online("savings", "--since", at(4).isoformat(), "--until", at(3).isoformat())
    assert backwards.code == 2 and "no time lies between" in backwards.err


@pytest.mark.parametrize("option", ["--since", "--until"])
@pytest.mark.parametrize("text", ["yesterday", "7", "2026-13-01", "999999999999d", ""])
def test_what_is_no_time_is_refused(option: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["savings", option, text]) == 2
    assert f"{option} {text!r} is no time" in capsys.readouterr().err


# --- against list prices ---------------------------------------------------------------------------------------------


@pytest.fixture
def rented(world: World) -> World:
    """An H100 at 2.32 for six hours, of which one was done twice; and something that nobody lists."""
    life = a_life("train", hourly=Decimal("2.32"))
    running = tuple(each for each in life.meter if each.state is InstanceState.RUNNING)
    known = replace(life, meter=(replace(running[0], until=at(6)),), gpu="H100 SXM", asleep=False)
    world.lives = [known, replace(known, label="odd.e1", workload="odd", gpu="Abacus")]
    world.losses = [LossLine(workload="train", losses=1, work_lost=timedelta(hours=1), bytes_sent=10**9)]
    return world


async def test_all_that_was_paid_stands_beside_a_list_price_with_its_source(online: Run, rented: World) -> None:
    told = await online("savings", "--against", "aws", "--egress-per-gb", "0.10")
    assert told.code == 0, told.err
    train = next(line for line in told.out.splitlines() if line.startswith("train"))
    assert "1x H100 SXM" in train and "5h 00m" in train and "1h 00m" in train
    assert train.split()[-4:] == ["$14.02", "$34.40", "$20.38", "59.2%"]
    assert "not counted: $13.92 paid for Abacus, for which no reference is known" in told.out
    assert "source: AWS price list" in told.out and "stale: contradicted by $6.88" in told.out


async def test_a_month_is_a_line_and_the_spreadsheet_has_what_it_is_made_of(
    online: Run, rented: World, tmp_path: Path
) -> None:
    file = tmp_path / "months.csv"
    told = await online("savings", "--monthly", "--csv", str(file))
    assert told.code == 0, told.err
    assert told.out.splitlines()[1].startswith(f"{NOON:%Y-%m}")
    with file.open(newline="") as written:
        odd, train = sorted(csv.DictReader(written), key=lambda row: row["name"])
    assert train["month"] == f"{NOON:%Y-%m}" and Decimal(train["paid_work"]) == Decimal("13.92")
    assert train["reference_provider"] and train["reference_source"] and train["reference_dated"]
    assert odd["reference_provider"] == "" and odd["would_have_cost"] == ""


async def test_a_program_gets_every_reference_and_its_flags(online: Run, rented: World) -> None:
    found = (await online("savings", "--against", "aws", "--json")).document["against"]
    assert [each["chosen"] for each in found["references"] if each["reference"]["gpu"] == "H100 SXM"] == [True, False]
    assert found["lines"][1]["reference"]["hourly"] == "6.88" and found["total"]["percent"] == 59.53


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        (("--against", "nobody"), 4, "no reference price of 'nobody' is known"),
        (("--against", "aws", "--egress-per-gb", "much"), 2, "--egress-per-gb 'much' is no price"),
        (("--against", "aws", "--reference-file", "none.csv"), 2, "none.csv cannot be read"),
    ],
)
async def test_what_cannot_be_compared_with_is_told(
    online: Run, rented: World, options: tuple[str, ...], code: int, why: str
) -> None:
    told = await online("savings", *options)
    assert told.code == code and why in told.err
