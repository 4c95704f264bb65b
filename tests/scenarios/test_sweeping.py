"""Machines that nobody owns are ended; whatever may be somebody's is not."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncssh
import pytest
import pytest_asyncio

from holdfast.client import machines
from holdfast.client.holdfast import Holdfast
from holdfast.contracts import names
from holdfast.contracts.machines import LaunchOrder, Requirements
from holdfast.contracts.sweeping import Finding, Known, Ruling, SweepResult
from holdfast.providers.vast.config import VastConfig
from holdfast.providers.vast.driver import VastProvider, connect
from holdfast.settings import SweepSettings
from holdfast.simcloud.model import Trouble
from tests.scenarios.conftest import Tell
from tests.scenarios.stage import PATIENCE, Stage

GRACE = timedelta(seconds=1)


@pytest_asyncio.fixture(loop_scope="session")
async def sweeper(holdfast: Holdfast, stage: Stage) -> Holdfast:
    """A client whose graces are short."""
    settings = stage.settings.model_copy(update={"sweep": SweepSettings(grace=GRACE)})
    return Holdfast(holdfast.temporal, settings=settings)


@pytest_asyncio.fixture(loop_scope="session")
async def account(stage: Stage) -> AsyncIterator[VastProvider]:
    """Our account at the provider, used behind Holdfast's back; what is left of it goes in the end."""
    provider = connect(VastConfig.of(stage.settings.providers["vast"]))
    before = {each.instance_id for each in await provider.list_owned()}
    yield provider
    for each in await provider.list_owned():
        if each.instance_id not in before:
            await provider.destroy(each.instance_id)
    await provider.close()


async def rent(account: VastProvider, label: str) -> str:
    """A machine that no workload ordered; its id."""
    offers = await account.search_offers(Requirements(gpu="RTX 4090"))
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    order = LaunchOrder(offer=offers[0], label=label, image="ubuntu:24.04", disk_gb=10, ssh_public_key=key)
    launched = await account.launch(order)
    assert launched.instance is not None, launched.refusal
    return launched.instance.instance_id


async def sweep(sweeper: Holdfast, *, dry_run: bool = False) -> SweepResult:
    (result,) = await sweeper.sweep(providers=("vast",), dry_run=dry_run)
    return result


