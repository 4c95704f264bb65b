"""Scenes of a workload's life: how each is come to, and what happens from there to the end of the workload."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from temporalio.client import WorkflowHandle

from holdfast.contracts.workload import Ack, FailoverRequest, Phase
from tests.workflows.stories import Story, ended

Handle = WorkflowHandle[Any, Any]
Step = Callable[[Story, Handle], Awaitable[None]]


@dataclass(frozen=True)
class Scene:
    name: str
    plays: Step
    from_its_beginning: bool = False  # else it begins where the work runs and is watched
    begin: dict[str, Any] = field(default_factory=dict)
    can_save: bool = False  # its machine answers throughout: whoever stops it and wants a save gets one


async def _finish(story: Story, handle: Handle) -> None:
    story.world.finish(story.world.newest())
    await ended(handle)


async def _place_and_finish(story: Story, handle: Handle) -> None:
    await story.running(handle)
    await _finish(story, handle)


async def _outbid(story: Story, handle: Handle) -> None:
    story.world.outbid(story.world.newest())
    await _recover(story, handle, epoch=2)


async def _outbid_twice_over(story: Story, handle: Handle) -> None:
    story.world.breaks["restore"] = 5  # so that the first machine is given back
    story.world.outbid(story.world.newest())
    await _recover(story, handle, epoch=3)


async def _restart(story: Story, handle: Handle) -> None:
    story.world.lose_work(story.world.newest())
    await _recover(story, handle, epoch=2)


async def _leave(story: Story, handle: Handle) -> None:
    await story.order(handle, "failover", FailoverRequest())
    await _recover(story, handle, epoch=2)


async def _recover(story: Story, handle: Handle, *, epoch: int) -> None:
    await story.running(handle, epoch=epoch)
    await story.until(lambda: bool(story.world.incidents and story.world.incidents[0].recovered_at))
    await _finish(story, handle)


async def _pause_and_resume(story: Story, handle: Handle) -> None:
    await handle.execute_update("pause", result_type=Ack)
    await story.reaches(handle, Phase.PAUSED)
    await story.order(handle, "resume")
    await _place_and_finish(story, handle)


async def _pause_and_resume_elsewhere(story: Story, handle: Handle) -> None:
    story.world.gpu_is_taken = True  # once it is given up
    await _pause_and_resume(story, handle)


SCENES = (
    Scene("placed and finished", _place_and_finish, from_its_beginning=True),
    Scene("outbid", _outbid),
    Scene("outbid with nothing saved", _outbid, begin={"workdir": False}),
    Scene("outbid and the next machine fails", _outbid_twice_over),
    Scene("restarted in place", _restart),
    Scene("left on request", _leave, can_save=True),
    Scene("paused and resumed", _pause_and_resume, can_save=True),
    Scene("paused and resumed elsewhere", _pause_and_resume_elsewhere, can_save=True),
    Scene("finished", _finish, can_save=True),
)


async def come_to(scene: Scene, story: Story) -> Handle:
    """Begin the workload, and play what comes before the scene."""
    handle = await story.begin(**scene.begin)
    if not scene.from_its_beginning:
        await story.running(handle)
        await story.until(lambda: story.world.calls["watch"] > 0)
    return handle
