"""Record golden histories: `python -m tests.replay.record` plays each story and keeps what the server wrote.

Record a story when it is new, or when it takes a branch that no history has. Never re-record one because replay
fails: that failure is the point. Patch the workflow (`workflow.patched`) so that both histories replay.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import temporalio
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from holdfast.client.payloads import PAYLOADS
from holdfast.contracts import names
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.machines import InstanceState, Terms
from holdfast.contracts.memory import StrategyRecord
from holdfast.contracts.pools import ClaimAnswer, ClaimRequest, PoolInput, PoolSpec, Size
from holdfast.contracts.spec import (
    CheckpointSpec,
    DeadlineSpec,
    FailoverSpec,
    Order,
    PolicySpec,
    PriceSpec,
    Strategy,
    WhenStalled,
)
from holdfast.contracts.workload import Ack, FailoverRequest, Phase, StopRequest
from tests.replay import serving
from tests.workflows.conftest import DYNAMIC_CONFIG
from tests.workflows.stories import Story, run_story
from tests.workflows.world import Machine, a_checkpoint, an_offer

FOLDER = Path(__file__).parent / "histories"
PLACES = (
    f"{Path(temporalio.__file__).parents[1]}/",  # it need not lie in the checkout
    f"{Path(__file__).resolve().parents[2]}/",
    f"{Path(contextlib.__file__).parent}/",
)
"""Stack traces name files; where this checkout and this Python lie is nobody's business."""
Handle = WorkflowHandle[Any, Any]


async def finish(story: Story) -> Handle:
    """Placed, saved on cadence, finished."""
    handle = await story.begin(checkpoint=CheckpointSpec(every=timedelta(seconds=1), keep=2))
    await story.running(handle)
    await story.until(lambda: len(story.world.saves) >= 2)
    story.world.finish(story.world.newest())
    return handle


async def outbid(story: Story) -> Handle:
    """Outbid once, moved by snapshot, finished."""
    handle = await story.begin()
    await story.running(handle)
    await story.save_now(handle)
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=2)
    await story.until(lambda: bool(story.world.incidents and story.world.incidents[0].recovered_at))
    story.world.finish(story.world.newest())
    return handle


async def copied(story: Story) -> Handle:
    """A copy of the disk was kept; the next machine began with it."""
    story.world.copies_fail = True
    handle = await story.begin(
        checkpoint=CheckpointSpec(every=timedelta(seconds=1)),
        failover=FailoverSpec(
            silence=timedelta(seconds=2), disk_every=timedelta(minutes=10), ladder=(Strategy.REGIONAL,)
        ),
    )
    await story.until(lambda: "drop copy-1" in story.world.order)
    story.world.copies_fail = False
    await story.client.get_workflow_handle(names.disk_id(story.name)).terminate("by hand")
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=2)
    await story.until(lambda: any(each.taken_at for each in story.world.copies.values()))
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=3)
    story.world.finish(story.world.newest())
    await story.until(lambda: not story.world.copies)
    return handle


async def not_copied(story: Story) -> Handle:
    """The provider cannot copy disks."""
    story.world.cannot_copy = True
    handle = await story.begin(
        checkpoint=CheckpointSpec(every=timedelta(seconds=1)),
        failover=FailoverSpec(silence=timedelta(seconds=2), disk_every=timedelta(minutes=10)),
    )
    await story.until(lambda: story.world.calls["copy"] == 1 and not story.world.copies)
    story.world.finish(story.world.newest())
    return handle


async def rebooted(story: Story) -> Handle:
    """The machine restarted; the work went on in place."""
    handle = await story.begin()
    await story.running(handle)
    story.world.lose_work(story.world.newest())
    await story.running(handle, epoch=2)
    story.world.finish(story.world.newest())
    return handle


async def outage(story: Story) -> Handle:
    """Silent while the API was down; nothing moved until it answered."""
    handle = await story.begin()
    await story.running(handle)
    story.world.api_is_down = True
    story.world.fall_silent(story.world.newest())
    await story.until(lambda: story.world.calls["inspect"] >= 4)
    story.world.api_is_down = False
    await story.running(handle, epoch=2)
    story.world.finish(story.world.newest())
    return handle


