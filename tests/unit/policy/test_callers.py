from datetime import UTC, datetime, timedelta

from holdfast.contracts.endpoints import IdleNotice, WakeRequest
from holdfast.policy.callers import GAPS_KEPT, MISSED_FOR, Callers

NOW = datetime(2026, 11, 28, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PASS = 5 * MINUTE


def asks(callers: Callers, gateway: str = "g1", at: datetime = NOW, **more: object) -> bool:
    return callers.asked(WakeRequest(gateway=gateway, **more), at, pass_for=PASS)  # type: ignore[arg-type]


def test_the_same_word_again_is_no_news_and_keeps_the_pass():
    callers = Callers((), None, ())
    assert asks(callers, waiting=1)
    assert not asks(callers, at=NOW + MINUTE, waiting=1)
    assert callers.next_expiry() == NOW + MINUTE + PASS
    assert asks(callers, at=NOW + MINUTE, waiting=2)


def test_a_pass_that_runs_out_counts_until_its_end():
    callers = Callers((), None, ())
    asks(callers)
    callers.forget_expired(NOW + PASS - MINUTE)
    assert callers.holders
    callers.forget_expired(NOW + PASS)
    assert callers.next_expiry() == NOW + PASS + MISSED_FOR
    callers.forget_expired(NOW + PASS + MISSED_FOR)
    assert (callers.holders, callers.last_call) == ((), NOW + PASS)


def test_a_pass_that_ran_out_while_nobody_could_renew_it_is_renewed_in_time():
    callers = Callers((), None, ())
    asks(callers, in_flight={"r0": 1})
    back = NOW + 3 * PASS  # when the workers are
    callers.forget_expired(back)
    assert not callers.are_off("r0", NOW)
    asks(callers, at=back + timedelta(seconds=10), in_flight={"r0": 1})
    callers.forget_expired(back + MISSED_FOR)
    assert callers.in_flight == 1


def test_a_pass_that_is_given_back_counts_until_its_last_request():
    callers = Callers((), None, ())
    asks(callers)
    callers.gave_back(IdleNotice(gateway="g1", quiet_for=timedelta(seconds=5)), NOW + MINUTE)
    assert callers.last_call == NOW + MINUTE - timedelta(seconds=5)


def test_a_word_of_a_gateway_that_has_no_pass_changes_nothing():
    callers = Callers((), NOW, ())
    callers.gave_back(IdleNotice(gateway="ghost", quiet_for=timedelta()), NOW + MINUTE)
    assert callers.last_call == NOW


def test_gaps_are_from_the_last_request_to_the_next_and_only_so_many_are_kept():
    callers = Callers((), NOW, [MINUTE] * GAPS_KEPT)
    asks(callers, at=NOW + 3 * MINUTE)
    asks(callers, "g2", at=NOW + 4 * MINUTE)  # somebody calls already: no gap
    assert callers.gaps == [MINUTE] * (GAPS_KEPT - 1) + [3 * MINUTE]


def test_a_replica_is_left_alone_once_each_gateway_was_told_and_has_nothing_there():
    callers = Callers((), None, ())
    asks(callers, "g1", in_flight={"r0": 1})
    asks(callers, "g2")
    since = NOW + MINUTE
    asks(callers, "g1", at=since + MINUTE, in_flight={"r0": 1})
    assert not callers.are_off("r0", since)
    asks(callers, "g1", at=since + 2 * MINUTE, in_flight={"r1": 4})
    assert not callers.are_off("r0", since)  # g2 does not know it yet
    asks(callers, "g2", at=since + 3 * MINUTE)
    assert callers.are_off("r0", since)
    assert not callers.are_off("r1", since)


def test_gateways_with_ever_new_names_do_not_pile_up():
    callers = Callers((), None, ())
    for number in range(1000):
        asks(callers, f"g{number}")
    assert len(callers.holders) == 100
    assert callers.holders[-1].gateway == "g999"


def test_what_was_told_before_a_moment_is_no_load_since_then():
    callers = Callers((), None, ())
    asks(callers, waiting=1, in_flight={"r0": 2})
    assert callers.load_since(NOW) == 0
    asks(callers, gateway="g2", at=NOW + MINUTE, waiting=1, in_flight={"r0": 3})
    assert callers.load_since(NOW) == 4