async def sweep_until_ended(sweeper: Holdfast, label: str) -> Finding:
    """Again and again, as the schedule would, until the machine under this label is ended."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for finding in (await sweep(sweeper)).findings:
                if finding.label == label and finding.ruling is Ruling.END:
                    return finding
            await asyncio.sleep(0.2)


async def test_a_machine_of_an_ended_workload_is_ended_and_whatever_may_be_somebody_else_s_is_not(
    tell: Tell, sweeper: Holdfast, account: VastProvider
) -> None:
    story = tell("swept", steps=20)
    await story.begins()
    await story.finishes()
    ours, unheard = (await story.report()).leases[0].label, f"nobody-{uuid.uuid4().hex[:8]}.e1"
    orphan, elsewhere = await rent(account, ours), await rent(account, unheard)
    foreign = await rent(account, "a machine of my colleague")
    namesake = await rent(account, f"{story.name}.e1.zzzz")  # of another installation, with a workload of that name
    looked = await sweep(sweeper, dry_run=True)
    assert looked.foreign == 2
    assert {(each.label, each.known, each.ruling) for each in looked.findings} == {
        (ours, Known.CLOSED, Ruling.WAIT),
        (unheard, Known.NOTHING, Ruling.REPORT),
    }
    ended = await sweep_until_ended(sweeper, ours)
    assert ended.instance_id == orphan
    left = {each.instance_id for each in await account.list_owned()}
    assert {elsewhere, foreign, namesake} <= left
    await account.destroy(namesake)
    await story.leaves_no_machine()


async def test_a_second_machine_under_one_label_goes_alone(
    tell: Tell, sweeper: Holdfast, account: VastProvider
) -> None:
    story = tell("double", steps=150)
    await story.begins()
    running = await story.works()
    assert running.lease is not None
    # The driver itself would adopt the first: this is a provider that accepted one order twice.
    double = await rent(account, "to be renamed")
    story.market.relabel(int(double), running.lease.label)
    ended = await sweep_until_ended(sweeper, running.lease.label)
    assert (ended.instance_id, ended.known) == (double, Known.OTHER)
    assert [str(each["id"]) for each in story.alive()] == [running.lease.instance_id]
    await story.finishes()
    report = await story.report()
    assert report.incidents == ()


async def test_the_machine_of_a_terminated_workload_is_ended_and_its_cost_line_closed(
    tell: Tell, sweeper: Holdfast
) -> None:
    story = tell("terminated")
    await story.begins()
    running = await story.works()
    await story.client.get_workflow_handle(names.workload_id(story.name)).terminate("by hand")
    assert running.lease is not None
    ended = await sweep_until_ended(sweeper, running.lease.label)
    assert (ended.known, ended.instance_id) == (Known.ABANDONED, running.lease.instance_id)
    await story.leaves_nothing()
    last = (await story.report()).leases[-1]  # on a busy computer it may have moved before it was terminated
    assert last.closed_because == "swept: no run of its workload is left"


async def test_a_listing_that_lacks_our_machines_or_never_comes_ends_nothing(
    tell: Tell, sweeper: Holdfast, account: VastProvider
) -> None:
    story = tell("doubtful", steps=150)
    await story.begins()
    await story.works()
    orphan = await rent(account, f"{story.name}.e9")
    for trouble in (Trouble.EMPTY_LIST, Trouble.HTTP_ERROR, Trouble.DOWN):
        story.market.add_fault(trouble, endpoint="list", lasting=timedelta(minutes=10), status=500)
        result = await sweep(sweeper)
        assert result.doubt and result.findings == (), trouble
        story.market.clear_faults()
    assert orphan in {each.instance_id for each in await account.list_owned()}
    await story.finishes()
    report = await story.report()
    assert report.incidents == () and len(report.leases) == 1


@pytest.mark.long
async def test_sweeps_at_the_same_time_do_no_harm(tell: Tell, sweeper: Holdfast, account: VastProvider) -> None:
    story = tell("crowd", steps=20)
    await story.begins()
    await story.finishes()
    label = (await story.report()).leases[0].label
    await rent(account, label)
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(story.alive):
            await asyncio.gather(*(sweep(sweeper) for _ in range(3)))


# A provider's machines are listed every five seconds: ten minutes of it.
TEN_MINUTES = 120


@pytest.mark.parametrize("trouble", [Trouble.HTTP_ERROR, Trouble.EMPTY_LIST])
async def test_ten_minutes_of_nothing_but_errors_or_empty_lists_harm_nobody(
    tell: Tell, sweeper: Holdfast, account: VastProvider, trouble: Trouble
) -> None:
    story = tell("ordeal", steps=5_000)
    await story.begins()
    running = await story.works()
    orphan = await rent(account, f"nobody-{uuid.uuid4().hex[:8]}.e9")
    # Errors answer whatever is asked; the list is empty whoever reads it. Watch, workload and sweeps all meet them.
    endpoint = "list" if trouble is Trouble.EMPTY_LIST else None
    story.market.add_fault(trouble, endpoint=endpoint, times=TEN_MINUTES, lasting=timedelta(hours=1), status=500)
    while await asyncio.to_thread(story.market.faults):
        result = await sweep(sweeper)
        assert not [each for each in result.findings if each.ruling is Ruling.END]
        lasts = bool(await asyncio.to_thread(story.market.faults))  # while it does, nothing is believed
        assert result.doubt or not lasts
    status = await story.works()
    assert status.lease == running.lease, "it stayed where it was"
    assert running.lease is not None
    left = {each.instance_id for each in await account.list_owned()}
    assert {running.lease.instance_id, orphan} <= left
    banned = await machines.remembered(sweeper.temporal, provider=None, banned_only=True)
    assert running.lease.machine_id not in {each.machine_id for each in banned}
    await account.destroy(orphan)
    await story.holdfast.stop(story.name)
    await story.leaves_nothing()
    report = await story.report()
    assert report.incidents == () and len(report.leases) == 1
