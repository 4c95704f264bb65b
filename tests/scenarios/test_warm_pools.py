"""A machine is lost, and a standby takes over: at once, with little to fetch, and paid by one at a time."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from holdfast.contracts import names
from holdfast.contracts.pools import PoolPhase, PoolSpec, PoolStatus
from tests.scenarios.conftest import Tell
from tests.scenarios.looking import GLANCE
from tests.scenarios.stage import PATIENCE, eventually
from tests.scenarios.story import Story

_PLANS = {"silence": "2s", "boot_timeout": "30s", "ladder": ["warmpool", "snapshot"]}


class Pool:
    def __init__(self, story: Story, name: str) -> None:
        self._story = story
        self.name = name

    async def begins(self, *serves: str, target: int, **more: Any) -> PoolStatus:
        spec = PoolSpec.model_validate(
            {
                "name": self.name,
                "resources": {"gpu": "RTX 4090", "disk_gb": 10},
                "price": {"max_hourly": "0.60"},
                "providers": ["vast"],
                "target": target,
                "sync": serves,
                "sync_every": "1s",
                "boot_timeout": "30s",
                **more,
            }
        )
        await self._story.holdfast.create_pool(spec)
        return await self.comes_to(
            lambda now: len([each for each in now.standbys if each.synced]) == target, f"{target} stand by"
        )

    async def comes_to(self, reached: Callable[[PoolStatus], bool], what: str) -> PoolStatus:
        last: object = None
        try:
            async with asyncio.timeout(PATIENCE):
                while not reached(last := await self._story.holdfast.pool(self.name)):
                    await asyncio.sleep(GLANCE)
        except TimeoutError:
            raise AssertionError(f"not within {PATIENCE:g} s: {what}; last: {last}") from None
        return last

    async def ends(self) -> None:
        """Nothing of it is left at the market but what was taken and is over by now."""
        await self._story.holdfast.remove_pool(self.name)
        await self.comes_to(lambda now: now.phase is PoolPhase.ENDED, "the pool ends")
        await asyncio.to_thread(eventually, lambda: not self.alive(), f"{self.name} has no machine any more")

    def alive(self) -> list[Any]:
        return [each for each in self._story.market.instances() if self._is_mine(each)]

    def bill(self) -> list[dict[str, Any]]:
        return [each for each in self._story.market.bill()["lines"] if self._is_mine(each)]

    def _is_mine(self, machine: dict[str, Any]) -> bool:
        return (machine["label"] or "").startswith(f"{names.pool_record(self.name)}.e")


async def _restores(story: Story, epoch_lost: int) -> list[dict[str, Any]]:
    """What each restore of a failover fetched."""
    history = await story.client.get_workflow_handle(names.failover_id(story.name, epoch_lost)).fetch_history()
    kinds: dict[int, str] = {}
    found = []
    for event in history.events:
        if event.HasField("activity_task_scheduled_event_attributes"):
            kinds[event.event_id] = event.activity_task_scheduled_event_attributes.activity_type.name
        elif event.HasField("activity_task_completed_event_attributes"):
            done = event.activity_task_completed_event_attributes
            if kinds[done.scheduled_event_id] == "resume_work":
                found.append(json.loads(done.result.payloads[0].data)["restored"])
    return found


@pytest_asyncio.fixture(loop_scope="session")
async def pools(tell: Tell) -> AsyncIterator[Callable[[Story], Pool]]:
    made: list[tuple[Story, Pool]] = []

    def make(story: Story) -> Pool:
        made.append((story, Pool(story, f"{story.name}-spare")))
        return made[-1][1]

    yield make
    for story, pool in made:
        status = await story.holdfast.pool(pool.name)
        if status.phase is not PoolPhase.ENDED:
            await story.holdfast.remove_pool(pool.name)


async def test_a_standby_takes_over_and_fetches_only_what_it_lacks(tell: Tell, pools: Callable[[Story], Pool]) -> None:
    story = tell("warm", steps=150)
    pool = pools(story)
    story.changes(failover={**_PLANS, "pool": pool.name})
    await story.begins()
    await story.works()
    standby = (await pool.begins(story.name, target=1)).standbys[0].lease
    story.market.kill(story.name)
    running = await story.works(epoch=2)
    assert running.lease is not None and running.lease.instance_id == standby.instance_id
    (restored,) = await _restores(story, 1)
    assert restored["bytes_fetched"] < restored["bytes_total"]
    refilled = await pool.comes_to(lambda now: len(now.standbys) == 1 and now.taken == 1, "it is filled again")
    assert refilled.standbys[0].lease.machine_id != standby.machine_id
    await story.finishes()
    await pool.ends()
    assert await story.weights() == await asyncio.to_thread(story.undisturbed.weights, 150)
    await _is_paid_by_one_at_a_time(story, pool, standby.instance_id)


async def _is_paid_by_one_at_a_time(story: Story, pool: Pool, instance_id: str) -> None:
    """Our two lines of the standby are its bill, to the second that the market rounds up in each period."""
    await asyncio.to_thread(
        eventually, lambda: all(each["until"] for each in pool.bill()), "no standby is billed any more"
    )
    (billed,) = [each for each in pool.bill() if str(each["instance"]) == instance_id]
    async with asyncio.timeout(PATIENCE):
        while True:
            lines = [each for each in (await story.holdfast.costs()).lines if each.instance_id == instance_id]
            if all(each.closed_at for each in lines):
                break
            await asyncio.sleep(GLANCE)
    assert [each.workload for each in lines] == [names.pool_record(pool.name), story.name]
    assert lines[0].closed_at == lines[1].opened_at
    dearest = max(each.hourly for each in lines)
    seconds = Decimal(3 + len(billed["periods"]))
    assert abs(sum(each.cost for each in lines) - Decimal(billed["total"])) <= dearest * seconds / 3600


@pytest.mark.long
async def test_a_standby_that_is_dead_when_claimed_is_passed_over(tell: Tell, pools: Callable[[Story], Pool]) -> None:
    story = tell("cold", steps=150)
    pool = pools(story)
    story.changes(failover={**_PLANS, "pool": pool.name})
    await story.begins()
    await story.works()
    first, second = (await pool.begins(story.name, target=2)).standbys
    story.market.kill(int(first.lease.instance_id))
    story.market.kill(story.name)
    running = await story.works(epoch=2)
    assert running.lease is not None and running.lease.instance_id != first.lease.instance_id
    await story.finishes()
    await pool.ends()
    assert second.lease.instance_id not in {str(each["id"]) for each in pool.alive()}


@pytest.mark.long
async def test_two_workloads_that_lose_their_machines_at_once_share_nothing(
    tell: Tell, pools: Callable[[Story], Pool]
) -> None:
    one, other = tell("one", steps=150), tell("other", steps=150)
    pool = pools(one)
    for story in (one, other):
        story.changes(failover={**_PLANS, "pool": pool.name})
        await story.begins()
    for story in (one, other):
        await story.works()
    standbys = {each.lease.instance_id for each in (await pool.begins(one.name, other.name, target=2)).standbys}
    one.market.kill(one.name)
    one.market.kill(other.name)
    taken = [(await story.works(epoch=2)).lease for story in (one, other)]
    assert {lease.instance_id for lease in taken if lease} == standbys
    for story in (one, other):
        await story.finishes()
    await pool.ends()


@pytest.mark.long
async def test_a_stopped_standby_costs_its_disk_until_it_is_started_for_the_work(
    tell: Tell, pools: Callable[[Story], Pool]
) -> None:
    story = tell("rest", steps=150)
    pool = pools(story)
    story.changes(failover={**_PLANS, "pool": pool.name})
    await story.begins()
    await story.works()
    await pool.begins(story.name, target=1, stopped=True, sync_every="1h")
    rests = await pool.comes_to(lambda now: all(each.stopped for each in now.standbys), "it is stopped")
    standby = rests.standbys[0].lease
    assert [each["state"] for each in pool.alive()] == ["exited"]  # the word of Vast.ai
    assert rests.hourly < standby.hourly / 4
    story.market.kill(story.name)
    running = await story.works(epoch=2)
    assert running.lease is not None and running.lease.instance_id == standby.instance_id
    (restored,) = await _restores(story, 1)
    assert restored["bytes_fetched"] < restored["bytes_total"]
    await story.finishes()
    await pool.ends()
    assert await story.weights() == await asyncio.to_thread(story.undisturbed.weights, 150)
    await _is_paid_by_one_at_a_time(story, pool, standby.instance_id)
