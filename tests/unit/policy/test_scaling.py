"""How many replicas are awake: enough at once, fewer without flapping."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from holdfast.contracts.endpoints import EndpointPhase, ScaleSpec
from holdfast.policy.scaling import Limits, Peak, Replica, Report, Scaling, in_flight_at, scale

PASS_FOR = timedelta(minutes=5)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
COLD, WAKING, READY, DRAINING, PAUSED = (
    EndpointPhase.COLD,
    EndpointPhase.WAKING,
    EndpointPhase.READY,
    EndpointPhase.DRAINING,
    EndpointPhase.PAUSED,
)
LIMITS = Limits(scale=ScaleSpec(maximum=4, in_flight=8), idle=2 * MINUTE)
NOW_AND_HERE = timedelta()


def fleet(*phases: EndpointPhase, since: datetime = NOON - timedelta(hours=1)) -> list[Replica]:
    return [Replica(name=f"chat-r{number}", phase=phase, since=since) for number, phase in enumerate(phases)]


def busy(waiting: int = 0, age: timedelta = NOW_AND_HERE, **in_flight: int) -> Report:
    return Report(
        age=age, waiting=waiting, in_flight={f"chat-{name}": requests for name, requests in in_flight.items()}
    )


def asked(
    reports: Sequence[Report], replicas: Sequence[Replica], limits: Limits = LIMITS, *, peaks: Sequence[Peak] = ()
) -> Scaling:
    return scale(NOON, reports, replicas, limits, peaks=peaks)


def between(minimum: int, maximum: int) -> Limits:
    return replace(LIMITS, scale=ScaleSpec(minimum=minimum, maximum=maximum, in_flight=8))


# --- how many ------------------------------------------------------------------------------------------------------


def test_one_request_wakes_one_replica_and_so_do_as_many_as_it_answers_at_a_time() -> None:
    for waiting in (1, 8):
        assert asked([busy(waiting)], fleet(COLD, COLD)).wake == ("chat-r0",)
    assert asked([busy(9)], fleet(COLD, COLD)).wake == ("chat-r0", "chat-r1")


def test_requests_of_all_gateways_count_together() -> None:
    answer = asked([busy(3, r0=4), busy(0, r0=2)], fleet(READY, PAUSED))
    assert (answer.wanted, answer.wake) == (2, ("chat-r1",))
    assert answer.reason == "9 requests, 8 at a time: 2 replicas"


def test_a_replica_that_wakes_already_is_not_woken_twice() -> None:
    assert asked([busy(5)], fleet(WAKING, COLD)).wake == ()


def test_the_requests_of_a_gateway_whose_pass_ran_out_do_not_count() -> None:
    assert asked([busy(20, age=PASS_FOR)], fleet(COLD)).wanted == 0
    assert asked([busy(20, age=PASS_FOR - SECOND)], fleet(COLD)).wanted == 3


def test_there_are_never_more_than_the_maximum() -> None:
    answer = asked([busy(1000)], fleet(READY, COLD, COLD, COLD))
    assert (answer.wanted, len(answer.wake)) == (4, 3)
    assert answer.reason == "1000 requests, 8 at a time: 125 replicas; the maximum is 4"


def test_the_minimum_is_awake_while_nobody_calls() -> None:
    answer = asked([], fleet(COLD, COLD, COLD), between(2, 3))
    assert (answer.wanted, answer.wake) == (2, ("chat-r0", "chat-r1"))
    assert answer.reason == "0 requests, 8 at a time: 0 replicas; the minimum is 2"


def test_within_hours_one_is_awake_and_outside_of_them_not_even_the_minimum() -> None:
    assert asked([], fleet(COLD, COLD), replace(LIMITS, within_hours=True)).wanted == 1
    assert asked([], fleet(COLD, COLD), replace(between(2, 3), within_hours=True)).wanted == 2
    assert asked([], fleet(COLD, COLD), replace(between(2, 3), within_hours=False)).wanted == 0
    assert asked([busy(1)], fleet(COLD, COLD), replace(LIMITS, within_hours=False)).wanted == 1


# --- which ---------------------------------------------------------------------------------------------------------


def test_one_that_drains_takes_requests_again_before_another_is_woken() -> None:
    answer = asked([busy(20)], fleet(DRAINING, READY, COLD))
    assert (answer.keep, answer.wake) == (("chat-r0",), ("chat-r2",))


def test_one_with_a_disk_is_woken_before_one_without_and_the_last_that_slept_first() -> None:
    replicas = fleet(COLD, PAUSED, PAUSED)
    replicas[2] = replace(replicas[2], since=NOON - MINUTE)
    assert asked([busy(24)], replicas).wake == ("chat-r2", "chat-r1", "chat-r0")


def test_the_one_with_the_fewest_requests_goes_and_of_these_the_youngest() -> None:
    replicas = fleet(READY, READY, READY)
    assert asked([busy(r0=3, r1=1, r2=2)], replicas).retire == ("chat-r1", "chat-r2")
    replicas[1] = replace(replicas[1], since=NOON - MINUTE)
    assert asked([], replicas, between(2, 4)).retire == ("chat-r1",)


def test_one_that_wakes_replaces_none_that_is_ready() -> None:
    assert asked([busy(r0=1)], fleet(READY, WAKING)).retire == ()


def test_a_replica_stays_awake_for_the_least_time_after_each_wake() -> None:
    limits = replace(LIMITS, least=5 * MINUTE)
    young = fleet(READY, since=NOON - 4 * MINUTE)
    answer = asked([], young, limits)
    assert (answer.retire, answer.again_at) == ((), NOON + MINUTE)
    assert scale(NOON + MINUTE, [], young, limits).retire == ("chat-r0",)


def test_the_requests_at_a_replica_are_those_of_gateways_that_are_there() -> None:
    reports = [busy(r0=2), busy(r0=1, r1=5), busy(r0=9, age=PASS_FOR)]
    assert (in_flight_at("chat-r0", reports), in_flight_at("chat-r7", reports)) == (3, 0)


# --- without flapping ----------------------------------------------------------------------------------------------


def test_the_last_replica_sleeps_when_nobody_has_called_for_the_idle_time() -> None:
    awake = fleet(READY)
    called = asked([busy(r0=1)], awake)
    quiet = scale(NOON + MINUTE, [], awake, LIMITS, peaks=called.peaks)
    assert (quiet.retire, quiet.again_at) == ((), NOON + 3 * MINUTE)
    assert quiet.reason == "0 requests, 8 at a time: 0 replicas; 1 needed within the last 120 s"
    assert quiet.again_at is not None
    assert scale(quiet.again_at - SECOND, [], awake, LIMITS, peaks=quiet.peaks).retire == ()
    assert scale(quiet.again_at, [], awake, LIMITS, peaks=quiet.peaks).retire == ("chat-r0",)


def test_the_idle_time_counts_from_the_end_of_the_last_request_when_that_is_known() -> None:
    called = asked([busy(r0=1)], fleet(READY))
    quiet = scale(NOON + MINUTE, [], fleet(READY), LIMITS, peaks=called.peaks, quiet_for=20 * SECOND)
    assert quiet.again_at == NOON + 40 * SECOND + 2 * MINUTE


def test_a_request_longer_than_the_idle_time_keeps_its_replica() -> None:
    awake, peaks = fleet(READY), tuple[Peak, ...]()
    for minute in range(60):
        answer = scale(NOON + minute * MINUTE, [busy(r0=1)], awake, LIMITS, peaks=peaks)
        assert (answer.wanted, answer.retire) == (1, ())
        peaks = answer.peaks


def test_requests_in_waves_send_no_replica_to_sleep_between_two_of_them() -> None:
    awake, peaks = fleet(READY, READY), tuple[Peak, ...]()
    for step in range(100):
        reports = [busy(r0=6, r1=6)] if step % 2 else [busy(r0=2)]
        answer = scale(NOON + step * MINUTE, reports, awake, LIMITS, peaks=peaks)
        assert answer.retire == () or step == 0
        peaks = answer.peaks


def test_it_is_always_the_most_that_was_needed_within_the_idle_time() -> None:
    """Beside a plain list of all that ever was needed, second by second."""
    for seed in range(200):
        dice = random.Random(seed)
        limits = replace(LIMITS, scale=ScaleSpec(maximum=50, in_flight=3), idle=dice.randrange(1, 60) * SECOND)
        second, history, peaks = 0, list[int](), tuple[Peak, ...]()
        for _ in range(60):
            requests = dice.choice([0, 0, 1, 4, 9, dice.randrange(40)])
            answer = scale(NOON + second * SECOND, [busy(requests)], fleet(*[READY] * 50), limits, peaks=peaks)
            history.append(-(-requests // 3))
            window = 1 + limits.idle // SECOND  # what was needed in a second was needed until its end
            assert answer.wanted == max(history[-window:]), seed
            assert len(answer.retire) == 50 - answer.wanted
            peaks = answer.peaks
            assert len(peaks) <= 15, "it does not grow"
            step = dice.choice([1, 1, 5, 40])
            history += history[-1:] * (step - 1)
            second += step


def test_whatever_is_reported_it_stays_between_its_limits_and_never_takes_and_gives_at_once() -> None:
    for seed in range(500):
        dice = random.Random(seed)
        limits = between(minimum := dice.randrange(3), maximum := dice.randrange(max(minimum, 1), 6))
        replicas = fleet(*dice.choices([COLD, WAKING, READY, DRAINING, PAUSED], k=maximum))
        reports = [busy(dice.randrange(20), r0=dice.randrange(9)) for _ in range(dice.randrange(3))]
        answer = asked(reports, replicas, limits)
        assert minimum <= answer.wanted <= maximum
        up = sum(each.phase in (READY, WAKING) for each in replicas)
        assert up + len(answer.keep) + len(answer.wake) == max(up, answer.wanted)
        assert not answer.retire or not (answer.keep or answer.wake)
        ready = sum(each.phase is READY for each in replicas)
        assert ready - len(answer.retire) >= min(ready, answer.wanted)
        assert answer.again_at is None or answer.again_at > NOON
