"""`holdfast simulate` as it is typed."""

import json
from pathlib import Path

import pytest

from holdfast.cli import app

TRACES = str(Path(__file__).parents[2] / "examples" / "traces")
SHORT = ("--trace", TRACES, "--machines", "24", "--compute", "2h", "--deadline", "3h", "--every", "1h")


def simulate(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    code = app.run(["simulate", *more])
    out, err = capsys.readouterr()
    return code, out, err


def test_prints_a_row_for_each_policy_and_set_of_zones(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = simulate(capsys, *SHORT, "--policy", "thrifty", "--policy", "greedy")
    assert (code, err) == (0, "")
    header, *rows = out.splitlines()
    assert header.split()[:3] == ["ZONES", "SPOT", "POLICY"]
    assert "WORK LOST" not in header
    assert len(rows) == 6
    assert all("none" in row for row in rows)


def test_prints_json_and_nothing_else_also_while_it_draws(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "run.svg"
    code, out, err = simulate(
        capsys, *SHORT, "--policy", "thrifty", "--cadence", "young-daly", "--draw", str(picture), "--json"
    )
    study = json.loads(out)
    assert (code, study["cadence"], len(study["rows"])) == (0, "young-daly", 3)
    assert "run.svg" in err
    assert picture.read_text().startswith("<?xml")


def test_equal_seeds_print_equal_answers(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = (*SHORT, "--policy", "uniform_progress", "--jobs", "5", "--json")
    first, again, other = (simulate(capsys, *drawn, "--seed", seed)[1] for seed in ("7", "7", "8"))
    assert first == again != other


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trace", "nowhere"), "there is no file or folder nowhere"),
        (("--trace", __file__), "is not a trace"),
        (("--trace", TRACES), "too few for one job"),
        ((*SHORT, "--deadline", "2h"), "no machine meets a deadline of 2h 00m"),
        ((*SHORT, "--compute", "3"), "--compute: '3' is not a duration"),
        ((*SHORT, "--compute", "0h"), "--compute: '0h' is not a duration to simulate"),
        ((*SHORT, "--cadence", "often"), "--cadence: 'often' is not a duration"),
        ((*SHORT, "--zones", "some"), "--zones: 'some' is none of both, apart, together"),
        ((*SHORT, "--draw", "run.gif"), "run.gif is no picture"),
        ((*SHORT, "--draw", "/no/where/run.png"), "there is no folder /no/where"),
        ((*SHORT, "--policy", "hope"), "thrifty"),
        ((), "--trace"),
    ],
)
def test_says_what_is_wrong_with_the_order(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    code, out, err = simulate(capsys, *words)
    assert (code, out) == (2, "")
    assert said in err
