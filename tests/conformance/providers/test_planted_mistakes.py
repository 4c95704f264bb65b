"""The suite finds wrong drivers: each planted mistake fails the test that is there for it."""

from collections.abc import Awaitable, Callable

import pytest

from holdfast.providers.base import Provider
from holdfast.providers.conformance import abilities, launching, living, searching
from holdfast.providers.conformance.account import Account
from holdfast.providers.conformance.subject import WRONG_KEY, Fault
from tests.conformance.providers import wrong
from tests.conformance.providers.drivers import VAST
from tests.conformance.providers.market import MarketControls
from tests.simmarket import RunningMarket

Test = Callable[[Account], Awaitable[None]]


def with_fault(test: Callable[[Account, Fault], Awaitable[None]], fault: Fault) -> Test:
    async def run(account: Account) -> None:
        await test(account, fault)

    return run


FOUND: list[tuple[type[wrong.Wrapped], Test]] = [
    (
        wrong.TakesSilenceForAbsence,
        with_fault(living.test_an_answer_that_fails_says_nothing_about_a_machine, Fault.DOWN),
    ),
    (
        wrong.TakesSilenceForNobody,
        with_fault(living.test_an_answer_that_fails_says_nothing_about_a_machine, Fault.PAGE),
    ),
    (
        wrong.TakesSilenceForNoMarket,
        with_fault(living.test_a_search_that_fails_is_not_an_empty_market, Fault.OTHER_SHAPE),
    ),
    (wrong.AsksOnce, with_fault(living.test_a_destroy_without_a_clear_answer_is_no_success, Fault.GATEWAY)),
    (wrong.AsksOnce, living.test_a_destroy_whose_answer_is_lost_is_no_success_and_may_be_repeated),
    (wrong.ForgetsLabels, launching.test_a_repeated_order_adopts_what_the_first_one_rented),
    (wrong.ForgetsLabels, launching.test_labels_that_differ_little_are_different_machines),
    (
        wrong.TakesSilenceForRefusal,
        launching.test_a_launch_whose_trace_is_not_found_is_unsettled_and_a_repeat_settles_it,
    ),
    (wrong.BelievesFilters, searching.test_what_nobody_offers_is_an_empty_answer),
    (wrong.TakesAWrongKeyForRefusal, searching.test_a_search_with_a_wrong_key_asks_for_a_person),
    (wrong.SaysTooMuch, abilities.test_flags_are_what_the_methods_say),
]


class WrongControls(MarketControls):
    """Opens the driver with its mistake."""

    mistake: type[wrong.Wrapped]

    def stranger(self, key: str = WRONG_KEY) -> Provider:
        spoilt: Provider = self.mistake(super().stranger(key))
        return spoilt


@pytest.mark.parametrize(
    ("mistake", "test"), FOUND, ids=[f"{mistake.__name__}-{place}" for place, (mistake, _) in enumerate(FOUND)]
)
async def test_a_planted_mistake_is_found(
    shared_market: RunningMarket, mistake: type[wrong.Wrapped], test: Test
) -> None:
    with shared_market.control as control:
        controls = WrongControls(VAST, shared_market, control)
        controls.mistake = mistake
        controls.reset()
        right = controls.open()
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            await test(Account(VAST.subject, mistake(right), controls))
        controls.reset()
        await right.close()
