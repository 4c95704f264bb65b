"""`holdfast market risk` as it is typed."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from holdfast.cli import app
from holdfast.cli.commands.market.risk import show_places
from holdfast.contracts.memory import PlaceRisk

TRACES = str(Path(__file__).parents[2] / "examples" / "traces")
SOME = ("--trace", TRACES, "--machines", "24")


def risk(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    code = app.run(["market", "risk", *more])
    out, err = capsys.readouterr()
    return code, out, err


def test_prints_a_row_for_each_zone_the_safest_first(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = risk(capsys, *SOME)
    assert (code, err) == (0, "")
    header, first, last = out.splitlines()
    assert header.split()[:2] == ["ZONE", "NOW"]
    assert first.split()[:2] == ["gcp_us-east1-c_v100_size", "up"]
    assert last.split()[:2] == ["aws_p3_64node_events", "down"]
    assert first.count("%") == 4
    assert last.split()[-2:] == ["11", "55%"]


def test_prints_json_and_nothing_else_and_looks_back(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = risk(capsys, *SOME, "--at", "5h", "--json")
    zones = json.loads(out)
    assert (code, err, [each["up"] for each in zones]) == (0, "", [True, True])
    assert all(0 < each["hour"] < each["six_hours"] < each["day"] < 1 for each in zones)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trace", "nowhere"), "there is no file or folder nowhere"),
        (("--trace", __file__), "is not a trace"),
        ((*SOME, "--at", "soon"), "--at: 'soon' is not a duration"),
        ((*SOME, "--at", "0h"), "the history is empty"),
        (("--at", "5h"), "--at and --machines belong to a trace"),
    ],
)
def test_says_what_is_wrong_with_the_question(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    code, out, err = risk(capsys, *words)
    assert (code, out) == (2, "")
    assert said in err


def test_regions_are_told_with_their_last_loss(capsys: pytest.CaptureFixture[str]) -> None:
    hour = timedelta(hours=1)
    calm = PlaceRisk(
        provider="vast", region="", hour=0.1, six_hours=0.5, day=0.75, age=12 * hour, losses=0, watched=2 * hour
    )
    lost = replace(calm, region="PL", gpu="H100", six_hours=0.921, losses=3, lost_at=datetime.now(UTC) - 2 * hour)
    show_places([calm, lost])
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["vast", "not", "told", "any", "none", "10%", "50%", "75%", "0", "2h", "00m"]
    assert second.split()[:3] == ["vast", "PL", "H100"]
    assert "2h 00m ago" in second
    assert "92%" in second
    show_places([])
    out, err = capsys.readouterr()
    assert (out, "nothing is known" in err) == ("", True)


def test_a_moment_beyond_the_end_of_a_trace_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = risk(capsys, *SOME, "--at", "400d")
    assert (code, out) == (2, "")
    assert "--at 400d is beyond the end of aws_p3_64node_events: it has 11h 23m" in err
