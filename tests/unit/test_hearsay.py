"""Words and numbers of a stranger's computer."""

import sqlite3

import pytest

from holdfast.client.payloads import PAYLOADS
from holdfast.contracts.channel import AgentError, understood
from holdfast.contracts.hearsay import LARGEST, number, text, visible, whole, words


def kind_of(said: object) -> str:
    return type(said).__name__  # some are too long to be printed


@pytest.mark.parametrize(
    "said", ["step 1\x1b]0;owned\x07\x1b[2K", "a\ud800b", "a\0b", "\x9b31m", "abc\u202efed", "\x7f"]
)
async def test_no_word_moves_a_cursor_or_breaks_a_database_or_a_payload(said: str) -> None:
    clean = words(said)
    assert clean.isprintable() and len(clean) == len(said)
    assert sqlite3.connect(":memory:").execute("select ?", (clean,)).fetchone() == (clean,)
    await PAYLOADS.encode([{"progress": clean}])


def test_what_people_write_stays_as_it_is() -> None:
    for said in ("step 120/400 · loss 0.31", "schön 日本 👩‍🔬", "two\nlines\tand a tab", ""):
        assert words(said) == said
    assert words("10%\r20%\r\ndone") == "10%\n20%\ndone"


def test_words_have_an_end() -> None:
    assert words("x" * 10, 10) == "x" * 10
    assert words("x" * 11, 10) == "x" * 9 + "…"


@pytest.mark.parametrize("said", [10**5000, {"a": 1}, ["x"], None, 1.5, b"\xff"], ids=kind_of)
def test_what_is_no_text_is_described_and_never_taken_for_one(said: object) -> None:
    assert len(words(said)) < 40
    with pytest.raises(ValueError, match="no text"):
        text(said)


@pytest.mark.parametrize("said", [True, 1.0, "1", None, -1, LARGEST + 1, 10**5000], ids=kind_of)
def test_a_whole_number_is_one_within_bounds(said: object) -> None:
    with pytest.raises(ValueError, match="number"):
        whole(said)


@pytest.mark.parametrize("said", [float("nan"), float("inf"), 10**5000, 1e300, True, "1", None], ids=kind_of)
def test_a_number_is_finite(said: object) -> None:
    with pytest.raises(ValueError, match="number"):
        number(said)


def test_an_agents_error_is_clean_and_short_wherever_it_comes_from() -> None:
    error = AgentError("kind" * 100, "\x1b[8m" + "x" * 1_000_000)
    assert len(error.kind) == 40 and len(str(error)) == 2000 and "\x1b" not in str(error)


@pytest.mark.parametrize("said", [{}, {"n": []}, {"n": "x"}, {"n": None}, [], None, 7])
def test_an_answer_that_does_not_fit_is_nonsense(said: object) -> None:
    with pytest.raises(AgentError, match="the answer makes no sense") as failure, understood("the answer"):
        whole(said["n"])  # type: ignore[index]
    assert failure.value.kind == "nonsense"


def test_a_text_is_shown_whole_with_what_a_terminal_would_obey_as_numbers() -> None:
    assert visible("50%\r100%\r\n\tred: \x1b[31m \u202e \x9b é") == "50%\n100%\n\tred: \\x1b[31m \\u202e \\x9b é"
