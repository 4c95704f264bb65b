"""`holdfast market risk` as it is typed."""

import json
from pathlib import Path

import pytest

from holdfast.cli import app

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
