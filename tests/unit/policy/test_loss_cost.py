"""What a loss costs a workload: a move and the work since its last save, and what its own losses tell."""

from datetime import timedelta

import pytest

from holdfast.policy.loss_cost import LONGEST_MOVE, USUAL_MOVE, cost_of_loss

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def test_as_long_as_nothing_was_measured_it_is_a_move_and_half_of_the_cadence() -> None:
    assert cost_of_loss(10 * MINUTE) == timedelta(minutes=15)
    assert cost_of_loss(4 * HOUR) == USUAL_MOVE + 2 * HOUR


def test_its_own_losses_move_it_the_more_the_more_there_are() -> None:
    one, many = (cost_of_loss(10 * MINUTE, [(20 * MINUTE, 40 * MINUTE)] * times) for times in (1, 17))
    assert one == (3 * timedelta(minutes=15) + HOUR) / 4
    assert many / HOUR == pytest.approx((3 * 0.25 + 17) / 20)


def test_to_wait_for_an_offer_costs_nothing() -> None:
    assert cost_of_loss(10 * MINUTE, [(2 * 24 * HOUR, MINUTE)]) == cost_of_loss(10 * MINUTE, [(LONGEST_MOVE, MINUTE)])
