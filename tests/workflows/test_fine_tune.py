"""A fine-tuning owns one job: what that comes to, it comes to, and only what was proven becomes a version."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from holdfast.activities.releases import ReleaseActivities
from holdfast.contracts import names
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.deployments import ReleaseState, endpoint_of
from holdfast.contracts.endpoints import replica_name
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.fine_tuning import TunePhase
from holdfast.contracts.jobs import JobPhase, attempt_name
from tests.workflows import deployers, jobbers
from tests.workflows.stories import PATIENCE, SUGGESTS_CONTINUE_AS_NEW, Story
from tests.workflows.tuners import BASE, DATA, begin, cancel, over, progress, trains


@pytest_asyncio.fixture(loop_scope="session")
async def leftovers(story: Story) -> AsyncIterator[None]:
    """What a failed test left running ends with it."""
    yield
    for workflow_id in (
        names.fine_tune_id(story.name),
        names.job_id(story.name),
        names.job_queue_id(story.name),
        names.workload_id(attempt_name(story.name, 1)),
        names.deployment_id(story.name),
        *(names.endpoint_id(endpoint_of(story.name, number)) for number in (1, 2)),
        *(names.workload_id(replica_name(endpoint_of(story.name, number), 0)) for number in (1, 2)),
    ):
        with suppress(RPCError):  # over already, or never begun: either is what we want
            await story.client.get_workflow_handle(workflow_id).terminate("the test is over")


pytestmark = pytest.mark.usefixtures("leftovers")


async def test_what_was_trained_becomes_a_version_that_says_where_it_comes_from(story: Story) -> None:
    handle = await begin(story)
    await trains(story, handle)
    story.world.finish(story.world.newest())
    ended = await over(handle)
    assert ended.phase is TunePhase.SUCCEEDED and ended.registered is not None
    (adopted,) = story.world.adopted
    assert ended.job is not None and ended.job.outputs is not None
    assert (adopted.manifest, adopted.folder) == (ended.job.outputs.manifest, "output/adapter")
    assert adopted.base == "staged/base", "an adapter is registered with its base beside it"
    lineage = ended.registered.lineage
    assert lineage is not None and lineage.data == DATA and lineage.base == BASE.source
    assert lineage.base_sha256 == ended.job.inputs[0].sha256
    assert (lineage.attempts, lineage.incidents, lineage.cost) == (1, 0, ended.job.spent)
    assert (lineage.steps, lineage.loss) == (12, 0.5) and lineage.trainer == "ef" * 32
    assert ended.registered.source == names.fine_tune_id(story.name)
    assert [each.tuned for each in ended.answers] == ["four"]
    assert story.world.alive == []


async def test_the_result_is_put_behind_a_name_and_answers_as_tuned(story: Story) -> None:
    handle = await begin(story, deploy=True)
    await trains(story, handle)
    story.world.finish(story.world.newest())
    ended = await over(handle)
    assert ended.phase is TunePhase.SUCCEEDED and ended.reason.startswith(
        f"{story.name} version 1 is what {story.name}"
    )
    assert (ended.deployment, ended.registered is not None, ended.release is not None) == (story.name, True, True)
    assert ended.release is not None and ended.release.state is ReleaseState.SERVING
    assert (ended.release.version, ended.release.owner) == (1, names.fine_tune_id(story.name))
    (compared,) = ended.release.compared
    assert (compared.base, compared.tuned, compared.trained) == ("five", "four", "four"), "with what the trainer heard"
    assert deployers.world_of(story, 1).newest().restored == "manifests/tuned"
    assert story.world.traffic == [f"{story.name}-v1"]
    deployment = story.client.get_workflow_handle(names.deployment_id(story.name))
    assert (await deployers.told(deployment)).releases == (ended.release,)


async def test_a_deployment_that_exists_gets_another_release_of_it(story: Story) -> None:
    deployment = await deployers.first(story)
    await deployers.decided(deployment, 1)
    handle = await begin(story, deploy=True)
    await trains(story, handle)
    story.world.finish(story.world.newest())
    ended = await over(handle)
    assert ended.phase is TunePhase.SUCCEEDED
    found = await deployers.told(deployment)
    assert (found.serving, found.kept, found.tokens) == (f"{story.name}-v2", f"{story.name}-v1", 1)


async def test_a_result_that_is_not_fit_is_registered_and_never_has_the_traffic(story: Story) -> None:
    handle = await begin(story, deploy=True)
    await trains(story, handle)
    story.world.unfit.add(replica_name(endpoint_of(story.name, 1), 0))
    story.world.finish(story.world.newest())
    ended = await over(handle)
    assert ended.phase is TunePhase.FAILED and ended.registered is not None
    assert ended.release is not None and ended.release.state is ReleaseState.FAILED
    assert "is registered, and" in ended.reason and "it answered 500" in ended.reason
    assert f"{story.name}-v1" not in story.world.traffic


async def test_the_same_order_again_is_the_same_release(story: Story) -> None:
    """As it is repeated where the answer was lost."""
    handle = await begin(story, deploy=True)
    await trains(story, handle)
    story.world.finish(story.world.newest())
    await over(handle)
    (order,) = story.world.releases_ordered
    again = await ReleaseActivities(story.client).order_release(order)
    assert again.number == 1
    deployment = story.client.get_workflow_handle(names.deployment_id(story.name))
    assert len((await deployers.told(deployment)).releases) == 1


async def test_a_machine_that_is_lost_is_told_in_the_lineage(story: Story) -> None:
    handle = await begin(story)
    await trains(story, handle)
    story.world.outbid(story.world.newest())
    await story.until(lambda: len(story.world.machines) == 2 and story.world.newest().running)
    await story.until(lambda: bool(story.world.incidents and story.world.incidents[0].recovered_at))
    story.world.finish(story.world.newest())
    ended = await over(handle)
    assert ended.registered is not None and ended.registered.lineage is not None
    assert ended.registered.lineage.incidents == 1


async def test_a_training_that_fails_registers_nothing(story: Story) -> None:
    handle = await begin(story)
    await trains(story, handle)
    story.world.finish(story.world.newest(), exit_code=65)
    ended = await over(handle)
    assert ended.phase is TunePhase.FAILED and ended.registered is None and story.world.adopted == []
    assert ended.job is not None and ended.job.exit_code == 65


async def test_cancelled_it_cancels_the_job(story: Story) -> None:
    handle = await begin(story)
    await trains(story, handle)
    await cancel(handle)
    ended = await over(handle)
    assert ended.phase is TunePhase.CANCELLED and story.world.adopted == []
    assert story.world.heads[-1].reason is SaveReason.STOP and story.world.alive == []


async def test_cancelled_from_outside_it_cancels_the_job_as_well(story: Story) -> None:
    handle = await begin(story)
    await trains(story, handle)
    await handle.cancel()
    ended = await over(handle)
    assert ended.phase is TunePhase.CANCELLED and story.world.alive == []


async def test_a_job_that_is_ended_by_force_is_not_waited_for(story: Story) -> None:
    handle = await begin(story)
    await trains(story, handle)
    await story.client.get_workflow_handle(names.job_id(story.name)).terminate("by hand")
    ended = await over(handle)
    assert (ended.phase, ended.reason) == (TunePhase.FAILED, "the job was ended by force")
    await story.client.get_workflow_handle(names.workload_id(attempt_name(story.name, 1))).cancel()


async def test_another_job_of_this_name_is_left_alone(story: Story) -> None:
    other = await jobbers.submit(story)
    await jobbers.comes_to(other, JobPhase.RUNNING)
    ended = await over(await begin(story))
    assert ended.phase is TunePhase.FAILED and "not this one's" in ended.reason
    assert (await jobbers.progress(other)).phase is JobPhase.RUNNING
    await jobbers.cancel(other)
    await jobbers.over(other)


async def test_a_result_that_makes_no_sense_is_told_and_the_job_s_outputs_stay(story: Story) -> None:
    handle = await begin(story)
    await trains(story, handle)
    story.world.result_is_odd = "the training.json of the result is no JSON"
    story.world.finish(story.world.newest())
    ended = await over(handle)
    assert ended.phase is TunePhase.FAILED and ended.reason.endswith("is no JSON")
    assert ended.job is not None and ended.job.outputs is not None


async def test_what_trains_no_more_cannot_be_cancelled(story: Story) -> None:
    handle = await begin(story)
    await trains(story, handle)
    story.world.registering_waits = asyncio.Event()
    story.world.finish(story.world.newest())
    async with asyncio.timeout(PATIENCE):
        while (await progress(handle)).phase is not TunePhase.REGISTERING:
            await asyncio.sleep(0.05)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await cancel(handle)
    assert isinstance(refused.value.cause, ApplicationError) and refused.value.cause.type == ErrorType.INVALID_STATE
    await handle.cancel()  # whoever insists: it is registered all the same
    story.world.registering_waits.set()
    ended = await over(handle)
    assert ended.phase is TunePhase.SUCCEEDED


async def test_it_goes_on_in_a_new_run_and_hears_the_end_there(story: Story) -> None:
    handle = await begin(story)
    told = (await trains(story, handle)).job
    before = (await handle.describe()).run_id
    async with asyncio.timeout(PATIENCE):
        while (await handle.describe()).run_id == before:
            await asyncio.gather(*(handle.signal("job_said", told) for _ in range(SUGGESTS_CONTINUE_AS_NEW // 5)))
    assert (await progress(handle)).phase is TunePhase.TRAINING
    story.world.finish(story.world.newest())
    ended = await over(handle)
    assert ended.phase is TunePhase.SUCCEEDED
