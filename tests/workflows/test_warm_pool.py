"""Warm pools: standbys are rented, kept, taken, replaced and let go, and nothing is owned twice or by nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.service import RPCError

from holdfast.contracts import names
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.machines import Conduct, InstanceState
from holdfast.contracts.pools import (
    ClaimAnswer,
    ClaimRequest,
    PoolDemand,
    PoolInput,
    PoolPhase,
    PoolSpec,
    PoolStatus,
    ResizeRequest,
)
from holdfast.contracts.spec import FailoverSpec, PriceSpec, ResourcesSpec, Strategy
from tests.workflows.stories import PATIENCE, UNANSWERED, Story
from tests.workflows.world import Machine, World, a_checkpoint, an_offer


@dataclass
class Pool:
    story: Story
    name: str

    @property
    def world(self) -> World:
        return self.story.world

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        return self.story.client.get_workflow_handle(names.pool_id(self.name), result_type=PoolStatus)

    async def begins(self, **changes: Any) -> None:
        fields = {"name": self.name, "price": PriceSpec(max_hourly=Decimal(1)), "sync": (self.story.name,), **changes}
        order = PoolInput(spec=PoolSpec(**fields))
        await self.story.client.start_workflow(
            names.WARM_POOL, order, id=names.pool_id(self.name), task_queue=names.CONTROL_QUEUE
        )

    async def status(self) -> PoolStatus:
        while True:
            try:
                return await self.handle.query("status", result_type=PoolStatus)
            except RPCError as err:
                if err.status not in UNANSWERED:
                    raise
            await asyncio.sleep(0.02)

    async def has(self, ready: int, *, taken: int = 0) -> PoolStatus:
        """Wait until so many stand ready, each of them looked after."""
        async with asyncio.timeout(PATIENCE):
            while True:
                status = await self.status()
                synced = all(each.synced for each in status.standbys)
                settled = status.phase is (PoolPhase.READY if ready else PoolPhase.DRAINED)
                if len(status.standbys) == ready and synced and settled and status.taken == taken:
                    return status
                await asyncio.sleep(0.05)

    async def claim(self, workload: str, epoch: int, **more: Any) -> ClaimAnswer:
        request = ClaimRequest(pool=self.name, workload=workload, epoch=epoch, **more)
        return await self.handle.execute_update("claim", request, result_type=ClaimAnswer)

    def machine_of(self, status: PoolStatus, number: int = 0) -> Machine:
        return self.world.machines[status.standbys[number].lease.instance_id]


@pytest_asyncio.fixture(loop_scope="session")
async def pool(story: Story) -> AsyncIterator[Pool]:
    pool = Pool(story, f"p{story.name}")
    yield pool
    with suppress(RPCError):
        await story.client.get_workflow_handle(names.pool_id(pool.name)).terminate("the test is over")


async def _works_with(pool: Pool) -> WorkflowHandle[Any, Any]:
    failover = FailoverSpec(silence=timedelta(seconds=2), pool=pool.name, ladder=(Strategy.WARMPOOL, Strategy.SNAPSHOT))
    handle = await pool.story.begin(failover=failover)
    await pool.story.running(handle)
    del pool.world.offers[0]  # rented
    return handle


async def test_a_workload_that_loses_its_machine_goes_on_on_a_standby_and_the_pool_is_filled_again(pool: Pool) -> None:
    handle = await _works_with(pool)
    lost = pool.world.newest()
    await pool.begins()
    status = await pool.has(1)
    standby = status.standbys[0].lease
    assert pool.machine_of(status).restored == pool.world.heads[-1].manifest
    pool.world.outbid(lost)
    running = await pool.story.running(handle, epoch=2)
    assert running.lease is not None
    assert running.lease.instance_id == standby.instance_id
    assert running.lease.label == names.label(pool.story.name, 2)
    again = await pool.has(1, taken=1)
    assert again.standbys[0].lease.instance_id != standby.instance_id
    pool.world.finish(pool.world.machines[standby.instance_id])
    await handle.result()
    assert standby.instance_id not in pool.world.alive


async def test_a_standby_that_is_dead_when_claimed_is_given_up_and_the_next_one_takes_the_work(
    pool: Pool,
) -> None:
    handle = await _works_with(pool)
    lost = pool.world.newest()
    await pool.begins(target=2)
    status = await pool.has(2)
    dead, fit = (each.lease.instance_id for each in status.standbys)
    pool.world.fall_silent(pool.world.machines[dead])
    pool.world.outbid(lost)
    running = await pool.story.running(handle, epoch=3)
    assert running.lease is not None
    assert running.lease.instance_id == fit
    await pool.story.until(lambda: dead not in pool.world.alive)


async def test_without_a_free_standby_the_next_rung_is_climbed(pool: Pool) -> None:
    handle = await _works_with(pool)
    await pool.begins(target=0)
    await pool.has(0)
    pool.world.outbid(pool.world.newest())
    running = await pool.story.running(handle)
    while running.epoch == 1:
        running = await pool.story.running(handle)
    assert running.lease is not None
    assert running.lease.label == names.label(pool.story.name, running.epoch)


async def test_an_answer_to_a_claim_that_is_lost_is_given_again(pool: Pool) -> None:
    handle = await _works_with(pool)
    lost = pool.world.newest()
    await pool.begins()
    status = await pool.has(1)
    pool.world.claims_are_not_heard = 1
    pool.world.outbid(lost)
    running = await pool.story.running(handle, epoch=2)
    assert running.lease is not None
    assert running.lease.instance_id == status.standbys[0].lease.instance_id
    assert [each for each in pool.world.order if each.startswith("hand over")] == [
        f"hand over {status.standbys[0].lease.label}"
    ]


async def test_what_a_claim_was_given_is_let_go_when_nobody_hears_of_it(pool: Pool) -> None:
    handle = await _works_with(pool)
    lost = pool.world.newest()
    await pool.begins()
    given = (await pool.has(1)).standbys[0].lease.instance_id
    pool.world.claims_are_given_up = True
    pool.world.outbid(lost)
    running = await pool.story.running(handle, epoch=4)  # 2 was the claim's, 3 fences it off
    assert running.lease is not None and running.lease.instance_id != given
    await pool.story.until(lambda: given not in pool.world.alive)
    await pool.story.until(lambda: names.label(pool.story.name, 2) in pool.world.closed)


async def test_two_claims_at_once_get_two_standbys_and_a_third_gets_none(pool: Pool) -> None:
    pool.world.heads.append(_head(pool))
    await pool.begins(target=2)
    status = await pool.has(2)
    answers = await asyncio.gather(*(pool.claim(pool.story.name, epoch) for epoch in (1, 1, 2)))
    given = {answer.lease.instance_id for answer in answers if answer.lease}
    assert given <= {each.lease.instance_id for each in status.standbys}
    assert answers[0] == answers[1]


async def test_a_standby_that_dies_is_let_go_and_replaced(pool: Pool) -> None:
    pool.world.heads.append(_head(pool))
    await pool.begins(sync_every=timedelta(seconds=1))
    first = await pool.has(1)
    pool.world.outbid(pool.machine_of(first))
    async with asyncio.timeout(PATIENCE):
        while (status := await pool.status()).lost == 0 or not status.standbys:
            await asyncio.sleep(0.05)
    dead = first.standbys[0].lease.instance_id
    assert status.standbys[0].lease.instance_id != dead
    await pool.story.until(lambda: dead not in pool.world.alive)


async def test_a_newer_checkpoint_reaches_the_standby(pool: Pool) -> None:
    pool.world.heads.append(_head(pool))
    await pool.begins(sync_every=timedelta(seconds=1))
    status = await pool.has(1)
    pool.world.heads.append(_head(pool, 1))
    machine = pool.machine_of(status)
    await pool.story.until(lambda: machine.restored == pool.world.heads[-1].manifest)


async def test_a_pool_that_is_resized_drained_and_removed_leaves_nothing(pool: Pool) -> None:
    pool.world.heads.append(_head(pool))
    await pool.begins()
    await pool.has(1)
    await pool.handle.execute_update("resize", ResizeRequest(target=3), result_type=PoolStatus)
    grown = await pool.has(3)
    assert len({each.lease.machine_id for each in grown.standbys}) == 3
    assert grown.hourly == sum(each.lease.hourly for each in grown.standbys)
    await pool.handle.execute_update("drain", result_type=PoolStatus)
    assert (await pool.has(0)).phase is PoolPhase.DRAINED
    await pool.handle.execute_update("remove", result_type=PoolStatus)
    ended: PoolStatus = await pool.handle.result()
    assert ended.phase is PoolPhase.ENDED
    assert pool.world.alive == []
    assert all(machine.instance.state is InstanceState.GONE for machine in pool.world.machines.values())


@pytest.mark.long
async def test_a_pool_that_continues_as_new_keeps_its_standbys_and_remembers_its_claims(pool: Pool) -> None:
    handle = await _works_with(pool)
    await pool.begins(sync_every=timedelta(seconds=1))
    await pool.has(1)
    pool.world.outbid(pool.world.machines["i1"])
    await pool.story.running(handle, epoch=2)
    before = await pool.has(1, taken=1)
    run = (await pool.handle.describe()).run_id
    async with asyncio.timeout(PATIENCE):
        while (await pool.handle.describe()).run_id == run:
            await asyncio.sleep(0.1)
    after = await pool.has(1, taken=1)
    assert after.standbys[0].lease == before.standbys[0].lease
    assert await pool.claim(pool.story.name, 2) == before.claims[0].answer


def _head(pool: Pool, sequence: int = 0) -> CheckpointRef:
    return a_checkpoint(pool.story.name, 1, sequence, SaveReason.CADENCE)


# --- standbys that are stopped ---------------------------------------------------------------------------------------


async def _rests(pool: Pool, ready: int = 1) -> PoolStatus:
    """Wait until so many stand by, synced and stopped."""
    async with asyncio.timeout(PATIENCE):
        while True:
            status = await pool.has(ready, taken=(await pool.status()).taken)
            if all(each.stopped for each in status.standbys):
                return status
            await asyncio.sleep(0.05)


async def test_a_stopped_standby_costs_only_its_disk_and_takes_over_when_it_is_started(pool: Pool) -> None:
    handle = await _works_with(pool)
    lost = pool.world.newest()
    await pool.begins(stopped=True)
    status = await _rests(pool)
    (standby,) = status.standbys
    assert status.hourly == (standby.lease.storage_hourly or Decimal(0)) < standby.lease.hourly
    assert pool.machine_of(status).instance.state is InstanceState.STOPPED
    assert (standby.lease.label, InstanceState.STOPPED) in pool.world.metered
    assert pool.machine_of(status).restored == pool.world.heads[-1].manifest
    pool.world.outbid(lost)
    running = await pool.story.running(handle, epoch=2)
    assert running.lease is not None
    assert running.lease.instance_id == standby.lease.instance_id
    assert (await _rests(pool)).taken == 1


async def test_a_stopped_standby_whose_gpu_was_taken_is_given_up_and_the_next_rung_is_climbed(pool: Pool) -> None:
    handle = await _works_with(pool)
    lost = pool.world.newest()
    await pool.begins(stopped=True)
    standby = (await _rests(pool)).standbys[0].lease
    pool.world.gpu_is_taken = True
    pool.world.outbid(lost)
    running = await pool.story.running(handle)
    while running.epoch < 3:
        running = await pool.story.running(handle)
    assert running.lease is not None and running.lease.instance_id != standby.instance_id
    await pool.story.until(lambda: standby.instance_id not in pool.world.alive)
    conduct, _ = pool.world.conduct[names.label(pool.story.name, 2)]
    assert conduct is Conduct.NEUTRAL


async def test_a_stopped_standby_is_woken_for_a_newer_checkpoint_and_stopped_again(pool: Pool) -> None:
    pool.world.heads.append(_head(pool))
    await pool.begins(stopped=True, sync_every=timedelta(seconds=1))
    status = await _rests(pool)
    machine = pool.machine_of(status)
    stops = pool.world.order.count("stop machine")
    pool.world.heads.append(_head(pool, 1))
    await pool.story.until(lambda: machine.restored == pool.world.heads[-1].manifest)
    await pool.story.until(lambda: pool.world.order.count("stop machine") == stops + 1)
    assert (await _rests(pool)).standbys[0].lease.instance_id == machine.instance.instance_id


async def test_a_stopped_standby_whose_gpu_was_taken_is_replaced_when_that_is_noticed(pool: Pool) -> None:
    pool.world.heads.append(_head(pool))
    await pool.begins(stopped=True, sync_every=timedelta(seconds=1))
    first = (await _rests(pool)).standbys[0].lease
    pool.world.gpu_is_taken = True
    pool.world.heads.append(_head(pool, 1))
    async with asyncio.timeout(PATIENCE):
        while (status := await pool.status()).lost == 0 or not status.standbys:
            await asyncio.sleep(0.05)
    assert status.standbys[0].lease.instance_id != first.instance_id
    await pool.story.until(lambda: first.instance_id not in pool.world.alive)
    conduct, _ = pool.world.conduct[first.label]
    assert conduct is Conduct.NEUTRAL


async def test_a_claim_never_gets_a_standby_that_is_being_stopped(pool: Pool) -> None:
    """Claims come all the while; what is claimed is never stopped afterwards."""
    pool.world.heads.append(_head(pool))
    await pool.begins(stopped=True, sync_every=timedelta(seconds=1), target=2)
    await pool.story.until(lambda: bool(pool.world.alive))
    given: dict[str, int] = {}
    async with asyncio.timeout(PATIENCE):
        for epoch in range(1, 40):
            answer = await pool.claim(pool.story.name, epoch)
            if answer.lease is not None:
                machine = pool.world.machines[answer.lease.instance_id]
                assert (machine.instance.state is InstanceState.STOPPED) == answer.stopped
                given[answer.lease.instance_id] = pool.world.stops[answer.lease.instance_id]
            await asyncio.sleep(0.05)
    assert given
    assert {each: pool.world.stops[each] for each in given} == given


async def test_a_pool_of_stopped_standbys_needs_a_provider_that_can_pause(pool: Pool) -> None:
    pool.world.cannot_pause = True
    await pool.begins(stopped=True)
    with pytest.raises(WorkflowFailureError) as failed:
        await pool.handle.result()
    assert "keep a machine stopped" in str(failed.value.cause)
    assert pool.world.alive == []


# --- sized by demand -------------------------------------------------------------------------------------------------


async def test_a_pool_that_is_sized_by_demand_grows_and_a_person_overrules_it(pool: Pool) -> None:
    pool.world.heads.append(_head(pool))
    now = datetime.now(UTC)
    pool.world.demand = PoolDemand(days=7, served=20, losses=0, machine_hours=900.0, claims=(now, now, now))
    await pool.begins(size="demand", maximum=4, target=1)
    status = await pool.has(3)
    assert "3 by the largest bulk" in status.target_because
    await pool.handle.execute_update("drain", result_type=PoolStatus)
    assert (await pool.has(0)).target_because == ""
    await pool.handle.execute_update("resize", ResizeRequest(target=None), result_type=PoolStatus)
    await pool.has(3)


async def test_only_a_pool_that_is_sized_by_demand_can_go_back_to_it(pool: Pool) -> None:
    pool.world.heads.append(_head(pool))
    await pool.begins(target=0)
    with pytest.raises(WorkflowUpdateFailedError):
        await pool.handle.execute_update("resize", ResizeRequest(target=None), result_type=PoolStatus)


# --- spread and budget -----------------------------------------------------------------------------------------------


async def test_standbys_are_spread_over_the_regions_that_are_named(pool: Pool) -> None:
    pool.world.heads.append(_head(pool))
    pool.world.offers = [
        an_offer(number, region="SE" if number < 8 else "DE", hourly=f"0.{20 + number}") for number in range(10)
    ]
    await pool.begins(target=4, spread=True, resources=ResourcesSpec(regions=("SE", "DE")))
    status = await pool.has(4)
    assert sorted(each.lease.region for each in status.standbys) == ["DE", "DE", "SE", "SE"]


async def test_a_pool_whose_budget_is_used_up_lets_all_go_and_keeps_none_until_it_is_resized(pool: Pool) -> None:
    pool.world.heads.append(_head(pool))
    pool.world.budget_looks = timedelta(seconds=1)
    await pool.begins(target=2, sync_every=timedelta(seconds=1))
    await pool.has(2)
    pool.world.budget_is_used_up = "the budget of $1 is used up"
    await pool.has(0)
    await pool.story.until(lambda: pool.world.alive == [])
    pool.world.budget_is_used_up = ""
    await pool.handle.execute_update("resize", ResizeRequest(target=1), result_type=PoolStatus)
    await pool.has(1)


async def test_a_claim_during_which_the_pool_is_removed_leaves_one_owner_and_nothing_else(pool: Pool) -> None:
    pool.world.heads.append(_head(pool))
    await pool.begins(target=2)
    status = await pool.has(2)
    answer, _ = await asyncio.gather(
        pool.claim(pool.story.name, 1), pool.handle.execute_update("remove", result_type=PoolStatus)
    )
    await pool.handle.result()
    kept = {answer.lease.instance_id} if answer.lease is not None else set()
    assert set(pool.world.alive) == kept
    assert kept <= {each.lease.instance_id for each in status.standbys}
