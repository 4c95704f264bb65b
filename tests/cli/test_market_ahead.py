"""`market forecast`, `when` and `backtest` from CSV files: what they print, refuse and draw."""

import json
import re
from pathlib import Path

import pytest

from holdfast.cli import app
from tests.unit.market.examples import REAL

HEAD = "time,gpu,provider,region,kind,price,offers\n"


def ran(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = app.run(["market", *argv])
    told = capsys.readouterr()
    return code, told.out, told.err


def swinging(folder: Path) -> Path:
    """Dear for 8 hours, cheap for 4, over and over; it ends dear."""
    prices = [2.0 if hour % 12 < 8 else 1.0 for hour in range(668)]
    lines = [
        f"2026-01-{1 + hour // 24:02}T{hour % 24:02}:00,H100,vast,,spot,{price},3\n"
        for hour, price in enumerate(prices)
    ]
    path = folder / "swinging.csv"
    path.write_text(HEAD + "".join(lines))
    return path


def test_forecasts_and_says_who_is_in_charge(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "forecast", "h100", "--from", str(REAL), "--measure", "median")
    assert code == 0
    assert "H100 Vast.ai median: skill" in out
    assert "less than the last price" in out
    assert "IN CHARGE" in out
    assert err == ""


def test_the_lead_that_is_spoken_of_has_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = ran(capsys, "forecast", "H100", "--from", str(REAL), "--measure", "median")
    spoken_of = re.search(r"^at (\d+) h the forecasts erred (\d+)% less than the last price", out, re.MULTILINE)
    assert spoken_of and re.search(rf"^{spoken_of[1]} h .*  \+{spoken_of[2]}%  ", out, re.MULTILINE)
    assert out.count(" h  ") == len({1, 6, 24, 72, 168, int(spoken_of[1])})


@pytest.mark.parametrize("name", ["vast", "Vast.ai", "VAST.AI", "vastai"])
def test_a_provider_may_be_called_as_on_record_or_as_in_the_file(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, _ = ran(capsys, "forecast", "H100", "--from", str(REAL), "--provider", name)
    assert code == 0 and out.startswith("H100 Vast.ai min")


def test_a_flat_price_has_no_skill_and_that_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "forecast", "L40S", "--from", str(REAL), "--measure", "median")
    assert code == 0
    assert "L40S RunPod median: no skill" in out


def test_too_little_data_is_an_answer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text(HEAD + "2026-01-01,H100,vast,,spot,2,1\n")
    code, out, _ = ran(capsys, "forecast", "H100", "--from", str(path))
    assert code == 0
    assert "not enough data" in out
    code, out, _ = ran(capsys, "when", "H100", "--hours", "1", "--deadline", "1d", "--from", str(path))
    assert code == 0
    assert "not enough data; start now" in out


def test_says_that_other_series_would_fit(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, err = ran(capsys, "forecast", "H100", "--from", str(REAL))
    assert out.startswith("H100 Vast.ai min")
    assert "1 other series fits" in err


def test_json_has_every_hour(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("forecast", "H100", "--from", str(REAL), "--measure", "median", "--hours", "30", "--json")
    code, out, err = ran(capsys, *argv)
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert len(document["hours"]) == 30
    assert document["answer"] == "skill"


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_draws(capsys: pytest.CaptureFixture[str], tmp_path: Path, suffix: str) -> None:
    for gpu in ("H100", "L40S"):
        path = tmp_path / f"{gpu}.{suffix}"
        assert ran(capsys, "forecast", gpu, "--from", str(REAL), "--plot", str(path))[0] == 0
        assert path.stat().st_size > 10_000


def test_when_to_wait(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = swinging(tmp_path)
    code, out, _ = ran(capsys, "when", "H100", "--hours", "10", "--deadline", "34h", "--from", str(path))
    assert code == 0
    assert "wait: waiting promises" in out
    assert "$1.0000/h: start at this or below" in out
    document = json.loads(
        ran(capsys, "when", "H100", "--hours", "10", "--deadline", "34h", "--from", str(path), "--json")[1]
    )
    assert document["advice"]["wait"] is True
    assert document["cost_now"] == 20.0
    assert document["cost_expected"] < 12


def test_a_deadline_may_be_a_moment(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = swinging(tmp_path)
    argv = ("when", "H100", "--hours", "10", "--from", str(path), "--json", "--deadline")
    by_moment, by_span = ran(capsys, *argv, "2026-01-30T05:00")[1], ran(capsys, *argv, "34h")[1]
    assert json.loads(by_moment) == json.loads(by_span)


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (("forecast", "H101", "--from", str(REAL)), 4, "knows no GPU 'H101'"),
        (("forecast", "H100", "--from", str(REAL), "--provider", "aws"), 4, "has no provider 'aws'"),
        (("forecast", "H100", "--from", "nothing.csv"), 4, "no file nothing.csv"),
        (("forecast", "H100", "--from", str(REAL), "--plot", "x.gif"), 2, "is no picture"),
        (("forecast", "H100", "--from", str(REAL), "--hours", "169"), 2, "equal to 168"),
        (("when", "H100", "--hours", "10", "--deadline", "soon", "--from", str(REAL)), 2, "'soon' is no time"),
        (("when", "H100", "--hours", "10", "--deadline", "9h", "--from", str(REAL)), 2, "1h 00m are missing"),
        (("when", "H100", "--hours", "1", "--deadline", "2020-01-01", "--from", str(REAL)), 2, "are missing"),
        (("backtest", "nothing"), 4, "no file nothing"),
        (("backtest", str(REAL), "--group", "gold"), 4, "no group gold"),
    ],
)
def test_bad_input_is_answered_clearly(
    capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], code: int, told: str
) -> None:
    found, out, err = ran(capsys, *argv)
    assert (found, out) == (code, "")
    assert told in err


def test_a_broken_file_is_named_with_its_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "broken.csv"
    path.write_text(HEAD + "2026-01-01,H100,vast,,spot,two,1\n")
    code, out, err = ran(capsys, "backtest", str(path))
    assert (code, out) == (2, "")
    assert "broken.csv, line 2" in err
    assert "hint:" in err


def test_backtest_prints_skill_by_group_and_lead(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "backtest", str(REAL), "--origins", "24")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split()[:3] == ["GROUP", "LEAD", "SERIES"]
    assert [line.split()[:2] for line in lines if line.startswith("vast")] == [
        ["vast", str(h)] for h in (1, 6, 24, 72, 168)
    ]
    assert "never moved" in out
    rows = json.loads(ran(capsys, "backtest", str(REAL), "--origins", "24", "--group", "vast", "--json")[1])["rows"]
    assert [row["lead"] for row in rows] == [1, 6, 24, 72, 168]
