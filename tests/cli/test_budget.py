"""Amounts that are none are refused before anybody is asked."""

import pytest

from holdfast.cli.app import run


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["abc"], "'abc' is no amount of US dollars"),
        (["nan"], "'nan' is no amount of US dollars"),
        (["2000000"], "give a number from 0 to 1000000, or none"),
        (["--", "-5"], "'-5' is no amount of US dollars"),
        (["5", "--daily", "--total"], "a day or for all time, not both"),
        (["5", "--tenant", "lab", "--workload", "train"], "a tenant's or a workload's, not both"),
    ],
)
def test_what_is_no_budget_is_refused(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["budget", "set", *words]) == 2
    assert told in capsys.readouterr().err
