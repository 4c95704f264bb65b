"""Looking at machines, stopping, starting and ending them."""

from datetime import timedelta
from decimal import Decimal

import pytest

from holdfast.contracts.machines import InstanceState, Terms
from holdfast.providers.base import ChangesBid, Pauses
from holdfast.providers.errors import CredentialsRefused, ProviderUnavailable
from holdfast.simcloud.model import Trouble
from tests.conformance.providers.conftest import Account
from tests.conformance.providers.waiting import until_state

RUNNING, STOPPED = InstanceState.RUNNING, InstanceState.STOPPED


async def test_abilities_are_what_the_methods_say(account: Account) -> None:
    assert account.provider.capabilities.pauses == isinstance(account.provider, Pauses)
    assert account.provider.capabilities.changes_bid == isinstance(account.provider, ChangesBid)


async def test_a_destroyed_machine_is_gone_and_may_be_destroyed_again(account: Account) -> None:
    rented = await account.rented()
    assert await account.provider.destroy(rented.instance_id)
    assert await account.provider.destroy(rented.instance_id)
    assert (await account.provider.inspect(rented.instance_id)).state is InstanceState.GONE
    assert account.alive() == []


async def test_a_machine_that_never_was_is_gone(account: Account) -> None:
    assert (await account.provider.inspect("4711")).state is InstanceState.GONE
    assert await account.provider.destroy("4711")


async def test_a_destroy_whose_answer_is_lost_is_no_success(account: Account) -> None:
    rented = await account.rented()
    account.control.add_fault(Trouble.LOST_RESPONSE, endpoint="destroy")
    with pytest.raises(ProviderUnavailable):
        await account.provider.destroy(rented.instance_id)
    assert await account.provider.destroy(rented.instance_id)


async def test_the_list_is_complete_and_a_label_narrows_it(account: Account) -> None:
    first, second = await account.rented(), await account.rented()
    listed = await account.provider.list_owned()
    assert [each.instance_id for each in listed] == [first.instance_id, second.instance_id]
    assert first.label is not None
    assert [each.instance_id for each in await account.provider.list_owned(first.label)] == [first.instance_id]
    assert list(await account.provider.list_owned("nobody.e1")) == []


async def test_a_list_of_more_than_a_page_is_complete(account: Account) -> None:
    for number in range(30):
        account.control.add_offer(
            gpu="RTX 4090", machine=80000 + number, host=8, region="Mali, ML", price=2, bid="0.05", share=0.01
        )
    rented = {(await account.rented()).instance_id for _ in range(27)}
    assert {each.instance_id for each in await account.provider.list_owned()} == rented


async def test_an_empty_list_does_not_make_a_machine_gone(account: Account) -> None:
    rented = await account.rented()
    account.control.add_fault(Trouble.EMPTY_LIST, endpoint="list", lasting=timedelta(minutes=1))
    for _ in range(4):  # by now each of the driver's ways to look has been used
        assert (await account.provider.inspect(rented.instance_id)).state is not InstanceState.GONE


@pytest.mark.parametrize("trouble", [Trouble.HTTP_ERROR, Trouble.DOWN])
async def test_an_api_that_fails_says_nothing_about_a_machine(account: Account, trouble: Trouble) -> None:
    rented = await account.rented()
    account.control.add_fault(trouble, lasting=timedelta(minutes=1))
    with pytest.raises(ProviderUnavailable):
        await account.provider.inspect(rented.instance_id)
    with pytest.raises(ProviderUnavailable):
        await account.provider.list_owned()
    account.control.clear_faults()
    assert (await account.provider.inspect(rented.instance_id)).state is not InstanceState.GONE


async def test_an_answer_that_takes_too_long_is_none(account: Account) -> None:
    rented = await account.rented()
    account.control.add_fault(Trouble.LATENCY, endpoint="show", seconds=20)
    account.control.add_fault(Trouble.LATENCY, endpoint="list", seconds=20)
    with pytest.raises(ProviderUnavailable):
        await account.provider.inspect(rented.instance_id)