async def refused(story: Story) -> Handle:
    """Two offers refused, the third taken."""
    story.world.refusals = {"o1": "gone", "o2": "bid too low"}
    handle = await story.begin()
    await story.running(handle)
    story.world.finish(story.world.newest())
    return handle


async def hiccup(story: Story) -> Handle:
    """The conversation broke in the middle of the restore, and was taken up again on the same machine."""
    story.world.breaks["restore"] = 1
    handle = await story.begin()
    await story.running(handle)
    story.world.finish(story.world.newest())
    return handle


async def paused(story: Story) -> Handle:
    """Paused and resumed; the second time the GPU was gone."""
    handle = await story.begin()
    await story.running(handle)
    for taken in (False, True):
        await handle.execute_update("pause", result_type=Ack)
        await story.reaches(handle, Phase.PAUSED)
        story.world.gpu_is_taken = taken
        await handle.execute_update("resume", result_type=Ack)
        await story.running(handle)
    story.world.finish(story.world.newest())
    return handle


async def used_up(story: Story) -> Handle:
    """Metered through a pause; then a budget was used up, and ended the work."""
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("pause", result_type=Ack)
    await story.reaches(handle, Phase.PAUSED)
    await handle.execute_update("resume", result_type=Ack)
    await story.running(handle)
    story.world.budget_is_used_up = "the budget of $5.00 is used up"
    await handle.signal("budget_changed")
    return handle


async def unpaid(story: Story) -> Handle:
    """Lost, and no budget pays for another machine."""
    handle = await story.begin()
    await story.running(handle)
    await story.save_now(handle)
    story.world.claims_are_refused = "the budget of $5.00 has $0.00 left"
    story.world.outbid(story.world.newest())
    return handle


async def moved(story: Story) -> Handle:
    """Moved because the operator asked."""
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("failover", FailoverRequest(reason="too dear"), result_type=Ack)
    await story.running(handle, epoch=2)
    story.world.finish(story.world.newest())
    return handle


async def stopped(story: Story) -> Handle:
    """Stopped by the operator while it ran."""
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("stop", StopRequest(), result_type=Ack)
    return handle


async def stopped_early(story: Story) -> Handle:
    """Stopped while its first machine was being rented."""
    story.world.moments.hold("launch 1 begins")
    handle = await story.begin()
    await story.moment("launch 1 begins")
    await story.order(handle, "stop", StopRequest())
    story.world.moments.go_on()
    return handle


async def stopped_while_moving(story: Story) -> Handle:
    """Stopped while a failover waited for the market."""
    handle = await story.begin()
    await story.running(handle)
    story.world.offers = []
    story.world.outbid(story.world.newest())
    await story.reaches(handle, Phase.FAILING_OVER)
    await story.until(lambda: story.world.calls["search"] >= 2)
    await handle.execute_update("stop", StopRequest(), result_type=Ack)
    return handle


async def failed(story: Story) -> Handle:
    """The command ended with an error."""
    story.world.work_takes = [3]
    return await story.begin()


async def no_offers(story: Story) -> Handle:
    """The market had nothing."""
    story.world.offers = []
    return await story.begin()


async def cancelled(story: Story) -> Handle:
    """Cancelled from the Web UI."""
    handle = await story.begin()
    await story.running(handle)
    await handle.cancel()
    return handle


async def continued(story: Story) -> Handle:
    """So long that it continued as new."""
    handle = await story.begin()
    await story.running(handle)
    first_run = (await handle.describe()).run_id
    while (await handle.describe()).run_id == first_run:
        story.world.blink(story.world.newest())
        await asyncio.sleep(0.2)
    await story.running(handle)
    story.world.finish(story.world.newest())
    return handle


async def cancelled_while_placing(story: Story) -> Handle:
    """Cancelled while its first machine was being rented."""
    story.world.moments.hold("launch 1 is done")
    handle = await story.begin()
    await story.moment("launch 1 is done")
    await handle.cancel()
    story.world.moments.go_on()
    return handle


async def cancelled_while_moving(story: Story) -> Handle:
    """Cancelled while the work was being started on the machine that took over."""
    handle = await story.begin()
    await story.running(handle)
    story.world.moments.hold("start_work 2 begins")
    story.world.outbid(story.world.newest())
    await story.moment("start_work 2 begins")
    await handle.cancel()
    story.world.moments.go_on()
    return handle


