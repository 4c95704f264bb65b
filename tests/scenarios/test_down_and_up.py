"""The whole stack is stopped in the middle of a run; a second `up` on the same directory carries on."""

import asyncio

from holdfast.cli.commands.down import still_billing
from tests.scenarios.conftest import Tell


async def test_a_workload_carries_on_after_down_and_up(tell: Tell) -> None:
    story = tell("overnight", steps=100)
    await story.begins()
    before = await story.works()
    left = await asyncio.to_thread(still_billing, story.stage.home)
    assert [each.name for each in left if each.name == story.name], (
        "whoever ends the stack is told what goes on billing"
    )
    await asyncio.to_thread(story.stage.down)
    assert not story.witness.works_now(story.name), "the simulated machines go dark with the stack"
    await asyncio.to_thread(story.stage.up)
    await story.comes_to(lambda status: status.head != before.head, "it saves again")
    await story.finishes()
    await story.is_whole(steps=100)
