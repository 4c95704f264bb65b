"""Stories of endpoints and of workloads that hibernate, for golden histories."""

from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowHandle

from holdfast.contracts.endpoints import EndpointPhase, Pass, ScaleRequest, WakeRequest
from holdfast.contracts.spec import HibernateSpec, PauseMode
from holdfast.contracts.workload import Ack, Phase
from tests.workflows.callers import SLEEPS, begin, call, comes_to, hang_up, remove
from tests.workflows.stories import Story

Handle = WorkflowHandle[Any, Any]


async def served(story: Story) -> Handle:
    """Called, asleep on its own machine, called again, and removed."""
    handle = await begin(story)
    for _ in range(2):
        await _call_once(story, handle)
    await remove(handle)
    return handle


async def served_from_checkpoints(story: Story) -> Handle:
    """Asleep its machine was let go; it woke on another one from its checkpoint, and was cancelled."""
    handle = await begin(story, sleep=SLEEPS.model_copy(update={"mode": PauseMode.CHECKPOINT}))
    await _call_once(story, handle)
    await call(handle)
    await handle.cancel()
    return handle


async def served_elsewhere(story: Story) -> Handle:
    """Its GPU was taken while it slept, and the next machine while it served."""
    handle = await begin(story)
    await _call_once(story, handle)
    story.world.gpu_is_taken = True
    await call(handle)
    story.world.gpu_is_taken = False
    story.world.outbid(story.world.newest())
    await story.until(lambda: len(story.world.wakes) == 3)
    await remove(handle)
    return handle


async def ordered_about(story: Story) -> Handle:
    """Every order was given: to wake, twice, to be open to others, to be more and fewer, and to sleep."""
    handle = await begin(story)
    for _ in range(2):
        await handle.execute_update("wake", WakeRequest(gateway="g1", waiting=1), result_type=Pass)
        await handle.execute_update("set_tokens", ["bb"])
        await handle.execute_update("scale", ScaleRequest(maximum=2))
        await handle.execute_update("scale", ScaleRequest(maximum=1))
        await handle.execute_update("sleep")
        await hang_up(handle)
        await comes_to(handle, EndpointPhase.PAUSED)
    await remove(handle)
    return handle


async def served_in_vain(story: Story) -> Handle:
    """What it runs could not serve; tried again, it could. Then it was called while it was saved before its sleep."""
    story.world.serves = False
    handle = await begin(story)
    await handle.execute_update("wake", WakeRequest(gateway="g1", waiting=1, answer_within=timedelta(seconds=1)))
    await story.until(lambda: bool(story.world.machines) and not story.world.alive)
    story.world.serves = True
    await call(handle)
    story.world.moments.hold("save_checkpoint 1 begins")
    await hang_up(handle)
    await story.moment("save_checkpoint 1 begins")
    await call(handle)
    story.world.moments.go_on()
    await hang_up(handle)
    await comes_to(handle, EndpointPhase.PAUSED)
    await remove(handle)
    return handle


async def hibernated(story: Story) -> Handle:
    """Unused, it was saved, read back and let go, and resumed elsewhere. The second time no save could be had."""
    handle = await story.begin(hibernate=HibernateSpec())
    await story.running(handle)
    story.world.fall_unused(story.world.newest())
    await story.reaches(handle, Phase.PAUSED)
    await handle.execute_update("resume", result_type=Ack)
    await story.running(handle)
    story.world.store_is_down = True
    story.world.fall_unused(story.world.newest())
    await story.says(handle, "could not be paused: the store does not answer")
    story.world.store_is_down = False
    story.world.finish(story.world.newest())
    return handle


async def _call_once(story: Story, handle: Handle) -> None:
    await call(handle)
    await hang_up(handle)
    await comes_to(handle, EndpointPhase.PAUSED)
