"""The provider's own bill, where a driver tells of it: machine by machine, complete, and as the market has it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast.providers.base import TellsCharges
from tests.conformance.providers.conftest import Account

AN_HOUR = timedelta(hours=1)
ROUNDED = Decimal("0.000002")  # the wire tells dollars to six places, for each part


def told(account: Account) -> TellsCharges:
    if not isinstance(account.provider, TellsCharges):
        pytest.skip(f"{account.driver.name} does not tell what it charges")
    return account.provider


async def test_what_is_charged_for_a_machine_that_is_gone_is_what_the_market_billed(account: Account) -> None:
    provider = told(account)
    machine = await account.rented()
    while not await account.provider.destroy(machine.instance_id):
        pass
    charged = {each.instance_id: each.amount for each in await provider.charges(datetime.now(UTC) - AN_HOUR)}
    billed = {str(line["instance"]): Decimal(line["total"]) for line in account.control.bill()["lines"]}
    assert machine.instance_id in charged and charged.keys() <= billed.keys()
    assert abs(charged[machine.instance_id] - billed[machine.instance_id]) <= ROUNDED


async def test_nothing_is_charged_for_a_time_before_there_was_a_machine(account: Account) -> None:
    provider = told(account)
    await account.rented()
    assert await provider.charges(datetime.now(UTC) + AN_HOUR) == []
