"""Whether nobody uses a machine: shown for the whole time, and never guessed."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.contracts.hours import HoursSpec
from holdfast.contracts.spec import HibernateSpec
from holdfast.policy.idleness import HOLE, Idleness, Sample, Use, Verdict

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
EVERY = timedelta(seconds=30)
SPEC = HibernateSpec.model_validate({"after": "10m", "warn": "1m"})
IDLE = Sample(gpu_percent=0, cpu_percent=1, sessions=0, connections=0, progress_at=None)
UNTIL_SHOWN = int(timedelta(minutes=10) / EVERY) + 1  # samples


def watched(*samples: Sample, spec: HibernateSpec = SPEC, serves: bool = True) -> Verdict:
    """The verdict on the last of them; one came every half minute."""
    idleness = Idleness(spec, serves=serves)
    return [idleness.take(NOON + number * EVERY, sample) for number, sample in enumerate(samples)][-1]


def test_it_is_idle_when_nothing_showed_use_for_the_whole_time() -> None:
    verdict = watched(*[IDLE] * UNTIL_SHOWN)
    assert verdict == Verdict(use=Use.IDLE, reason="not used for 10 min", idle_for=timedelta(minutes=10))


def test_one_sample_less_shows_nothing_yet_but_how_long_it_has_been() -> None:
    verdict = watched(*[IDLE] * (UNTIL_SHOWN - 1))
    assert (verdict.use, verdict.idle_for) == (Use.UNKNOWN, timedelta(minutes=9.5))
    assert verdict.reason == "watched only since then, 9.5 min ago"


@pytest.mark.parametrize(
    ("sign", "reason"),
    [
        ({"gpu_percent": 5}, "the GPU was used at 5 %, 300 s ago"),
        ({"cpu_percent": 80}, "the CPU was used at 80 %, 300 s ago"),
        ({"sessions": 1}, "1 logged in, 300 s ago"),
        ({"connections": 2}, "2 connected, 300 s ago"),
        ({"progress_at": NOON + 29 * EVERY}, "the work made progress, 330 s ago"),
        ({"settling": True}, "its setup ran, 300 s ago"),
    ],
)
def test_one_sign_of_use_within_the_time_is_busy(sign: dict[str, object], reason: str) -> None:
    used = replace(IDLE, **sign)  # type: ignore[arg-type]
    verdict = watched(*[IDLE] * 30, used, *[IDLE] * 10)
    assert (verdict.use, verdict.reason) == (Use.BUSY, reason.replace("300 s", "5 min").replace("330 s", "5.5 min"))
    assert watched(*[IDLE] * 30, used, *[IDLE] * (UNTIL_SHOWN - 1)).use is Use.IDLE


@pytest.mark.parametrize(
    "lack", ["gpu_percent", "cpu_percent", "sessions", "connections"], ids=lambda lack: f"without {lack}"
)
def test_one_sample_that_lacks_something_within_the_time_is_unknown(lack: str) -> None:
    dark = replace(IDLE, **{lack: None})  # type: ignore[arg-type]
    assert watched(*[IDLE] * 30, dark, *[IDLE] * 10).use is Use.UNKNOWN
    assert watched(*[IDLE] * 30, dark, *[IDLE] * (UNTIL_SHOWN - 1)).use is Use.IDLE
    assert watched(*[dark] * 500).use is Use.UNKNOWN


def test_connections_do_not_count_where_there_is_no_service() -> None:
    for connections in (None, 3):
        sample = replace(IDLE, connections=connections)
        assert watched(*[sample] * UNTIL_SHOWN, serves=False).use is Use.IDLE


def test_a_load_that_is_not_looked_at_may_be_anything() -> None:
    spec = SPEC.model_copy(update={"gpu_below": 100.0, "cpu_below": 100.0})
    for load in (None, 100.0):
        sample = replace(IDLE, gpu_percent=load, cpu_percent=load)
        assert watched(*[sample] * UNTIL_SHOWN, spec=spec).use is Use.IDLE


def test_work_that_made_progress_before_it_was_watched_is_busy_until_that_is_long_ago() -> None:
    sample = replace(IDLE, progress_at=NOON - timedelta(minutes=3))
    assert watched(sample).use is Use.BUSY
    assert watched(*[sample] * UNTIL_SHOWN).use is Use.IDLE


def test_a_machine_whose_clock_is_ahead_has_made_progress_now() -> None:
    ahead = replace(IDLE, progress_at=NOON + timedelta(days=1))
    assert watched(ahead, *[IDLE] * (UNTIL_SHOWN - 1)).use is Use.IDLE
    assert watched(*[ahead] * 100).use is Use.BUSY


def test_busy_is_told_before_unknown() -> None:
    assert watched(replace(IDLE, gpu_percent=90), replace(IDLE, gpu_percent=None)).use is Use.BUSY


def test_a_hole_between_two_samples_begins_the_wait_anew() -> None:
    idleness = Idleness(SPEC)
    for number in range(15):
        idleness.take(NOON + number * EVERY, IDLE)
    back = NOON + 14 * EVERY + HOLE + timedelta(seconds=1)
    assert idleness.take(back, IDLE).reason == "nobody looked for 61 s, 0 s ago"
    for number in range(1, UNTIL_SHOWN - 1):
        assert idleness.take(back + number * EVERY, IDLE).use is Use.UNKNOWN
    assert idleness.take(back + timedelta(minutes=10), IDLE).use is Use.IDLE


def test_a_clock_that_goes_back_is_a_hole() -> None:
    idleness = Idleness(SPEC)
    for number in range(UNTIL_SHOWN):
        verdict = idleness.take(NOON + number * EVERY, IDLE)
    assert verdict.use is Use.IDLE
    assert idleness.take(NOON, IDLE).use is Use.UNKNOWN


def test_with_hours_only_it_never_sleeps_for_want_of_use() -> None:
    day = HoursSpec.model_validate({"begins": "08:00", "ends": "18:00"})
    spec = HibernateSpec(after=None, awake=(day,))
    assert watched(*[IDLE] * 500, spec=spec).use is Use.UNKNOWN


def draw(dice: random.Random, now: datetime) -> Sample:
    """Idle more often than not, or nothing would ever be shown."""
    return Sample(
        gpu_percent=dice.choice([0, 0, 0, 4.9, 0, 0, 0, None, 60]) if dice.random() < 0.2 else 0,
        cpu_percent=None if dice.random() < 0.01 else 2,
        sessions=dice.choice([0, 0, 0, None, 1]) if dice.random() < 0.1 else 0,
        connections=dice.choice([0, 0, 0, None, 1]) if dice.random() < 0.1 else 0,
        progress_at=now - dice.uniform(0, 20) * timedelta(minutes=1) if dice.random() < 0.02 else None,
    )


def test_no_window_with_anything_missing_or_used_is_idle_and_every_other_is() -> None:
    """Beside a list of all samples, looked through again each time."""
    idle = 0
    for seed in range(300):
        dice = random.Random(seed)
        idleness, now, taken = Idleness(SPEC, serves=True), NOON, list[tuple[datetime, Sample]]()
        for _ in range(120):
            now += EVERY if dice.random() < 0.99 else dice.choice([HOLE, HOLE * 3])
            sample = draw(dice, now)
            taken.append((now, sample))
            verdict = idleness.take(now, sample)
            assert (verdict.use is Use.IDLE) == looks_idle(taken, now), seed
            idle += verdict.use is Use.IDLE
    assert idle > 1000


def looks_idle(taken: list[tuple[datetime, Sample]], now: datetime) -> bool:
    began = now - timedelta(minutes=10)
    if taken[0][0] > began:
        return False
    for number, (at, sample) in enumerate(taken):
        if sample.progress_at is not None and sample.progress_at > began:
            return False
        if at <= began:
            continue
        if at - taken[number - 1][0] > HOLE:
            return False
        if None in (sample.gpu_percent, sample.cpu_percent, sample.sessions, sample.connections):
            return False
        if (sample.gpu_percent or 0) >= 5 or sample.sessions or sample.connections:
            return False
    return True
