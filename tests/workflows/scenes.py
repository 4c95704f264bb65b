"""Scenes of a workload's life: how each is come to, what sets it off, and how one knows that it is over."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from temporalio.client import WorkflowHandle

from holdfast.contracts.workload import Ack, FailoverRequest, Phase
from tests.workflows.stories import Story

Handle = WorkflowHandle[Any, Any]
Step = Callable[[Story, Handle], Awaitable[None]]


@dataclass(frozen=True)
class Scene:
    name: str
    set_off: Step | None  # None: the beginning itself is the scene
    is_over: Step
    come_to: Step | None = None
    begin: dict[str, Any] = field(default_factory=dict)
    can_save: bool = False  # its machine answers throughout: whoever stops it and wants a save gets one


async def _runs(story: Story, handle: Handle) -> None:
    await story.running(handle)


async def _runs_anew(story: Story, handle: Handle) -> None:
    await story.running(handle, epoch=2)
    await story.until(lambda: bool(story.world.incidents and story.world.incidents[0].recovered_at))


async def _third_takes_it(story: Story, handle: Handle) -> None:
    await story.running(handle, epoch=3)


async def _paused(story: Story, handle: Handle) -> None:
    await story.reaches(handle, Phase.PAUSED)


async def _over(story: Story, handle: Handle) -> None:
    await handle.result()


async def _outbid(story: Story, handle: Handle) -> None:
    story.world.outbid(story.world.newest())


async def _lose_work(story: Story, handle: Handle) -> None:
    story.world.lose_work(story.world.newest())


async def _leave(story: Story, handle: Handle) -> None:
    await story.order(handle, "failover", FailoverRequest())


async def _pause(story: Story, handle: Handle) -> None:
    await story.order(handle, "pause")


async def _pause_to_its_end(story: Story, handle: Handle) -> None:
    await handle.execute_update("pause", result_type=Ack)
    await _paused(story, handle)


async def _resume(story: Story, handle: Handle) -> None:
    await story.order(handle, "resume")


async def _resume_without_gpu(story: Story, handle: Handle) -> None:
    story.world.gpu_is_taken = True
    await story.order(handle, "resume")


async def _finish(story: Story, handle: Handle) -> None:
    story.world.finish(story.world.newest())


async def _break_off(story: Story, handle: Handle) -> None:
    story.world.breaks["restore"] = 5  # so that the first machine is given back
    story.world.outbid(story.world.newest())


SCENES = (
    Scene("a placement", None, _runs),
    Scene("a failover", _outbid, _runs_anew),
    Scene("a failover without a checkpoint", _outbid, _runs_anew, begin={"workdir": False}),
    Scene("a failover whose first machine fails", _break_off, _third_takes_it),
    Scene("a restart in place", _lose_work, _runs_anew),
    Scene("a leave", _leave, _runs_anew, can_save=True),
    Scene("a pause", _pause, _paused, can_save=True),
    Scene("a resume", _resume, _runs, come_to=_pause_to_its_end, can_save=True),
    Scene("a resume elsewhere", _resume_without_gpu, _runs, come_to=_pause_to_its_end, can_save=True),
    Scene("a finish", _finish, _over, can_save=True),
)


async def come_to(scene: Scene, story: Story) -> Handle | None:
    """Play what comes before the scene; None when nothing does."""
    if scene.set_off is None:
        return None
    handle = await story.begin(**scene.begin)
    await story.running(handle)
    await story.until(lambda: story.world.calls["watch"] > 0)
    if scene.come_to is not None:
        await scene.come_to(story, handle)
    return handle


async def set_off(scene: Scene, story: Story, handle: Handle | None) -> Handle:
    if handle is None or scene.set_off is None:
        return await story.begin(**scene.begin)
    await scene.set_off(story, handle)
    return handle