async def stopped_while_resuming(story: Story) -> Handle:
    """Stopped while the work was being started again on the machine that had been paused."""
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("pause", result_type=Ack)
    await story.reaches(handle, Phase.PAUSED)
    story.world.moments.hold("start_work 2 begins")
    await handle.execute_update("resume", result_type=Ack)
    await story.moment("start_work 2 begins")
    await handle.execute_update("stop", StopRequest(), result_type=Ack)
    story.world.moments.go_on()
    return handle


async def not_paused(story: Story) -> Handle:
    """A pause whose save broke off; the work went on in place."""
    handle = await story.begin()
    await story.running(handle)
    story.world.breaks["save"] = 1
    await handle.execute_update("pause", result_type=Ack)
    await story.running(handle, epoch=2)
    story.world.finish(story.world.newest())
    return handle


async def stayed(story: Story) -> Handle:
    """A leave that stayed, because the last save could not be had."""
    handle = await story.begin()
    await story.running(handle)
    story.world.breaks["save"] = 5
    await story.order(handle, "failover", FailoverRequest())
    await story.running(handle, epoch=2)
    story.world.finish(story.world.newest())
    return handle


async def asked_again(story: Story) -> Handle:
    """The saver was ended in the middle of the last save, which was asked for again two minutes later."""
    handle = await story.begin()
    await story.running(handle)
    story.world.moments.hold("save_checkpoint 1 begins")
    story.world.finish(story.world.newest())
    await story.moment("save_checkpoint 1 begins")
    await story.client.get_workflow_handle(names.checkpoints_id(story.name)).terminate("somebody")
    story.world.moments.go_on()
    async with asyncio.timeout(180):
        await handle.result()
    return handle


async def superseded(story: Story) -> Handle:
    """The saver's idea of the head was stale."""
    handle = await story.begin()
    await story.running(handle)
    story.world.heads.append(a_checkpoint(story.name, 1, 1, SaveReason.REQUESTED))
    story.world.finish(story.world.newest())
    return handle


async def outage_continued(story: Story) -> Handle:
    """An outage so long that the workload continued as new while it weighed the evidence."""
    handle = await story.begin()
    await story.running(handle)
    first_run = (await handle.describe()).run_id
    story.world.api_is_down = True
    machine = story.world.newest()
    story.world.fall_silent(machine)
    while (await handle.describe()).run_id == first_run:
        await handle.signal("provider_said", replace(machine.instance, state=InstanceState.OFFLINE))  # look again
        await asyncio.sleep(0.1)
    story.world.api_is_down = False
    await story.running(handle, epoch=2)
    story.world.finish(story.world.newest())
    return handle


async def raced(story: Story) -> Handle:
    """Outbid; two machines were tried at once in the lost one's region, and the second was ready first."""
    handle = await _lost_one(story, Strategy.REGIONAL, race=2)
    await story.until(lambda: bool(story.world.incidents and story.world.incidents[0].recovered_at))
    story.world.finish(story.world.machines["i3"])
    return handle


async def boxed(story: Story) -> Handle:
    """Outbid; by the order of experience, where the first strategy took too long and the second was quick."""
    story.world.recoveries = [StrategyRecord(strategy=Strategy.REGIONAL, times=9, typical=timedelta(seconds=1))]
    ladder = (Strategy.SNAPSHOT, Strategy.REGIONAL)
    handle = await _lost_one(story, *ladder, order=Order.AUTO, rung_timeout=timedelta(seconds=10))
    await story.until(lambda: len(story.world.machines) == 2)
    story.world.offers = [an_offer(9, region="US")]
    await story.until(lambda: bool(story.world.incidents and story.world.incidents[0].recovered_at))
    story.world.finish(story.world.newest())
    return handle


async def held_back(story: Story) -> Handle:
    """Outbid twice, with one move a day: it waited, until a person wanted the second."""
    story.world.slow_to_boot = set()
    handle = await _lost_one(story, Strategy.SNAPSHOT, per_day=1, slow=())
    await story.running(handle, epoch=2)
    story.world.outbid(story.world.newest())
    await story.until(lambda: not story.world.alive)
    await handle.execute_update("failover", FailoverRequest(), result_type=Ack)
    await story.running(handle, epoch=3)
    story.world.finish(story.world.newest())
    return handle


