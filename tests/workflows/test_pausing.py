"""Pause and resume when something stands in the way."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.testing import WorkflowEnvironment

from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.incidents import Cause
from holdfast.contracts.machines import InstanceState
from holdfast.contracts.workload import Ack, Phase, StopRequest
from tests.workflows.stories import PATIENCE, Story, ended


@pytest.mark.parametrize("save", [True, False])
async def test_stop_is_heard_while_a_machine_is_being_resumed(story: Story, save: bool):
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("pause", result_type=Ack)
    await story.reaches(handle, Phase.PAUSED)
    story.world.moments.hold("start_work 1 begins")
    await handle.execute_update("resume", result_type=Ack)
    await story.moment("start_work 1 begins")
    await handle.execute_update("stop", StopRequest(save=save), result_type=Ack)
    story.world.moments.go_on()
    await ended(handle)
    assert story.world.alive == []
    assert story.world.saves[-1].reason is SaveReason.PAUSE


async def test_a_pause_whose_save_breaks_off_lets_the_work_go_on_in_place(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.breaks["save"] = 1
    await handle.execute_update("pause", result_type=Ack)
    await story.running(handle, epoch=2)
    assert story.world.alive == ["i1"]
    assert story.world.newest().running


async def test_a_pause_that_the_provider_refuses_lets_the_work_go_on_in_place(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.moments.hold("start_instance 1 begins")  # as soon as it wants to go on
    story.world.key_is_refused = True
    await handle.execute_update("pause", result_type=Ack)
    await story.moment("start_instance 1 begins")
    story.world.key_is_refused = False
    story.world.moments.go_on()
    await story.running(handle, epoch=2)
    assert story.world.alive == ["i1"]
    assert story.world.saves[-1].reason is SaveReason.PAUSE
    await story.save_now(handle)


async def test_work_whose_machine_is_gone_when_it_is_resumed_goes_on_elsewhere_and_lost_nothing(story: Story):
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("pause", result_type=Ack)
    await story.reaches(handle, Phase.PAUSED)
    story.world.vanish(story.world.newest())
    await handle.execute_update("resume", result_type=Ack)
    await story.until(lambda: bool(story.world.incidents) and story.world.newest().running)
    incident = story.world.incidents[0]
    assert (incident.cause, incident.work_lost) == (Cause.GONE, timedelta())
    assert story.world.newest().restored == story.world.saves[-1].manifest


async def test_a_key_that_is_refused_leaves_a_paused_workload_paused(story: Story):
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("pause", result_type=Ack)
    await story.reaches(handle, Phase.PAUSED)
    story.world.key_is_refused = True
    await handle.execute_update("resume", result_type=Ack)
    await story.moment("start_instance 1 begins")
    status = await story.reaches(handle, Phase.PAUSED)
    assert status.reason == "could not be resumed: wrong key"
    assert story.world.machines["i1"].instance.state is InstanceState.STOPPED
    story.world.key_is_refused = False
    await handle.execute_update("resume", result_type=Ack)
    await story.running(handle)


async def test_resume_is_tried_again_until_the_provider_answers(skipping: WorkflowEnvironment, long_story: Story):
    """A provider that is down says nothing of the machine, whose disk holds the work."""
    handle = await long_story.begin()
    await long_story.running(handle)
    await handle.execute_update("pause", result_type=Ack)
    await long_story.reaches(handle, Phase.PAUSED)
    long_story.world.api_is_down = True
    await handle.execute_update("resume", result_type=Ack)
    await long_story.says(handle, "could not be started yet, trying again: no answer")
    long_story.world.api_is_down = False
    await skipping.fast_forward(handle, timedelta(seconds=31))
    await long_story.running(handle)
    assert (long_story.world.alive, long_story.world.incidents) == (["i1"], [])


async def test_stop_is_heard_while_the_provider_does_not_answer_a_resume(story: Story):
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("pause", result_type=Ack)
    await story.reaches(handle, Phase.PAUSED)
    story.world.api_is_down = True
    await handle.execute_update("resume", result_type=Ack)
    await story.says(handle, "could not be started yet, trying again: no answer")
    await handle.execute_update("stop", StopRequest(), result_type=Ack)
    await ended(handle)
    assert story.world.alive == []
    assert story.world.ended == (Phase.STOPPED, "requested")


async def test_why_a_workload_is_paused_outlives_the_run_that_paused_it(story: Story):
    handle = await story.begin()
    await story.running(handle)
    await handle.execute_update("pause", result_type=Ack)
    paused = await story.reaches(handle, Phase.PAUSED)
    run = (await handle.describe()).run_id
    async with asyncio.timeout(PATIENCE):
        while (await handle.describe()).run_id == run:
            await handle.signal("provider_said", story.world.newest().instance)
    assert (await story.status(handle)).reason == paused.reason == "its disk is kept and billed"
