"""Hours of the week, at the moments at which clocks are set."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from holdfast.contracts.hours import Day, HoursSpec
from holdfast.policy.hours import Hours, hours_at

MINUTE = timedelta(minutes=1)


def hours(begins: str, ends: str, zone: str, *days: Day) -> HoursSpec:
    return HoursSpec.model_validate({"begins": begins, "ends": ends, "zone": zone, "days": days or tuple(Day)})


OFFICE = hours("08:00", "18:30", "Europe/Berlin", Day.MON, Day.TUE, Day.WED, Day.THU, Day.FRI)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def at(text: str, *specs: HoursSpec) -> Hours:
    return hours_at(utc(text), specs)


def awake_stretches(first: str, last: str, *specs: HoursSpec) -> list[tuple[str, str]]:
    """From change to change, as somebody would who sleeps until the next one."""
    now, found = utc(first), []
    while now < utc(last):
        answer = hours_at(now, specs)
        if answer.until is None:
            break
        if answer.within:
            found.append((now.strftime("%d %H:%M"), answer.until.strftime("%d %H:%M")))
        now = answer.until
    return found


def test_office_hours_in_winter_and_in_summer() -> None:
    assert at("2026-01-14T06:59", OFFICE) == Hours(within=False, until=utc("2026-01-14T07:00"))
    assert at("2026-01-14T07:00", OFFICE) == Hours(within=True, until=utc("2026-01-14T17:30"))
    assert at("2026-07-15T06:00", OFFICE) == Hours(within=True, until=utc("2026-07-15T16:30"))
    assert at("2026-07-15T16:30", OFFICE) == Hours(within=False, until=utc("2026-07-16T06:00"))


def test_the_week_ends_and_begins_again() -> None:
    assert at("2026-01-16T17:30", OFFICE) == Hours(within=False, until=utc("2026-01-19T07:00"))


def test_a_stretch_that_ends_before_it_begins_ends_next_day() -> None:
    night = hours("22:00", "06:00", "UTC", Day.SUN)
    assert at("2026-01-19T05:59", night) == Hours(within=True, until=utc("2026-01-19T06:00"))
    assert at("2026-01-18T05:00", night) == Hours(within=False, until=utc("2026-01-18T22:00"))


def test_without_hours_no_moment_is_within_them() -> None:
    assert at("2026-01-14T12:00") == Hours(within=False, until=None)


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        hours_at(datetime(2026, 1, 14), [OFFICE])  # noqa: DTZ001


def test_any_zone_may_ask() -> None:
    tokyo = datetime(2026, 1, 14, 16, 0, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert hours_at(tokyo, [OFFICE]) == Hours(within=True, until=utc("2026-01-14T17:30"))


def test_stretches_that_overlap_or_touch_are_one() -> None:
    three = (
        hours("08:00", "12:00", "UTC", Day.WED),
        hours("11:00", "14:00", "UTC", Day.WED),
        hours("14:00", "15:00", "UTC", Day.WED),
    )
    assert at("2026-01-14T09:00", *three) == Hours(within=True, until=utc("2026-01-14T15:00"))


def test_hours_that_never_end_have_no_next_change() -> None:
    always = (hours("00:00", "12:00", "Asia/Kolkata"), hours("12:00", "00:00", "Asia/Kolkata"))
    assert at("2026-01-14T09:00", *always) == Hours(within=True, until=None)


def test_a_time_that_the_clock_jumps_over_is_the_jump() -> None:
    """Berlin, 29 March 2026: from 02:00 to 03:00 at 01:00 UTC."""
    assert awake_stretches("2026-03-29T00:00", "2026-03-30T00:00", hours("02:30", "04:00", "Europe/Berlin")) == [
        ("29 01:00", "29 02:00")
    ]
    assert awake_stretches("2026-03-28T22:00", "2026-03-29T12:00", hours("01:00", "02:30", "Europe/Berlin")) == [
        ("29 00:00", "29 01:00")
    ]


def test_a_stretch_that_the_clock_jumps_over_does_not_happen() -> None:
    gone = hours("02:10", "02:50", "Europe/Berlin", Day.SUN)
    assert at("2026-03-29T00:00", gone) == Hours(within=False, until=utc("2026-04-05T00:10"))


def test_an_hour_that_happens_twice_belongs_to_it_both_times() -> None:
    """Berlin, 25 October 2026: back from 03:00 to 02:00 at 01:00 UTC."""
    assert awake_stretches("2026-10-24T23:30", "2026-10-25T12:00", hours("02:15", "02:45", "Europe/Berlin")) == [
        ("25 00:15", "25 01:45")
    ]
    assert awake_stretches("2026-10-24T12:00", "2026-10-25T12:00", hours("22:00", "02:30", "Europe/Berlin")) == [
        ("24 20:00", "25 01:30")
    ]


@pytest.mark.parametrize(
    ("zone", "day", "begins", "ends", "expected"),
    [
        ("America/New_York", "2026-03-08", "01:30", "03:30", ("08 06:30", "08 07:30")),
        ("Australia/Sydney", "2026-10-04", "01:00", "04:00", ("03 15:00", "03 17:00")),  # spring is in October
        ("Australia/Sydney", "2026-04-05", "01:00", "04:00", ("04 14:00", "04 18:00")),
        ("Australia/Lord_Howe", "2026-10-04", "01:45", "02:15", ("03 15:15", "03 15:30")),  # set by half an hour
        ("Asia/Kathmandu", "2026-05-06", "08:00", "09:00", ("06 02:15", "06 03:15")),  # 5:45 ahead
        ("Pacific/Chatham", "2026-09-27", "02:00", "04:00", ("26 13:15", "26 14:15")),  # 12:45, then 13:45 ahead
        ("America/St_Johns", "2026-11-01", "00:30", "02:30", ("01 03:00", "01 06:00")),
    ],
)
def test_real_transitions(zone: str, day: str, begins: str, ends: str, expected: tuple[str, str]) -> None:
    local_day = date.fromisoformat(day)
    spec = hours(begins, ends, zone, tuple(Day)[local_day.weekday()])
    start = datetime.combine(local_day, time(), ZoneInfo(zone)).astimezone(UTC)
    answer = hours_at(start, [spec])
    assert not answer.within and answer.until is not None
    ends_at = hours_at(answer.until, [spec]).until
    assert ends_at is not None
    assert (answer.until.strftime("%d %H:%M"), ends_at.strftime("%d %H:%M")) == expected


def test_a_day_that_an_island_skips_has_no_hours() -> None:
    """Samoa had no 30 December 2011, a Friday."""
    friday = hours("09:00", "17:00", "Pacific/Apia", Day.FRI)
    assert at("2011-12-28T00:00", friday) == Hours(within=False, until=utc("2012-01-05T19:00"))


# --- beside a scan of every minute ---------------------------------------------------------------------------------


def scanned(specs: Sequence[HoursSpec], first: datetime, minutes: int) -> list[bool]:
    """Each minute, asked of the wall clock alone: a day's stretch lasts from its first such minute to its last."""
    awake = [False] * minutes
    for spec in specs:
        seen: dict[date, tuple[int, int]] = {}
        for number, wall in enumerate(walls(spec.zone, first, minutes)):
            for day in (wall.date(), wall.date() - timedelta(days=1)):
                last_day = day if spec.begins < spec.ends else day + timedelta(days=1)
                if tuple(Day)[day.weekday()] not in spec.days:
                    continue
                if datetime.combine(day, spec.begins) <= wall < datetime.combine(last_day, spec.ends):
                    seen[day] = (min(number, seen.get(day, (number, 0))[0]), number)
        for earliest, latest in seen.values():
            awake[earliest : latest + 1] = [True] * (latest + 1 - earliest)
    return awake