async def noticed(story: Story) -> Handle:
    """Its provider gave notice twice: once with time to save, once with too little."""
    handle = await story.begin()
    await story.running(handle)
    story.world.give_notice(story.world.newest(), left=timedelta(seconds=30))
    await story.running(handle, epoch=2)
    story.world.saves_hang = True
    story.world.give_notice(story.world.newest(), left=timedelta(seconds=3))
    await story.running(handle, epoch=3)
    story.world.saves_hang = False
    story.world.finish(story.world.newest())
    return handle


async def contract_ended(story: Story) -> Handle:
    """Left before its contract ended, and finished on a machine with a longer one."""
    soon = datetime.now(UTC) + timedelta(seconds=12)
    story.world.offers = [an_offer(1, contract_ends=soon)]
    policy = FailoverSpec(silence=timedelta(seconds=2), contract_margin=timedelta(seconds=5))
    handle = await story.begin(failover=policy)
    await story.running(handle)
    story.world.offers = [an_offer(2, contract_ends=soon + timedelta(days=1))]
    await story.running(handle, epoch=2)
    story.world.finish(story.world.newest())
    return handle


async def stalled(story: Story) -> Handle:
    """Stalled: started again in place, and moved when that did not help."""
    policy = FailoverSpec(
        silence=timedelta(seconds=2), stalled_after=timedelta(minutes=5), when_stalled=WhenStalled.RESTART
    )
    handle = await story.begin(failover=policy)
    await story.running(handle)
    for epoch in (2, 3):
        story.world.stall(story.world.newest(), for_=timedelta(minutes=10))
        await story.running(handle, epoch=epoch)
    story.world.finish(story.world.newest())
    return handle


async def stall_told(story: Story) -> Handle:
    """Stalled, which was told; it got on by itself."""
    policy = FailoverSpec(silence=timedelta(seconds=2), stalled_after=timedelta(minutes=5))
    handle = await story.begin(failover=policy)
    await story.running(handle)
    story.world.stall(story.world.newest(), for_=timedelta(minutes=10))
    await story.says(handle, "stalled: answers")
    story.world.get_on(story.world.newest())
    await story.says(handle, "answers")
    story.world.finish(story.world.newest())
    return handle


async def left_for_cheaper(story: Story) -> Handle:
    """Looked around three times, and left for a cheaper machine."""
    story.world.offers = [an_offer(1, "0.80")]
    policy = FailoverSpec(silence=timedelta(seconds=2), payback=timedelta(minutes=1))
    handle = await story.begin(failover=policy)
    await story.running(handle)
    searches = story.world.calls["search"]
    await story.until(lambda: story.world.calls["search"] >= searches + 2)
    story.world.recoveries = [
        StrategyRecord(strategy=Strategy.SNAPSHOT, times=10_000, typical=timedelta(), spent=timedelta())
    ]
    story.world.offers = [an_offer(2, "0.20")]
    await story.running(handle, epoch=2)
    story.world.finish(story.world.newest())
    return handle


async def drilled(story: Story) -> Handle:
    """A loss that was rehearsed: once the work moved, once it went on where it was, too dear to be moved."""
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("failover", FailoverRequest(reason="a drill", drill=Decimal(1)), result_type=Ack)
    await story.running(handle, epoch=2)
    await story.until(lambda: bool(story.world.incidents[-1].recovered_at))
    story.world.slow_to_boot = {"m1", "m3", "m4", "m5"}
    cheap = FailoverRequest(reason="a drill", drill=Decimal("0.0002"))
    await handle.execute_update("failover", cheap, result_type=Ack)
    await story.until(lambda: len({each.epoch_lost for each in story.world.incidents if each.recovered_at}) == 2)
    await story.running(handle)
    story.world.finish(next(each for each in story.world.machines.values() if each.running))
    return handle


async def told(story: Story) -> Handle:
    """A loss that was on record before it was answered, as losses are since."""
    handle = await story.begin()
    await story.running(handle)
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=2)
    await story.until(lambda: bool(story.world.losses and story.world.incidents[0].recovered_at))
    story.world.finish(story.world.newest())
    return handle


