"""Looking at machines, and ending them: an answer that fails says nothing about a machine."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from holdfast.contracts.machines import Instance, InstanceState, Terms
from holdfast.providers.conformance.account import Account
from holdfast.providers.conformance.subject import Fault, Verb
from holdfast.providers.errors import CredentialsRefused, ProviderError, ProviderUnavailable

READING = [Fault.GATEWAY, Fault.PAGE, Fault.STRAY_404, Fault.OTHER_SHAPE, Fault.DOWN, Fault.SLOW]


async def test_a_destroyed_machine_is_gone_and_may_be_destroyed_again(account: Account) -> None:
    rented = await account.rented()
    await account.end(rented.instance_id)
    assert await account.provider.destroy(rented.instance_id)
    assert (await account.provider.inspect(rented.instance_id)).state is InstanceState.GONE
    assert await account.alive() == []


async def test_a_machine_that_never_was_is_gone(account: Account) -> None:
    assert (await account.provider.inspect(account.subject.never_was)).state is InstanceState.GONE
    assert await account.provider.destroy(account.subject.never_was)


async def test_a_destroy_whose_answer_is_lost_is_no_success_and_may_be_repeated(account: Account) -> None:
    rented = await account.rented()
    account.controls.fail(Fault.LOST, Verb.DESTROY)
    with pytest.raises(ProviderUnavailable):
        await account.provider.destroy(rented.instance_id)
    await account.end(rented.instance_id)
    assert await account.alive() == []


@pytest.mark.parametrize(
    "fault",
    [Fault.GATEWAY, Fault.PAGE, Fault.STRAY_404, Fault.OTHER_SHAPE, Fault.REFUSED_AS_OK, Fault.DOWN],
)
async def test_a_destroy_without_a_clear_answer_is_no_success(account: Account, fault: Fault) -> None:
    rented = await account.rented()
    account.controls.fail(fault, Verb.DESTROY, times=None)
    with suppress(ProviderError):
        assert not await account.provider.destroy(rented.instance_id)
    assert await account.alive() == [rented.instance_id]
    account.controls.mend()
    await account.end(rented.instance_id)


async def test_the_list_is_complete_and_a_label_narrows_it(account: Account) -> None:
    first, second = await account.rented(), await account.rented()
    assert {each.instance_id for each in await account.provider.list_owned()} >= {
        first.instance_id,
        second.instance_id,
    }
    assert first.label is not None
    assert [each.instance_id for each in await account.provider.list_owned(first.label)] == [first.instance_id]
    assert list(await account.provider.list_owned("nobody.e1")) == []


async def test_a_list_of_more_than_a_page_is_complete(account: Account) -> None:
    account.require(account.subject.page > 0, "lists all machines in one answer")
    account.controls.crowd(account.subject.page + 5)
    rented = {(await account.rented()).instance_id for _ in range(account.subject.page + 2)}
    assert {each.instance_id for each in await account.provider.list_owned()} == rented


async def test_an_empty_list_does_not_make_a_machine_gone(account: Account) -> None:
    rented = await account.rented()
    account.controls.fail(Fault.EMPTY, Verb.LIST, times=None)
    for _ in range(4):  # by now each of the driver's ways to look has been used
        assert (await account.provider.inspect(rented.instance_id)).state is not InstanceState.GONE


@pytest.mark.parametrize("fault", READING)
async def test_an_answer_that_fails_says_nothing_about_a_machine(account: Account, fault: Fault) -> None:
    rented = await account.rented()
    account.controls.fail(fault, times=None)
    with pytest.raises(ProviderUnavailable):
        await account.provider.inspect(rented.instance_id)
    with pytest.raises(ProviderUnavailable):
        await account.provider.list_owned()
    account.controls.mend()
    assert (await account.provider.inspect(rented.instance_id)).state is not InstanceState.GONE


async def test_a_failure_told_with_status_200_says_nothing_about_a_machine(account: Account) -> None:
    rented = await account.rented()
    account.controls.fail(Fault.REFUSED_AS_OK, times=None)
    with pytest.raises(ProviderError):
        await account.provider.inspect(rented.instance_id)
    with pytest.raises(ProviderError):
        await account.provider.list_owned()


@pytest.mark.parametrize("fault", READING)
async def test_a_search_that_fails_is_not_an_empty_market(account: Account, fault: Fault) -> None:
    account.controls.fail(fault, Verb.SEARCH, times=None)
    with pytest.raises(ProviderUnavailable):
        await account.provider.search_offers(account.needs())


async def test_a_provider_that_asks_to_slow_down_is_obeyed_and_answers(account: Account) -> None:
    rented = await account.rented()
    account.controls.fail(Fault.HASTE, times=2)
    assert (await account.provider.inspect(rented.instance_id)).state is not InstanceState.GONE


async def test_many_questions_at_once_are_all_answered(account: Account) -> None:
    rented = await account.rented()
    *seen, listed = await asyncio.gather(
        *(account.provider.inspect(rented.instance_id) for _ in range(5)), account.provider.list_owned(rented.label)
    )
    assert isinstance(listed, Sequence)
    assert [each.instance_id for each in listed] == [rented.instance_id]
    assert all(isinstance(each, Instance) and each.state is not InstanceState.GONE for each in seen)


async def test_a_wrong_key_does_not_make_a_machine_gone(account: Account) -> None:
    rented = await account.rented()
    stranger = account.controls.stranger()
    with pytest.raises(CredentialsRefused):
        await stranger.inspect(rented.instance_id)
    with pytest.raises(CredentialsRefused):
        await stranger.destroy(rented.instance_id)
    with pytest.raises(CredentialsRefused):
        await stranger.list_owned()
    await stranger.close()


async def test_an_interrupted_machine_is_no_longer_running(account: Account) -> None:
    running = await account.running(Terms.INTERRUPTIBLE)
    account.controls.interrupt(running.instance_id)
    lost = await account.until(running.instance_id, InstanceState.INTERRUPTED, InstanceState.STOPPED)
    assert lost.ssh is None and lost.detail


async def test_a_machine_whose_host_dies_does_not_seem_to_run(account: Account) -> None:
    running = await account.running()
    account.controls.kill_host(running.instance_id)
    assert await account.until(running.instance_id, *account.subject.when_host_dies)


async def test_a_machine_that_the_provider_lost_sight_of_is_not_gone_and_comes_back(account: Account) -> None:
    out_of_sight = account.subject.when_out_of_sight
    account.require(out_of_sight is not None, "has no word for a machine that it cannot reach")
    assert out_of_sight is not None
    running = await account.running()
    account.controls.hide(running.instance_id)
    assert await account.until(running.instance_id, out_of_sight)
    account.controls.unhide(running.instance_id)
    assert await account.until(running.instance_id, InstanceState.RUNNING)
