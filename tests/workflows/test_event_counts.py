"""How many events a workload writes into Temporal's histories: what a server stores, and what a cloud charges for.

docs/performance.md shows these figures. Time cannot be skipped while a watch is under way, so what recurs is counted
once, from one time to the next.
"""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowHandle

from holdfast.contracts import names
from holdfast.contracts.spec import CheckpointSpec
from holdfast.policy import budget
from tests.workflows.stories import PATIENCE, Story

A_LOOK_AT_THE_BUDGET = 11
A_SAVE_ON_THE_CLOCK = 22  # in the saver; its word to the workload is four more
A_FAILOVER = 57


async def test_while_nothing_happens_only_the_budget_is_looked_at(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.budget_looks = timedelta(seconds=1)
    await handle.signal("budget_changed")
    assert await _from_one_to_the_next(story.handle(), "keep_budget") == A_LOOK_AT_THE_BUDGET
    looks_a_day = timedelta(days=1) // budget.UNLIMITED_LOOK
    assert looks_a_day * A_LOOK_AT_THE_BUDGET < 100


async def test_a_save_on_the_clock(story: Story):
    handle = await story.begin(checkpoint=CheckpointSpec(every=timedelta(seconds=1)))
    await story.running(handle)
    saver = story.client.get_workflow_handle(names.checkpoints_id(story.name))
    assert await _from_one_to_the_next(saver, "save_checkpoint") == A_SAVE_ON_THE_CLOCK


async def test_a_failover(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=2)
    climb = story.client.get_workflow_handle(names.failover_id(story.name, 1))
    await climb.result()
    # The lost machine may be gone while another step is under way, which saves a task of three events.
    assert A_FAILOVER - 3 <= (await climb.describe()).history_length <= A_FAILOVER + 3


async def _from_one_to_the_next(handle: WorkflowHandle[Any, Any], step: str) -> int:
    """Events of the newest run, from an order of this activity to the next."""
    async with asyncio.timeout(PATIENCE):
        while True:
            orders = [
                event.event_id
                for event in (await handle.fetch_history()).events
                if event.activity_task_scheduled_event_attributes.activity_type.name == step
            ]
            if len(orders) >= 3:
                return orders[-1] - orders[-2]
            await asyncio.sleep(0.1)