@cache
def walls(zone: str, first: datetime, minutes: int) -> list[datetime]:
    """What a clock in this zone reads each minute."""
    return [(first + number * MINUTE).astimezone(ZoneInfo(zone)).replace(tzinfo=None) for number in range(minutes)]


TRANSITIONS = (
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Dublin", "2026-10-25"),
    ("America/New_York", "2026-11-01"),
    ("America/Santiago", "2026-09-06"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Pacific/Chatham", "2026-04-05"),
    ("Asia/Kathmandu", "2026-06-01"),
    ("Pacific/Apia", "2011-12-30"),
    ("Africa/Casablanca", "2026-03-22"),
)


@pytest.mark.parametrize("seed", range(20))
def test_it_agrees_with_a_scan_of_every_minute(seed: int) -> None:
    dice = random.Random(seed)
    zone, day = TRANSITIONS[seed % len(TRANSITIONS)]
    specs = [drawn(dice, zone) for _ in range(dice.choice([1, 1, 2, 3]))]
    margin = 2 * 1440
    first = utc(day) - timedelta(days=2) - margin * MINUTE
    awake = scanned(specs, first, 2 * margin + 5 * 1440)
    for number in range(margin, margin + 4 * 1440, 29):
        answer = hours_at(first + number * MINUTE, specs)
        assert answer.within == awake[number], (specs, first + number * MINUTE)
        change = next((each for each in range(number, len(awake)) if awake[each] != awake[number]), None)
        if change is not None:
            assert answer.until == first + change * MINUTE, (specs, first + number * MINUTE)


def drawn(dice: random.Random, zone: str) -> HoursSpec:
    """Near the small hours, when clocks are set, as often as not."""

    def clock() -> str:
        hour = dice.choice([0, 1, 2, 3]) if dice.random() < 0.5 else dice.randrange(24)
        return f"{hour:02}:{dice.randrange(0, 60, 5):02}"

    begins, ends = clock(), clock()
    if begins == ends:
        ends = f"{(int(ends[:2]) + 1) % 24:02}{ends[2:]}"
    return hours(begins, ends, dice.choice([zone, zone, "UTC"]), *dice.sample(tuple(Day), dice.randrange(1, 8)))


# --- what people write ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"begins": "8"}, "is not a time of day such as 08:30"),
        ({"begins": "25:00"}, "is not a time of day"),
        ({"begins": "08:00:30"}, "is not a time of day"),
        ({"begins": None}, "is not a time of day"),
        ({"ends": 1110}, "needs quotes, such as '18:30'"),
        ({"zone": "Berlin"}, "is not a time zone such as Europe/Berlin"),
        ({"zone": "../../etc/passwd"}, "is not a time zone"),
        ({"ends": "08:00"}, "the same time"),
        ({"days": []}, "at least 1 item"),
    ],
)
def test_hours_that_make_no_sense_are_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        HoursSpec.model_validate({"begins": "08:00", "ends": "18:00", "zone": "Europe/Berlin", **wrong})


def test_hours_come_through_a_history_as_they_were() -> None:
    assert HoursSpec.model_validate_json(OFFICE.model_dump_json()) == OFFICE


def test_an_hour_may_have_one_digit() -> None:
    assert hours("8:05", "18:30", "UTC") == hours("08:05", "18:30", "UTC")
