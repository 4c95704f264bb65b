"""The provider's own bill, where a driver tells of it: machine by machine, complete, and as the market has it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast.providers.base import TellsCharges
from holdfast.providers.conformance.account import Account
from tests.simmarket import RunningMarket

AN_HOUR = timedelta(hours=1)
ROUNDED = Decimal("0.000002")  # the wire tells dollars to six places, for each part


def told(account: Account) -> TellsCharges:
    provider = account.provider
    if not isinstance(provider, TellsCharges):
        pytest.skip(f"{provider.name} does not tell what it charges")
    return provider


async def test_what_is_charged_for_a_machine_that_is_gone_is_what_the_market_billed(
    account: Account, shared_market: RunningMarket
) -> None:
    provider = told(account)
    machine = await account.rented()
    while not await account.provider.destroy(machine.instance_id):
        pass
    charged = {each.instance_id: each.amount for each in await provider.charges(datetime.now(UTC) - AN_HOUR)}
    with shared_market.control as control:
        billed = {str(line["instance"]): Decimal(line["total"]) for line in control.bill()["lines"]}
    assert machine.instance_id in charged and charged.keys() <= billed.keys()
    assert abs(charged[machine.instance_id] - billed[machine.instance_id]) <= ROUNDED


async def test_nothing_is_charged_for_a_time_to_come(account: Account) -> None:
    provider = told(account)
    await account.rented()
    assert await provider.charges(datetime.now(UTC) + AN_HOUR) == []
