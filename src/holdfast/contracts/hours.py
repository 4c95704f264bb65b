"""Hours of the week, as people write them: in local time."""

import re
from datetime import time, tzinfo
from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, field_validator, model_validator

from holdfast.contracts.written import Strict


class Day(StrEnum):
    MON, TUE, WED, THU, FRI, SAT, SUN = "mon", "tue", "wed", "thu", "fri", "sat", "sun"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone such as Europe/Berlin or UTC") from None
    return name


def _clock(given: object) -> object:
    """Also as it stands in JSON, with its seconds."""
    if isinstance(given, time):
        return given
    if isinstance(given, int):  # YAML 1.1 counts in sixties: 18:30 is 1110
        raise ValueError("a time of day needs quotes, such as '18:30': YAML reads it as a number without them")
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)(:00)?", given) if isinstance(given, str) else None
    if found is None:
        raise ValueError(f"{given!r} is not a time of day such as 08:30")
    return time(int(found[1]), int(found[2]))


class HoursSpec(Strict):
    """A stretch of the week in local time, daylight saving included. One that ends before it begins ends next day."""

    days: tuple[Day, ...] = Field(default=tuple(Day), min_length=1, description="on which it begins: mon … sun")
    begins: time = Field(description="such as 08:00")
    ends: time = Field(description="such as 18:30")
    zone: Annotated[str, AfterValidator(_zone)] = Field(default="UTC", description="such as Europe/Berlin")

    def time_zone(self) -> tzinfo:
        """The rules of its zone. Durable code may not look them up itself: they change."""
        return ZoneInfo(self.zone)

    @field_validator("begins", "ends", mode="before")
    @classmethod
    def _time_of_day(cls, given: object) -> object:
        return _clock(given)

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.begins == self.ends:
            raise ValueError("begins and ends are the same time; leave hours out for always")
        return self
