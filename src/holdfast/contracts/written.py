"""What people write: strict on purpose, and with units."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_TEXT = 32_768  # characters of a command or a variable's value: some systems pass no longer ones on


class Strict(BaseModel):
    """What people write: an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def parse_duration(value: Any) -> Any:
    """Read `90s`, `5m`, `1h30m`, `2d`; a bare number is refused because its unit would be a guess.

    Raises:
        ValueError: the text is not a duration.
    """
    if isinstance(value, bool | int | float):
        raise ValueError(f"a duration needs its unit, for example {value}s or {value}m")
    if isinstance(value, str) and not value.startswith("P"):
        parts = _DURATION.findall(value)
        if not parts or _DURATION.sub("", value).strip():
            raise ValueError(f"{value!r} is not a duration; write it like 90s, 5m, 1h30m or 2d")
        try:
            return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
        except OverflowError:
            raise ValueError(f"{value!r} is longer than anything lasts") from None
    return value


def _carried(text: Any) -> Any:
    if isinstance(text, str) and "\0" in text:
        raise ValueError("holds a NUL character, which neither a command line nor an environment can carry")
    if isinstance(text, str) and any("\ud800" <= each <= "\udfff" for each in text):
        raise ValueError("holds half of a character, which no message can carry")
    return text


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
# Limits far above every use: what is longer is a slip of the pen, and no clock can be set to it.
HOUR, DAY, MONTH = timedelta(hours=1), timedelta(days=1), timedelta(days=30)
Word = Annotated[str, Field(min_length=1, max_length=100), BeforeValidator(_carried)]
Line = Annotated[str, Field(min_length=1, max_length=1024), BeforeValidator(_carried)]
Text = Annotated[str, Field(max_length=LONGEST_TEXT), BeforeValidator(_carried)]