async def due(story: Story) -> Handle:
    """With a deadline: waits for spot, loses it, waits again, and goes on demand when the slack is needed."""
    second = timedelta(seconds=1)
    deadline = DeadlineSpec(work=60 * second, within=90 * second, changeover=2 * second)
    on_demand = [an_offer(9, "0.60", terms=Terms.ON_DEMAND, bid=None)]
    story.world.offers = on_demand
    handle = await story.begin(
        policy=PolicySpec(deadline=deadline),
        checkpoint=CheckpointSpec(every=5 * second),
        failover=FailoverSpec(silence=2 * second),
    )
    await story.reaches(handle, Phase.WAITING)
    story.world.offers = [an_offer(1), *on_demand]
    await story.running(handle)
    await story.save_now(handle)
    story.world.offers = on_demand
    story.world.outbid(story.world.newest())
    await story.until(lambda: story.world.alive == [])
    await story.running(handle, epoch=2)
    story.world.finish(story.world.newest())
    return handle


async def paused_and_gone(story: Story) -> Handle:
    """Paused; when it was resumed its machine was gone."""
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("pause", result_type=Ack)
    await story.reaches(handle, Phase.PAUSED)
    story.world.vanish(story.world.newest())
    await handle.execute_update("resume", result_type=Ack)
    await story.until(lambda: len(story.world.machines) == 2 and story.world.newest().running)
    await story.running(handle)
    story.world.finish(story.world.newest())
    return handle


async def _lost_one(story: Story, *ladder: Strategy, slow: tuple[str, ...] = ("m2",), **policy: Any) -> Handle:
    """The first machine is outbid while the market has others, some of them slow."""
    story.world.offers = [an_offer(1)]
    spec = FailoverSpec(ladder=ladder, silence=timedelta(seconds=2), **policy)
    handle = await story.begin(failover=spec)
    await story.running(handle)
    story.world.offers = [an_offer(number, f"0.{30 + number}") for number in range(1, 6)]
    story.world.slow_to_boot = set(slow)
    story.world.outbid(story.world.newest())
    return handle


async def in_fewer_steps(story: Story) -> Handle:
    """Outbid once; the first offer was refused, and the newest checkpoint cannot be read."""
    handle = await story.begin()
    await story.running(handle)
    await story.save_now(handle)
    story.world.rotten.add(story.world.heads[-1].manifest)
    story.world.refusals[story.world.offers[1].offer_id] = "gone"
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=3)
    await story.until(lambda: bool(story.world.incidents and story.world.incidents[0].recovered_at))
    story.world.finish(story.world.newest())
    return handle


async def stood_by(story: Story) -> Handle:
    """Outbid once; a stopped standby was started for the work, the pool filled again, and removed."""
    name = f"p{story.name}"
    handle = await story.begin(failover=FailoverSpec(silence=timedelta(seconds=2), pool=name))
    await story.running(handle)
    del story.world.offers[0]
    spec = PoolSpec(
        name=name, price=PriceSpec(max_hourly=Decimal(1)), sync=(story.name,), stopped=True, size=Size.DEMAND, maximum=3
    )
    pool = await story.client.start_workflow(
        names.WARM_POOL, PoolInput(spec=spec), id=names.pool_id(name), task_queue=names.CONTROL_QUEUE
    )
    await story.until(lambda: "stop machine" in story.world.order)
    story.world.outbid(_working(story))
    await story.running(handle, epoch=2)
    await story.until(lambda: story.world.order.count("stop machine") == 2)
    story.world.finish(_working(story))
    await pool.execute_update("remove")
    await pool.result()
    return handle


async def ordered(story: Story) -> Handle:
    """Saves were ordered of the workload and of its saver, and a standby of a pool was claimed by hand."""
    name = f"p{story.name}"
    handle = await story.begin()
    await story.running(handle)
    await story.save_now(handle)
    saver = story.client.get_workflow_handle(names.checkpoints_id(story.name))
    await saver.execute_update("save_now", result_type=CheckpointRef)
    await saver.execute_update("change_cadence", timedelta(minutes=5))
    spec = PoolSpec(name=name, price=PriceSpec(max_hourly=Decimal(1)), sync=(story.name,))
    pool = await story.client.start_workflow(
        names.WARM_POOL, PoolInput(spec=spec), id=names.pool_id(name), task_queue=names.CONTROL_QUEUE
    )
    await story.until(lambda: len(story.world.machines) == 2 and story.world.newest().restored is not None)
    answer = ClaimAnswer(refusal="not asked yet")
    while answer.lease is None:
        order = ClaimRequest(pool=name, workload=story.name, epoch=7)
        answer = await pool.execute_update("claim", order, result_type=ClaimAnswer)
    await pool.execute_update("remove")
    await pool.result()
    story.world.finish(_working(story))
    return handle


