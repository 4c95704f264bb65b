"""Reports, decisions, checkpoints, offers and logs: for people, and as one JSON document."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

from holdfast.checkpoints.format import Repository
from holdfast.cli.commands.report import bar, show
from holdfast.contracts.incidents import Phases
from holdfast.contracts.reports import Spread, StrategyLine

from .conftest import Run
from .standins import World, a_checkpoint, a_report


@pytest.fixture
def known(world: World, name: str) -> str:
    world.recorded.add(name)
    return name


async def test_report_tells_each_incident_with_its_phases_in_seconds(online: Run, known: str) -> None:
    (incident,) = (await online("report", known, "--json")).document["incidents"]
    assert (incident["cause"], incident["strategy"]) == ("outbid", "snapshot")
    assert incident["phases"]["boot"] == 12.0
    assert (incident["recovery_time"], incident["work_lost"], incident["cost"]) == (20.0, 7.0, "0.0017")


async def test_report_measures_against_the_objectives_for_people(online: Run, known: str) -> None:
    text = (await online("report", known)).out
    assert "worst 20.0s, objective 1m 00s: met" in text
    assert "worst 7.0s, objective 5.0s: MISSED" in text
    assert "recovered by snapshot in 20.0s, work lost 7.0s, cost $0.0017" in text
    assert "$0.0258 over 1 machine, by our meter; `holdfast cost` compares it with the provider's bill" in text
    assert "d=detect 2.0s  b=boot 12.0s  r=restore 5.0s  g=progress 1.0s" in text


def test_the_bar_is_to_scale_and_never_hides_a_phase() -> None:
    phases = a_report("x").incidents[0].phases
    assert bar(phases, 20) == "ddbbbbbbbbbbbbrrrrrg"
    assert len(bar(Phases(), 20)) == 20


async def test_one_incident_is_told_phase_by_phase(online: Run, known: str) -> None:
    text = (await online("report", known, "--incident", "1")).out
    rows = {line.split()[0]: line.split() for line in text.splitlines() if "▇" in line}
    assert list(rows) == ["detect", "boot", "restore", "progress"]
    assert [rows[each][2] for each in rows] == ["2.0s", "12.0s", "5.0s", "1.0s"]
    assert [rows[each][3].count("▇") for each in rows] == [5, 30, 12, 2]
    assert "RTO worst 20.0s, objective 1m 00s: met" in text
    found = (await online("report", known, "--incident", "1", "--json")).document
    assert (found["epoch_lost"], found["cause"]) == (1, "outbid")


async def test_an_incident_that_never_was_is_an_error_that_names_those_that_were(online: Run, known: str) -> None:
    refused = await online("report", known, "--incident", "7")
    assert (refused.code, refused.out) == (4, "")
    assert "lost no machine of epoch 7; those of which were lost: 1" in refused.err


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
async def test_the_recoveries_are_drawn(online: Run, known: str, tmp_path: Path, ending: str, begins: bytes) -> None:
    pictures = [tmp_path / f"{number}.{ending}" for number in range(2)]
    for path in pictures:
        drawn = await online("report", known, "--draw", str(path))
        assert (drawn.code, str(path) in drawn.err) == (0, True)
    first, again = (path.read_bytes() for path in pictures)
    assert first.startswith(begins) and first == again


@pytest.mark.parametrize(("file", "why"), [("shot.gif", "neither with .png"), ("no/such/shot.png", "no folder")])
async def test_a_picture_that_cannot_be_is_refused_before_anything_is_asked(online: Run, file: str, why: str) -> None:
    refused = await online("report", "nobody", "--draw", file)
    assert (refused.code, refused.out) == (2, "")
    assert why in refused.err


def test_with_three_incidents_the_spread_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    minute = timedelta(minutes=1)
    spread = Spread(measured=3, p50=minute, p95=2 * minute, max=2 * minute, met=2)
    line = StrategyLine(strategy="snapshot", tries=4, successes=3, p50=minute, p95=2 * minute)
    many = replace(a_report("x"), recovery=spread, loss=replace(spread, met=None), strategies=(line,))
    show(many)
    told = capsys.readouterr().out
    rows = [line.split() for line in told.splitlines()]
    assert ["recovery", "time", "3", "1m", "00s", "2m", "00s", "2m", "00s", "2", "of", "3"] in rows
    assert ["work", "lost", "3", "1m", "00s", "2m", "00s", "2m", "00s", "no", "objective"] in rows
    assert ["snapshot", "4", "3", "1m", "00s", "2m", "00s"] in rows
    show(replace(many, recovery=replace(spread, measured=2)))
    assert "P95" not in capsys.readouterr().out


async def test_why_prints_the_ranking(online: Run, known: str) -> None:
    assert "cheapest that is reliable" in (await online("why", known)).out
    assert (await online("why", known, "--epoch", "1", "--json")).document[0]["occasion"] == "placement"
    assert (await online("why", known, "--epoch", "0", "--json")).document == []


async def test_a_decision_whose_history_is_gone_cannot_be_made_again(online: Run, known: str) -> None:
    again = await online("why", known, "--recompute", "--json")
    assert (again.code, [each["same"] for each in again.document]) == (0, [None])
    assert "kept no longer" in (await online("why", known, "--recompute")).out


async def test_checkpoints_are_listed_oldest_first(online: Run, known: str) -> None:
    listed = await online("checkpoint", "ls", known, "--json")
    assert [each["sequence"] for each in listed.document] == [0, 3]
    assert "step 30/100" in (await online("checkpoint", "ls", known)).out


async def test_verify_says_by_its_exit_code_whether_a_checkpoint_is_sound(
    online: Run, known: str, world: World
) -> None:
    assert (await online("checkpoint", "verify", known)).code == 0
    assert (await online("checkpoint", "verify", known, "--sequence", "0")).code == 1
    assert world.verified == [a_checkpoint(known, 3).manifest]  # the sound one is noted, the other is not
    assert (await online("checkpoint", "verify", known, "--sequence", "9")).code == 15


async def test_forget_says_how_many_checkpoints_it_gave_up(online: Run, known: str) -> None:
    assert "1 checkpoint given up, 1 kept" in (await online("checkpoint", "forget", known)).err
    assert (await online("checkpoint", "forget", known, "--keep", "0", "--json")).document == {
        "forgotten": 2,
        "kept": 0,
    }
    assert (await online("checkpoint", "forget", "nobody")).code == 4


async def test_restore_refuses_a_folder_that_holds_something(online: Run, known: str, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    refused = await online("checkpoint", "restore", known, "--to", str(tmp_path / "full"))
    assert refused.code == 2
    assert (tmp_path / "full" / "mine.txt").read_text() == "keep"


async def test_offers_come_cheapest_first(online: Run) -> None:
    assert [each["hourly"] for each in (await online("offers", "--json")).document] == ["0.31", "0.45"]
    text = (await online("offers", "--gpu", "RTX 4090")).out
    assert text.index("$0.310/h") < text.index("$0.450/h")


async def test_logs_print_everything_or_the_end_of_it(online: Run, known: str) -> None:
    assert (await online("logs", known)).out == "epoch 1\nepoch 2\nepoch 3\n"
    assert (await online("logs", known, "--tail", "2")).out == "epoch 2\nepoch 3\n"
    assert (await online("logs", known, "--follow")).out == "epoch 1\nepoch 2\nepoch 3\n"


async def test_doctor_tells_what_is_missing_and_what_to_do(online: Run) -> None:
    told = await online("doctor", "--json")
    found = {each["what"]: each for each in told.document}
    assert told.code == 1
    assert found["search attributes"]["verdict"] == "ok"
    assert found["provider vast"]["verdict"] == "ok"
    assert (found["records"]["verdict"], found["records"]["remedy"]) == ("FAIL", "`holdfast records migrate`")
    assert "hint: records: there are none yet: `holdfast records migrate`" in (await online("doctor")).err


async def test_doctor_tells_each_mirror_apart(online: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("good", "theirs"):
        monkeypatch.setenv(f"HOLDFAST_MIRRORS__{name.upper()}__PATH", str(tmp_path / name))
        monkeypatch.setenv(f"HOLDFAST_MIRRORS__{name.upper()}__NEAR", "DE,FR")
    monkeypatch.setenv("HOLDFAST_STORE__PATH", str(tmp_path / "main"))
    for name in ("main", "theirs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "repo.json").write_bytes(Repository.create().encode())
    found = {each["what"]: each for each in (await online("doctor", "--json")).document}
    assert found["mirror good"]["verdict"] == "ok"
    assert found["mirror good"]["detail"].startswith("near DE, FR; folder store; signed addresses work")
    assert found["mirror good"]["detail"].endswith("nothing was copied there yet")
    assert found["mirror theirs"]["verdict"] == "FAIL"
    assert "holds another repository" in found["mirror theirs"]["detail"]
    assert found["mirror theirs"]["remedy"] == "check the HOLDFAST_MIRRORS__THEIRS__* settings"


async def test_records_are_set_up_by_one_command_and_then_found_sound(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert (await cli("records", "migrate")).code == 0
    assert (await cli("records", "current", "--json")).code == 0


async def test_logs_end_quietly_when_their_reader_has_seen_enough(
    server: Client, known: str, world: World, tmp_path: Path
) -> None:
    world.log = "a line\n" * 20_000
    command = f"{Path(sys.executable).with_name('holdfast')} logs {known} | head -1; echo ${{PIPESTATUS[0]}}"
    environ = os.environ | {
        "TEMPORAL_ADDRESS": server.service_client.config.target_host,
        "HOLDFAST_DATA_DIR": str(tmp_path),
    }
    ran = await asyncio.to_thread(
        subprocess.run, ["bash", "-c", command], env=environ, capture_output=True, text=True, timeout=120, check=True
    )
    assert (ran.stdout, ran.stderr) == ("a line\n141\n", "")


def test_the_installed_script_answers_and_survives_a_reader_that_leaves() -> None:
    script = Path(sys.executable).with_name("holdfast")
    shown = subprocess.run([script, "version", "--json"], capture_output=True, text=True, timeout=60, check=True)
    assert '"holdfast"' in shown.stdout
    gone = subprocess.run(f"{script} --help | true", shell=True, capture_output=True, text=True, timeout=60, check=True)
    assert "Traceback" not in gone.stderr
