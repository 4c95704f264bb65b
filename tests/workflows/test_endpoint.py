"""An endpoint sleeps while nobody calls, wakes for whoever does, and never leaves a machine behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.api.workflowservice.v1 import PauseWorkflowExecutionRequest, UnpauseWorkflowExecutionRequest
from temporalio.service import RPCError

from holdfast.client.errors import AlreadyRunning
from holdfast.client.holdfast import Holdfast
from holdfast.contracts import names
from holdfast.contracts.endpoints import (
    DoorSpec,
    EndpointPhase,
    EndpointStatus,
    Pass,
    ScaleSpec,
    SleepSpec,
    WakeRequest,
    WokenFrom,
)
from holdfast.contracts.machines import InstanceState
from holdfast.contracts.spec import PauseMode
from holdfast.contracts.workload import Phase, WorkloadInput
from holdfast.records.store import Records
from holdfast.settings import load_settings
from tests.workflows.callers import Handle, begin, call, comes_to, hang_up, status, stock_of
from tests.workflows.stories import PATIENCE, Story

LETS_GO = SleepSpec(after=timedelta(seconds=1), least=timedelta(), mode=PauseMode.CHECKPOINT)


@pytest_asyncio.fixture(loop_scope="session")
async def leftovers(story: Story) -> AsyncIterator[None]:
    """What a failed test left running ends with it."""
    yield
    for workflow_id in [names.endpoint_id(story.name), *(names.workload_id(f"{story.name}-r{n}") for n in range(3))]:
        with suppress(RPCError):  # over already, or never begun: either is what we want
            await story.client.get_workflow_handle(workflow_id).terminate("the test is over")


pytestmark = pytest.mark.usefixtures("leftovers")


async def asleep(story: Story, handle: Handle) -> EndpointStatus:
    """Called once, and left alone until it sleeps."""
    await call(handle)
    await hang_up(handle)
    return await comes_to(handle, EndpointPhase.PAUSED)


async def woke(story: Story, *woken_from: WokenFrom) -> None:
    """These wakes are on record, and no more."""
    await story.until(lambda: len(story.world.wakes) >= len(woken_from))
    assert [each.woken_from for each in story.world.wakes] == list(woken_from)


async def test_nothing_is_rented_until_somebody_calls(story: Story):
    handle = await begin(story)
    assert (await comes_to(handle, EndpointPhase.COLD)).hourly == 0
    assert story.world.machines == {}
    given = await call(handle)
    assert [each.replica for each in given.routes] == [f"{story.name}-r0"]
    assert given.routes[0].lease.instance_id == "i1"
    await woke(story, WokenFrom.COLD)


async def test_it_sleeps_when_nobody_calls_and_wakes_on_its_own_machine(story: Story):
    handle = await begin(story)
    found = await asleep(story, handle)
    assert story.world.newest().instance.state is InstanceState.STOPPED
    assert found.wanted == 0
    given = await call(handle)
    assert (given.routes[0].lease.instance_id, given.routes[0].lease.epoch) == ("i1", 2)
    await woke(story, WokenFrom.COLD, WokenFrom.STOP)


async def test_asleep_by_checkpoint_nothing_is_billed_and_the_next_machine_has_the_state(story: Story):
    handle = await begin(story, sleep=LETS_GO)
    found = await asleep(story, handle)
    await story.until(lambda: story.world.alive == [])
    assert found.hourly == Decimal(0)
    last = story.world.heads[-1].manifest
    assert story.world.order.index(f"verify {last}") < story.world.order.index("destroy i1")
    given = await call(handle)
    assert given.routes[0].lease.instance_id == "i2"
    assert story.world.newest().restored == last
    await woke(story, WokenFrom.COLD, WokenFrom.CHECKPOINT)


async def test_a_checkpoint_that_cannot_be_read_back_keeps_the_machine(story: Story):
    handle = await begin(story, sleep=LETS_GO)
    await call(handle)
    story.world.saves_rot = True
    await hang_up(handle)
    await story.until(lambda: any(each.startswith("verify") for each in story.world.order))
    given = await call(handle)
    assert given.routes[0].lease.instance_id == "i1"
    assert "destroy i1" not in story.world.order


async def test_a_store_that_is_down_keeps_it_awake_and_serving(story: Story):
    handle = await begin(story)
    await call(handle)
    story.world.store_is_down = True
    await hang_up(handle)
    async with asyncio.timeout(PATIENCE):
        while "store does not answer" not in (found := await status(handle)).replicas[0].reason:
            await asyncio.sleep(0.05)
    assert found.replicas[0].wanted
    assert "stop work" not in story.world.order
    assert (await call(handle)).routes[0].lease.epoch == 1
    assert (await status(handle)).replicas[0].not_before is not None, "not tried again at once"


async def test_whoever_holds_a_pass_is_never_put_to_sleep_under(story: Story):
    handle = await begin(story)
    await call(handle, gateway="g1")
    await call(handle, gateway="g2")
    await hang_up(handle, gateway="g1")
    await asyncio.sleep(2.5)  # more than the idle time: nothing that could be waited for happens
    assert (await status(handle)).phase is EndpointPhase.READY
    await hang_up(handle, gateway="g2")
    await comes_to(handle, EndpointPhase.PAUSED)


async def test_a_gateway_that_died_keeps_it_awake_no_longer_than_its_pass(story: Story):
    handle = await begin(story, door=DoorSpec(pass_for=timedelta(seconds=5)))
    await call(handle)
    await comes_to(handle, EndpointPhase.PAUSED)


async def test_many_calls_at_once_are_one_wake(story: Story):
    handle = await begin(story)
    await asleep(story, handle)
    given = await asyncio.gather(*(call(handle, gateway=f"g{n}", waiting=20) for n in range(5)))
    assert {each.routes[0].lease.epoch for each in given} == {2}
    await woke(story, WokenFrom.COLD, WokenFrom.STOP)


async def test_a_call_while_it_falls_asleep_wakes_it_again(story: Story):
    handle = await begin(story)
    await call(handle)
    story.world.moments.hold("stop_instance 1 begins")
    await hang_up(handle)
    await story.moment("stop_instance 1 begins")
    calling = asyncio.create_task(call(handle))
    story.world.moments.go_on()
    assert (await calling).routes[0].lease.epoch == 2


async def test_a_call_while_it_is_saved_before_it_sleeps_is_answered_without_waiting_for_the_save(story: Story):
    handle = await begin(story)
    await call(handle)
    story.world.moments.hold("save_checkpoint 1 begins")
    await hang_up(handle)
    await story.moment("save_checkpoint 1 begins")
    assert (await call(handle)).routes[0].lease.epoch == 1
    assert not story.world.moments.reached("save_checkpoint 1 is done")
    assert (await status(handle)).replicas[0].failures == 0
    story.world.moments.go_on()
    await hang_up(handle)
    await comes_to(handle, EndpointPhase.PAUSED)


async def test_a_replica_that_hears_of_a_sleep_only_when_it_is_off_serves_on(story: Story):
    handle = await begin(story)
    await call(handle)
    replica = names.workload_id(f"{story.name}-r0")
    service, namespace = story.client.workflow_service, story.client.namespace
    await service.pause_workflow_execution(PauseWorkflowExecutionRequest(namespace=namespace, workflow_id=replica))
    await hang_up(handle)
    await comes_to(handle, EndpointPhase.DRAINING)
    calling = asyncio.create_task(call(handle))
    await comes_to(handle, EndpointPhase.WAKING)
    await service.unpause_workflow_execution(UnpauseWorkflowExecutionRequest(namespace=namespace, workflow_id=replica))
    assert (await calling).routes[0].lease.epoch == 1
    assert "stop work" not in story.world.order


async def test_a_gpu_that_was_taken_meanwhile_is_replaced_and_the_state_is_kept(story: Story):
    handle = await begin(story)
    await asleep(story, handle)
    story.world.gpu_is_taken = True
    given = await call(handle)
    assert given.routes[0].lease.instance_id == "i2"
    assert story.world.newest().restored == story.world.saves[-1].manifest
    await story.until(lambda: story.world.alive == ["i2"])


async def test_a_machine_that_is_lost_stands_in_no_pass_until_another_one_serves(story: Story):
    handle = await begin(story)
    first = await call(handle)
    story.world.moments.hold("await_service 2 begins")
    story.world.outbid(story.world.newest())
    await story.moment("await_service 2 begins")
    assert (await status(handle)).phase is EndpointPhase.WAKING
    story.world.moments.go_on()
    after = await call(handle)
    assert after.routes[0].lease.instance_id != first.routes[0].lease.instance_id
    await woke(story, WokenFrom.COLD, WokenFrom.FAILOVER)


async def test_what_a_gateway_cannot_reach_is_asked_again_before_it_gets_requests(story: Story):
    handle = await begin(story)
    label = (await call(handle)).routes[0].lease.label
    given = await call(handle, broken=(label,))
    assert given.routes[0].lease.label == label
    assert story.world.moments.reached("await_service 2 is done")


async def test_a_machine_that_a_gateway_finds_lost_before_its_workload_does_is_moved_and_not_ended(story: Story):
    handle = await begin(story)
    first = (await call(handle)).routes[0].lease
    lost = story.world.newest()
    lost.host_is_up = lost.running = False  # and nobody has told so yet
    calling = asyncio.create_task(call(handle, broken=(first.label,)))
    await story.moment("await_service 3 begins")  # the second led nowhere, and nothing was concluded from that
    story.world.outbid(lost)
    assert (await calling).routes[0].lease.instance_id == "i2"
    await woke(story, WokenFrom.COLD, WokenFrom.FAILOVER)  # it moved; ended and begun anew it would be cold
    assert (await status(handle)).wakes == 2


async def test_a_doubt_that_was_unfounded_is_no_wake(story: Story):
    handle = await begin(story)
    label = (await call(handle)).routes[0].lease.label
    await call(handle, broken=(label,))
    await story.moment("await_service 2 is done")
    assert (await status(handle)).wakes == 1
    await woke(story, WokenFrom.COLD)


async def test_a_server_that_never_opens_its_port_leaves_nothing_billing_and_says_why(story: Story):
    story.world.serves = False
    handle = await begin(story)
    calling = asyncio.create_task(call(handle))
    async with asyncio.timeout(PATIENCE):
        while "cannot serve" not in (await status(handle)).reason:
            await asyncio.sleep(0.05)
    await story.until(lambda: bool(story.world.machines) and story.world.alive == [])
    calling.cancel()
    async with asyncio.timeout(PATIENCE):
        while (found := await status(handle)).replicas[0].phase is not None:
            await asyncio.sleep(0.05)
    assert "port 8000 is not open yet" in found.replicas[0].reason


async def test_a_workload_that_has_the_name_of_a_replica_is_told_of_and_never_touched(story: Story):
    squatter = f"{story.name}-r0"
    theirs = await story.client.start_workflow(
        names.WORKLOAD,
        WorkloadInput(spec=story.spec(name=squatter)),
        id=names.workload_id(squatter),
        task_queue=names.CONTROL_QUEUE,
    )
    await story.running(theirs)
    handle = await begin(story)
    given = await handle.execute_update(
        "wake", WakeRequest(gateway="g1", waiting=1, answer_within=timedelta(seconds=2)), result_type=Pass
    )
    assert given.routes == ()
    assert f"a workload named {squatter} runs already" in given.reason
    await hang_up(handle)
    await handle.execute_update("remove")
    await handle.result()
    assert (await story.status(theirs)).phase is Phase.RUNNING
    assert story.world.alive == ["i1"]


async def test_no_workload_gets_the_name_of_a_replica_that_is_or_may_come(story: Story, tmp_path: Path):
    await begin(story)
    holdfast = Holdfast(story.client, settings=load_settings(data_dir=tmp_path))
    for number in (0, 7):
        with pytest.raises(AlreadyRunning, match=f"replica of the endpoint '{story.name}'"):
            await holdfast.run(story.spec(name=f"{story.name}-r{number}"))


async def test_told_to_sleep_while_a_pass_is_still_held_it_does_not_wait_for_the_idle_time(story: Story):
    handle = await begin(story, sleep=SleepSpec(after=timedelta(hours=1), least=timedelta(hours=1)))
    await call(handle)
    await handle.execute_update("sleep")
    await hang_up(handle)
    await comes_to(handle, EndpointPhase.PAUSED)


async def test_who_calls_after_it_was_told_to_sleep_is_served_and_it_stays_awake(story: Story):
    handle = await begin(story, sleep=SleepSpec(after=timedelta(hours=1), least=timedelta(hours=1)))
    await call(handle)
    await handle.execute_update("sleep")
    await call(handle, gateway="g2")
    await hang_up(handle)
    await hang_up(handle, gateway="g2")
    assert (await status(handle)).phase is EndpointPhase.READY


async def test_removed_it_leaves_no_machine_and_no_replica(story: Story):
    handle = await begin(story)
    await call(handle)
    await handle.execute_update("remove")
    ended: EndpointStatus = await story.client.get_workflow_handle(handle.id, result_type=EndpointStatus).result()
    assert ended.phase is EndpointPhase.STOPPED
    assert story.world.alive == []
    assert story.world.endpoint is None


async def test_cancelled_it_leaves_no_machine_either(story: Story):
    handle = await begin(story)
    await call(handle)
    await handle.cancel()
    await story.until(lambda: story.world.machines != {} and story.world.alive == [])


async def test_more_callers_than_one_replica_serves_wake_another(story: Story):
    handle = await begin(story, scale=ScaleSpec(in_flight=2, maximum=2))
    await call(handle)
    async with asyncio.timeout(PATIENCE):
        while len((given := await call(handle, in_flight={f"{story.name}-r0": 2}, waiting=2)).routes) < 2:
            await asyncio.sleep(0.1)
    assert {each.replica for each in given.routes} == {f"{story.name}-r0", f"{story.name}-r1"}


async def test_a_server_that_ends_at_once_is_tried_again_later_and_not_for_ever_at_once(story: Story):
    story.world.work_takes = [1]
    handle = await begin(story)
    calling = asyncio.create_task(call(handle))
    async with asyncio.timeout(PATIENCE):
        while not (found := await status(handle)).replicas or not found.replicas[0].failures:
            await asyncio.sleep(0.05)
    assert "the command ended with code 1" in found.replicas[0].reason
    await story.until(lambda: story.world.alive == [])
    await calling  # after a pause it is tried again, and serves


async def test_a_replica_that_begins_anew_goes_on_from_what_the_last_one_saved(story: Story):
    handle = await begin(story, sleep=LETS_GO)
    await asleep(story, handle)
    await call(handle)
    saved = story.world.heads[-1].manifest
    story.world.finish(story.world.newest(), exit_code=1)
    await story.until(lambda: story.world.alive == [])
    given = await call(handle)
    while given.routes[0].lease.instance_id == "i2":  # a pass of before it ended
        given = await call(handle)
    assert story.world.newest().restored == story.world.heads[-1].manifest
    assert saved in {each.manifest for each in story.world.heads}


async def test_a_long_life_goes_on_in_new_runs_and_forgets_nothing(long_story: Story):
    handle = await begin(long_story)
    first = (await handle.describe()).run_id
    given = await call(handle)
    async with asyncio.timeout(120):
        while (await handle.describe()).run_id == first:
            assert (await call(handle)).routes == given.routes
    assert (await status(handle)).wakes == 1
    await handle.execute_update("remove")
    await handle.result()


async def test_a_wake_is_on_record_although_the_endpoint_would_go_on_in_a_new_run_meanwhile(long_story: Story):
    long_story.world.moments.hold("record_wake 1 begins")
    handle = await begin(long_story)
    first = (await handle.describe()).run_id
    await call(handle)
    await long_story.moment("record_wake 1 begins")
    await _tire(handle)
    assert (await handle.describe()).run_id == first
    long_story.world.moments.go_on()
    await _goes_on_in_a_new_run(handle, first)
    assert [each.woken_from for each in long_story.world.wakes] == [WokenFrom.COLD]


async def test_a_wake_that_began_in_an_earlier_run_is_on_record(long_story: Story):
    long_story.world.moments.hold("await_service 1 begins")
    handle = await begin(long_story)
    first = (await handle.describe()).run_id
    await handle.signal("called", WakeRequest(gateway="g1", waiting=1))
    await long_story.moment("await_service 1 begins")
    await _goes_on_in_a_new_run(handle, first)
    long_story.world.moments.go_on()
    await call(handle)
    await woke(long_story, WokenFrom.COLD)
    assert (await status(handle)).wakes == 1


async def _goes_on_in_a_new_run(handle: Handle, run_id: str | None) -> None:
    async with asyncio.timeout(120):
        while (await handle.describe()).run_id == run_id:
            await handle.signal("called", WakeRequest(gateway="g1", waiting=1))
            await status(handle)  # it has heard that


async def _tire(handle: Handle) -> None:
    """Until it would like to continue as new."""
    async with asyncio.timeout(120):
        while (await handle.describe()).history_length < 80:
            await handle.signal("called", WakeRequest(gateway="g1", waiting=1))
            await status(handle)


async def test_ended_by_force_its_replicas_are_found_and_one_of_the_same_name_takes_them_over(
    story: Story, records: Records
):
    handle = await begin(story)
    before = await call(handle)
    replica = names.workload_id(before.routes[0].replica)
    assert replica not in (await stock_of(story, records)).orphans
    await handle.terminate("by force")
    async with asyncio.timeout(PATIENCE):
        while replica not in (await stock_of(story, records)).orphans:
            await asyncio.sleep(0.1)  # the server's list lags behind
    again = await begin(story)
    assert (await call(again)).routes == before.routes
    assert replica not in (await stock_of(story, records)).orphans
    await again.terminate("by force")
    await story.client.get_workflow_handle(replica).cancel()  # what the sweep does
    await story.until(lambda: story.world.alive == [])