async def test_a_provider_that_asks_to_slow_down_is_obeyed_and_answers(account: Account) -> None:
    rented = await account.rented()
    account.control.add_fault(Trouble.TOO_FREQUENT, lasting=timedelta(minutes=1), times=2)
    assert (await account.provider.inspect(rented.instance_id)).state is not InstanceState.GONE


async def test_a_wrong_key_does_not_make_a_machine_gone(account: Account) -> None:
    rented = await account.rented()
    stranger = account.driver.open(account.market.base_url, "a-wrong-key")
    with pytest.raises(CredentialsRefused):
        await stranger.inspect(rented.instance_id)
    with pytest.raises(CredentialsRefused):
        await stranger.destroy(rented.instance_id)
    await stranger.close()


async def test_a_stopped_machine_keeps_its_place_and_starts_again(account: Account) -> None:
    provider = _pausing(account)
    rented = await account.rented(Terms.ON_DEMAND)
    await until_state(account.provider, rented.instance_id, RUNNING)
    await provider.stop(rented.instance_id)
    stopped = await until_state(account.provider, rented.instance_id, STOPPED)
    assert stopped.ssh is None
    started = await provider.start(rented.instance_id)
    assert started.state in (InstanceState.STARTING, RUNNING)
    assert (await until_state(account.provider, rented.instance_id, RUNNING)).ssh is not None


async def test_a_start_finds_that_somebody_else_took_the_gpu(account: Account) -> None:
    provider = _pausing(account)
    rented = await account.rented(Terms.ON_DEMAND)
    await provider.stop(rented.instance_id)
    account.control.take(int(rented.instance_id))
    assert (await provider.start(rented.instance_id)).state is InstanceState.WAITING
    await provider.stop(rented.instance_id)  # withdraws the wish
    account.control.release(int(rented.instance_id))
    assert (await account.provider.inspect(rented.instance_id)).state is STOPPED


async def test_an_outbid_machine_is_no_longer_running(account: Account) -> None:
    rented = await account.rented()
    await until_state(account.provider, rented.instance_id, RUNNING)
    account.control.outbid(int(rented.instance_id))
    lost = await until_state(account.provider, rented.instance_id, InstanceState.INTERRUPTED, STOPPED)
    assert lost.ssh is None and lost.detail


async def test_a_higher_bid_wins_the_machine_back(account: Account) -> None:
    if not isinstance(account.provider, ChangesBid):
        pytest.skip("this provider's bids cannot be changed")
    rented = await account.rented()
    await until_state(account.provider, rented.instance_id, RUNNING)
    account.control.outbid(int(rented.instance_id))
    await until_state(account.provider, rented.instance_id, InstanceState.INTERRUPTED, STOPPED)
    await account.provider.change_bid(rented.instance_id, Decimal("1.5"))
    assert await until_state(account.provider, rented.instance_id, RUNNING)


async def test_a_machine_whose_host_dies_has_exited(account: Account) -> None:
    rented = await account.rented()
    await until_state(account.provider, rented.instance_id, RUNNING)
    account.control.kill(int(rented.instance_id))
    assert await until_state(account.provider, rented.instance_id, InstanceState.EXITED)


async def test_a_machine_that_the_provider_lost_sight_of_is_offline(account: Account) -> None:
    rented = await account.rented()
    await until_state(account.provider, rented.instance_id, RUNNING)
    account.control.offline(int(rented.instance_id))
    assert await until_state(account.provider, rented.instance_id, InstanceState.OFFLINE)
    account.control.online(int(rented.instance_id))
    assert await until_state(account.provider, rented.instance_id, RUNNING)


def _pausing(account: Account) -> Pauses:
    if not isinstance(account.provider, Pauses):
        pytest.skip("this provider cannot stop a machine")
    return account.provider