def _working(story: Story) -> Machine:
    """The machine on which the work runs."""
    return next(machine for machine in story.world.machines.values() if machine.running)


STORIES: dict[str, Callable[[Story], Awaitable[Handle]]] = {
    story.__name__: story
    for story in (
        finish,
        outbid,
        copied,
        not_copied,
        rebooted,
        outage,
        refused,
        hiccup,
        paused,
        used_up,
        unpaid,
        moved,
        stopped,
        stopped_early,
        stopped_while_moving,
        failed,
        no_offers,
        cancelled,
        continued,
        cancelled_while_placing,
        cancelled_while_moving,
        stopped_while_resuming,
        not_paused,
        stayed,
        asked_again,
        superseded,
        outage_continued,
        raced,
        boxed,
        held_back,
        noticed,
        contract_ended,
        stalled,
        stall_told,
        left_for_cheaper,
        paused_and_gone,
        drilled,
        told,
        due,
        in_fewer_steps,
        stood_by,
        ordered,
        serving.ordered_about,
        serving.served,
        serving.served_from_checkpoints,
        serving.served_elsewhere,
        serving.served_in_vain,
        serving.hibernated,
    )
}


async def record(client: Client, name: str) -> None:
    async with run_story(client) as story:
        handle = await STORIES[name](story)
        async with asyncio.timeout(60):
            await _ended(client, handle.id)
            await _ended(client, names.checkpoints_id(story.name))
        await asyncio.sleep(1)  # releases that nobody waits for
        for workflow_id in await _workflows(client, story.name):
            await keep(client, name, workflow_id)


async def _ended(client: Client, workflow_id: str) -> None:
    try:
        while (description := await client.get_workflow_handle(workflow_id).describe()).close_time is None:
            await asyncio.sleep(0.1)
        print(f"  {workflow_id}: {description.status.name if description.status else '?'}")
    except RPCError:
        print(f"  {workflow_id}: never began")


async def _workflows(client: Client, workload: str) -> set[str]:
    """By visibility, which lags a little, and by the ids that every story has."""
    found = {each.id async for each in client.list_workflows() if workload in each.id}
    return found | {names.workload_id(workload), names.checkpoints_id(workload), names.disk_id(workload)}


async def keep(client: Client, story: str, workflow_id: str) -> None:
    """Every run of the chain: a history that ends in continue-as-new must replay too."""
    runs = [each async for each in client.list_workflows(f"WorkflowId = '{workflow_id}'")]
    kind = workflow_id.split("/", maxsplit=1)[0]
    tail = workflow_id.rsplit(".", 1)[-1] if kind == "release" else workflow_id.rsplit("/", 1)[-1]
    suffix = f"-{tail}" if kind in ("release", "failover") else ""
    for number, run in enumerate(sorted(runs, key=lambda each: each.start_time)):
        history = await client.get_workflow_handle(workflow_id, run_id=run.run_id).fetch_history()
        path = FOLDER / f"{story}.{kind}{suffix}{f'-run{number}' if number else ''}.json"
        text = json.dumps(json.loads(history.to_json()), indent=1)
        for place in PLACES:
            text = text.replace(place, "")
        path.write_text(text + "\n")


@contextlib.asynccontextmanager
async def a_server() -> AsyncIterator[Client]:
    """A Temporal server as the stories have it, for as long as they are told."""
    flags = [flag for value in DYNAMIC_CONFIG for flag in ("--dynamic-config-value", value)]
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(Path(sys.executable).parent / "temporal"),
        dev_server_log_level="error",
        data_converter=PAYLOADS,
        search_attributes=list(names.SEARCH_ATTRIBUTES),
        dev_server_extra_args=flags,
    ) as environment:
        yield environment.client


async def main(chosen: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    async with a_server() as client:
        for name in chosen or STORIES:
            print(name)
            await record(client, name)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
