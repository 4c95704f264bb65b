"""A version gets the traffic when it is fit; one that is not costs nothing, and changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.service import RPCError

from holdfast.client.errors import AlreadyRunning, InvalidState
from holdfast.client.holdfast import Holdfast
from holdfast.contracts import names
from holdfast.contracts.deployments import DeploymentPhase, DeploymentStatus, Release, ReleaseState, endpoint_of
from holdfast.contracts.endpoints import EndpointPhase
from holdfast.contracts.machines import InstanceState
from holdfast.records.store import Records
from holdfast.settings import load_settings
from tests.workflows.callers import call, endpoint_spec, hang_up, status, stock_of
from tests.workflows.deployers import ALWAYS, another, asleep, decided, endpoint, first, order, told, world_of
from tests.workflows.stories import PATIENCE, RELEASES, SUGGESTS_CONTINUE_AS_NEW, Story


@pytest_asyncio.fixture(loop_scope="session")
async def leftovers(story: Story) -> AsyncIterator[None]:
    """What a failed test left running ends with it."""
    yield
    endpoints = [endpoint_of(story.name, number) for number in range(1, RELEASES + 1)]
    for workflow_id in [
        names.deployment_id(story.name),
        *(names.endpoint_id(each) for each in endpoints),
        *(names.workload_id(f"{each}-r0") for each in endpoints),
    ]:
        with suppress(RPCError):  # over already, or never begun: either is what we want
            await story.client.get_workflow_handle(workflow_id).terminate("the test is over")


pytestmark = pytest.mark.usefixtures("leftovers")


def states(found: DeploymentStatus) -> list[ReleaseState]:
    return [each.state for each in found.releases]


async def test_a_first_version_is_woken_asked_and_gets_the_traffic(story: Story):
    handle = await first(story)
    found = await decided(handle, 1)
    world = world_of(story, 1)
    assert (found.phase, found.serving, found.kept) == (DeploymentPhase.SERVING, f"{story.name}-v1", None)
    assert found.releases[0].reason == "/answer was answered"
    assert story.world.smoke_tests == [f"{story.name}-v1-r0"]
    assert story.world.traffic == [f"{story.name}-v1"]
    assert world.endpoint is not None and world.endpoint.deployment == story.name
    assert world.endpoint.token_hashes == ("aa",)
    assert world.newest().restored == "manifests/model-v1/0-0"
    await asleep(story, 1)  # nobody calls: the deployment itself keeps nothing awake


async def test_what_is_called_as_a_release_or_its_replica_is_nobody_else_s(story: Story, tmp_path: Path):
    await first(story)
    holdfast = Holdfast(story.client, settings=load_settings(data_dir=tmp_path))
    with pytest.raises(AlreadyRunning, match=f"replica of the deployment '{story.name}'"):
        await holdfast.run(story.spec(name=f"{story.name}-v9-r0"))
    with pytest.raises(AlreadyRunning, match=f"release of the deployment '{story.name}'"):
        await holdfast.endpoints.deploy(endpoint_spec(story, name=f"{story.name}-v9"))


async def test_a_second_version_takes_over_and_the_first_is_kept_asleep_and_not_woken(story: Story):
    handle = await first(story, scale=ALWAYS)
    await decided(handle, 1)
    await another(story, handle, 2)
    found = await decided(handle, 2)
    assert (found.serving, found.kept) == (f"{story.name}-v2", f"{story.name}-v1")
    assert story.world.traffic == [f"{story.name}-v1", f"{story.name}-v2"]
    await asleep(story, 1)  # although it was to be kept awake always
    given = await call(endpoint(story, 1))
    assert given.refused
    assert "kept for a rollback" in given.reason
    assert world_of(story, 1).newest().instance.state is InstanceState.STOPPED


async def test_ended_by_force_its_endpoints_are_found_and_none_is_kept_awake_for_ever(story: Story, records: Records):
    handle = await first(story, scale=ALWAYS)
    await decided(handle, 1)
    release = names.endpoint_id(endpoint_of(story.name, 1))
    assert release not in (await stock_of(story, records)).orphans
    await handle.terminate("by force")
    async with asyncio.timeout(PATIENCE):
        while release not in (await stock_of(story, records)).orphans:
            await asyncio.sleep(0.1)  # the server's list lags behind
    await story.client.get_workflow_handle(release).cancel()  # what the sweep does
    await story.until(lambda: world_of(story, 1).alive == [])


async def test_the_token_of_its_releases_is_the_deployment_s(story: Story):
    handle = await first(story)
    await decided(handle, 1)
    holdfast = Holdfast(story.client, settings=load_settings())
    for called in (endpoint_of(story.name, 1), story.name):
        with pytest.raises(InvalidState, match="has the token of all its releases"):
            await holdfast.endpoints.new_token(called)
    await handle.execute_update("retire", result_type=DeploymentStatus)


async def test_a_release_is_not_removed_as_an_endpoint_but_by_force(story: Story):
    handle = await first(story)
    await decided(handle, 1)
    holdfast = Holdfast(story.client, settings=load_settings())
    release = endpoint_of(story.name, 1)
    with pytest.raises(InvalidState, match="is a release of the deployment"):
        await holdfast.endpoints.remove(release)
    assert (await holdfast.endpoints.status(release)).phase is not EndpointPhase.STOPPED
    await holdfast.endpoints.remove(release, force=True)
    await holdfast.endpoints.ended(release)


async def test_who_still_calls_the_old_version_is_served_there(story: Story):
    handle = await first(story)
    await decided(handle, 1)
    await call(endpoint(story, 1))
    await another(story, handle, 2)
    await decided(handle, 2)
    assert (await call(endpoint(story, 1))).routes[0].replica == f"{story.name}-v1-r0"
    await hang_up(endpoint(story, 1))
    await asleep(story, 1)


async def test_a_gateway_that_has_not_heard_of_the_shift_may_still_wake_the_old_version(story: Story):
    handle = await first(story, handover=timedelta(hours=1))
    await decided(handle, 1)
    await asleep(story, 1)
    await another(story, handle, 2)
    await decided(handle, 2)
    assert (await call(endpoint(story, 1))).routes
    await hang_up(endpoint(story, 1))
    await asleep(story, 1)


async def test_what_is_older_than_the_one_that_is_kept_is_removed(story: Story):
    handle = await first(story)
    await decided(handle, 1)
    for version in (2, 3):
        await another(story, handle, version)
        found = await decided(handle, version)
    async with asyncio.timeout(PATIENCE):
        while (found := await told(handle)).releases[0].state is not ReleaseState.RETIRED:
            await asyncio.sleep(0.05)
    assert states(found) == [ReleaseState.RETIRED, ReleaseState.KEPT, ReleaseState.SERVING]
    assert world_of(story, 1).alive == []


async def test_a_version_that_answers_badly_is_removed_and_the_old_one_serves_on(story: Story):
    handle = await first(story)
    await decided(handle, 1)
    story.world.unfit.add(f"{story.name}-v2-r0")
    await another(story, handle, 2)
    found = await decided(handle, 2)
    assert states(found) == [ReleaseState.SERVING, ReleaseState.FAILED]
    assert "it answered 500" in found.releases[1].reason
    assert "v1 serves on" in found.reason
    assert world_of(story, 2).alive == []
    assert story.world.traffic == [f"{story.name}-v1"]
    assert (await call(endpoint(story, 1))).routes


async def test_a_first_version_that_never_serves_leaves_nothing_behind(story: Story):
    world_of(story, 1).serves = False
    handle = await first(story)
    found = await handle.result()
    assert (found.phase, found.serving) == (DeploymentPhase.FAILED, None)
    assert "cannot serve: port 8000 is not open" in found.reason
    assert story.world.smoke_tests == []
    assert world_of(story, 1).alive == []
    assert story.world.traffic == [""]


async def test_a_rollback_shifts_the_traffic_and_wakes_nothing(story: Story):
    handle = await first(story)
    await decided(handle, 1)
    await another(story, handle, 2)
    await decided(handle, 2)
    await asleep(story, 1)
    found = await handle.execute_update("rollback", result_type=DeploymentStatus)
    assert (found.serving, found.kept) == (f"{story.name}-v1", f"{story.name}-v2")
    assert story.world.traffic[-1] == f"{story.name}-v1"
    await asleep(story, 2)
    assert (await status(endpoint(story, 1))).phase is EndpointPhase.PAUSED
    assert (await call(endpoint(story, 1))).routes  # a caller wakes it
    forward = await handle.execute_update("rollback", result_type=DeploymentStatus)
    assert forward.serving == f"{story.name}-v2"


async def test_a_rollback_gives_up_the_version_that_is_under_way(story: Story):
    handle = await first(story)
    await decided(handle, 1)
    story.world.moments.hold("smoke_test 2 begins")
    await another(story, handle, 2)
    await story.moment("smoke_test 2 begins")
    found = await handle.execute_update("rollback", result_type=DeploymentStatus)
    story.world.moments.go_on()
    assert states(found) == [ReleaseState.SERVING, ReleaseState.FAILED]
    assert "rolled back" in found.releases[1].reason
    assert world_of(story, 2).alive == []


async def test_without_an_earlier_version_there_is_no_rollback_and_two_are_not_brought_up_at_once(story: Story):
    world_of(story, 1).moments.hold("await_service 1 begins")
    handle = await first(story)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await another(story, handle, 2)
    assert "under way" in str(refused.value.cause)
    await story.until(lambda: world_of(story, 1).moments.reached("await_service 1 begins"))
    world_of(story, 1).moments.go_on()
    await decided(handle, 1)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update("rollback")
    assert "no earlier release" in str(refused.value.cause)


@pytest.mark.parametrize("ending", ["retire", "cancel"])
async def test_retired_or_cancelled_it_leaves_nothing_behind(story: Story, ending: str):
    handle = await first(story)
    await decided(handle, 1)
    await another(story, handle, 2)
    await decided(handle, 2)
    if ending == "retire":
        await handle.execute_update("retire", result_type=DeploymentStatus)
    else:
        await handle.cancel()
    with suppress(WorkflowFailureError):
        await handle.result()
    assert story.world.traffic[-1] == ""
    assert [world_of(story, number).alive for number in (1, 2)] == [[], []]
    assert states(await told(handle)) == [ReleaseState.RETIRED, ReleaseState.RETIRED]


async def test_cancelled_while_a_version_wakes_it_leaves_nothing_behind(story: Story):
    world_of(story, 1).moments.hold("await_service 1 begins")
    handle = await first(story)
    await story.until(lambda: world_of(story, 1).moments.reached("await_service 1 begins"))
    await handle.cancel()
    world_of(story, 1).moments.go_on()
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    assert world_of(story, 1).alive == []


async def test_an_endpoint_of_somebody_else_s_is_left_alone(story: Story):
    handle = await first(story)
    await decided(handle, 1)
    theirs = await story.client.start_workflow(
        names.ENDPOINT,
        {"spec": order(story).spec.model_copy(update={"name": f"{story.name}-v2"})},
        id=names.endpoint_id(f"{story.name}-v2"),
        task_queue=names.CONTROL_QUEUE,
    )
    await another(story, handle, 2)
    found = await decided(handle, 2)
    assert "of somebody else" in found.releases[1].reason
    assert (await status(theirs)).phase is EndpointPhase.COLD


async def test_a_kept_version_that_somebody_ended_is_no_way_back(story: Story):
    handle = await first(story)
    await decided(handle, 1)
    await another(story, handle, 2)
    await decided(handle, 2)
    await endpoint(story, 1).execute_update("remove")
    await endpoint(story, 1).result()
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update("rollback")
    assert "ended by somebody else" in str(refused.value.cause)
    assert (await told(handle)).serving == f"{story.name}-v2"


async def test_new_tokens_open_every_release(story: Story):
    handle = await first(story)
    await decided(handle, 1)
    await another(story, handle, 2)
    await decided(handle, 2)
    await handle.execute_update("set_tokens", ["bb"], result_type=DeploymentStatus)
    await story.until(
        lambda: all((known := world_of(story, n).endpoint) and known.token_hashes == ("bb",) for n in (1, 2))
    )


async def test_it_remembers_everything_when_it_continues_as_new(story: Story):
    handle = await first(story)
    await decided(handle, 1)
    await another(story, handle, 2)
    await decided(handle, 2)
    before = (await handle.describe()).run_id
    async with asyncio.timeout(2 * PATIENCE):
        while (described := await handle.describe()).run_id == before:
            assert described.history_length < 2 * SUGGESTS_CONTINUE_AS_NEW
            await handle.execute_update("set_tokens", ["cc"], result_type=DeploymentStatus)
    found = await told(handle)
    assert (found.serving, found.kept, found.tokens) == (f"{story.name}-v2", f"{story.name}-v1", 1)
    back = await handle.execute_update("rollback", result_type=DeploymentStatus)
    assert back.serving == f"{story.name}-v1"
    taken: Release = await another(story, handle, 3)
    assert taken.number == 3
    assert (await decided(handle, 3)).serving == f"{story.name}-v3"


async def test_one_that_takes_too_long_is_removed(story: Story):
    world_of(story, 1).moments.hold("await_service 1 begins")
    handle = await first(story, within=timedelta(seconds=3))
    await story.until(lambda: world_of(story, 1).moments.reached("await_service 1 begins"))
    found = await handle.result()
    assert "could not serve within 0:00:03" in found.reason
    assert world_of(story, 1).alive == []
