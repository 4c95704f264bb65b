"""What a stranger's computer says, made fit to be kept and shown.

A rented machine may say anything. Words that nobody cleaned move a terminal's cursor, break a database's text column
and a payload's encoding; numbers that nobody checked overflow a date. Whoever reads a machine's answer reads it so.
"""

import math
import re

LONGEST = 500
"""Characters of a remark: progress, a reason, the name of a part."""
LONGEST_MESSAGE = 2000
"""Characters of an error, which may end with the last lines of a log."""
LARGEST = 2**53 - 1
"""What every JSON reader and every database column takes for the same whole number."""

# What a terminal obeys (C0, DEL, C1), what turns the order of letters (bidi), what is no character (surrogates).
_UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def words(said: object, longest: int = LONGEST) -> str:
    """Text of at most `longest` characters that any terminal, database and encoder takes; what it may not hold is `�`.

    Newlines and tabs stay, a return of the carriage is a newline. Something that is no text is described. Never raises.
    """
    text = said if isinstance(said, str) else _described(said)
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return _UNFIT.sub("\ufffd", cut.replace("\r\n", "\n").replace("\r", "\n"))


def visible(said: str) -> str:
    """All of a text, for a person at a terminal: what a terminal would obey is shown as its number instead."""
    return _UNFIT.sub(_number, said.replace("\r\n", "\n").replace("\r", "\n"))


def _number(unfit: re.Match[str]) -> str:
    code = ord(unfit[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def whole(said: object, *, least: int = 0, most: int = LARGEST) -> int:
    """A whole number between the two, both included. Raises ValueError."""
    if isinstance(said, bool) or not isinstance(said, int):
        raise ValueError(f"no whole number: {words(said, 40)!r}")
    if not least <= said <= most:
        raise ValueError(f"a number beyond {least} to {most}")
    return said


def number(said: object) -> float:
    """A finite number. Raises ValueError."""
    if isinstance(said, bool) or not isinstance(said, int | float):
        raise ValueError(f"no number: {words(said, 40)!r}")
    if not abs(said) <= LARGEST or math.isnan(said):
        raise ValueError("a number beyond all bounds")
    return float(said)


def text(said: object, longest: int = LONGEST) -> str:
    """`words` of what must be text. Raises ValueError."""
    if not isinstance(said, str):
        raise ValueError(f"no text: {words(said, 40)!r}")
    return words(said, longest)


def _described(said: object) -> str:
    """The value where it is small; of what may be endless, or may not be printed, only the kind."""
    return str(said) if said is None or isinstance(said, bool | float | Exception) else type(said).__name__
