"""The workload and its saver keep understanding each other, whatever happens to either of them."""

from datetime import timedelta

from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from holdfast.contracts import names
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.workload import Phase
from tests.workflows.stories import Story, ended
from tests.workflows.world import a_checkpoint


def saver_of(story: Story) -> WorkflowHandle[object, None]:
    return story.client.get_workflow_handle(names.checkpoints_id(story.name))


async def test_a_saver_that_somebody_ended_is_started_again_with_its_machine(story: Story):
    handle = await story.begin()
    await story.running(handle)
    first = await story.save_now(handle)
    await saver_of(story).terminate("somebody")
    assert (await story.save_now(handle)).sequence == first.sequence + 1
    story.world.finish(story.world.newest())
    await ended(handle)
    assert [each.reason for each in story.world.saves[1:]] == [SaveReason.REQUESTED, SaveReason.FINISH]
    assert story.world.bases[1] == first


async def test_a_save_is_asked_for_again_when_its_saver_was_ended_meanwhile(
    skipping: WorkflowEnvironment, long_story: Story
):
    handle = await long_story.begin()
    await long_story.running(handle)
    long_story.world.moments.hold("save_checkpoint 1 begins")
    long_story.world.finish(long_story.world.newest())
    await long_story.moment("save_checkpoint 1 begins")
    await saver_of(long_story).terminate("somebody")
    long_story.world.moments.go_on()
    await skipping.fast_forward(handle, timedelta(minutes=2, seconds=1))
    await ended(handle)
    assert long_story.world.ended == (Phase.FINISHED, "the command ended with code 0")
    assert long_story.world.alive == []


async def test_a_save_that_takes_long_is_asked_for_again_and_made_once(
    skipping: WorkflowEnvironment, long_story: Story
):
    handle = await long_story.begin()
    await long_story.running(handle)
    long_story.world.moments.hold("save_checkpoint 1 begins")
    long_story.world.finish(long_story.world.newest())
    await long_story.moment("save_checkpoint 1 begins")
    await skipping.fast_forward(handle, timedelta(minutes=2, seconds=1))
    await long_story.asked(saver_of(long_story), times=2)
    long_story.world.moments.go_on()
    await ended(handle)
    assert [each.reason for each in long_story.world.saves] == [SaveReason.FINISH]


async def test_the_saver_of_a_workload_that_was_terminated_saves_for_the_next_one_of_its_name(story: Story):
    handle = await story.begin(workspace="old")
    await story.running(handle)
    await handle.terminate("by hand")
    handle = await story.begin(workspace="new")
    await story.running(handle)
    await story.save_now(handle)
    assert story.world.workspaces == ["new"]


async def test_a_request_that_comes_before_the_saver_continues_as_new_is_answered(story: Story):
    handle = await story.begin()
    await story.running(handle)
    saver = saver_of(story)
    first_run = (await saver.describe()).run_id
    story.world.moments.hold("save_checkpoint 1 begins")
    direct = await story.order(saver, "save_now")
    await story.moment("save_checkpoint 1 begins")
    for seconds in range(3000, 3060):
        await saver.execute_update("change_cadence", timedelta(seconds=seconds))
    assert (await saver.describe()).run_id == first_run
    story.world.finish(story.world.newest())
    await story.asked(saver, times=1)
    story.world.moments.go_on()
    await direct.result()
    await ended(handle)
    assert story.world.saves[-1].reason is SaveReason.FINISH
    assert story.world.alive == []


async def test_a_commit_of_which_nobody_has_heard_is_restored(story: Story):
    handle = await story.begin(workdir=False)
    await story.running(handle)
    story.world.moments.hold("commit_checkpoint 1 is done")
    saving = await story.order(handle, "checkpoint")
    await story.moment("commit_checkpoint 1 is done")
    story.world.outbid(story.world.newest())
    await story.running(handle, epoch=2)
    assert story.world.newest().restored == story.world.heads[-1].manifest
    story.world.moments.go_on()
    await saving.result()


async def test_a_saver_that_was_overtaken_learns_the_head_and_saves_on_it(story: Story):
    handle = await story.begin()
    await story.running(handle)
    story.world.heads.append(a_checkpoint(story.name, 1, 1, SaveReason.REQUESTED))  # its answer was lost
    story.world.finish(story.world.newest())
    await ended(handle)
    assert [each.sequence for each in story.world.heads] == [0, 1, 2]
    assert story.world.bases[-1] == story.world.heads[1]
    assert story.world.alive == []
