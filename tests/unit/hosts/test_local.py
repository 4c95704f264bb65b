"""The transfers in this process."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from holdfast.contracts.channel import AgentError, ChannelLost
from holdfast.hosts.local import LocalChannel

Json = dict[str, Any]


def asking(params: Json, ask: Callable[[str, Json], Json], note: Callable[[Json], None]) -> Json:
    note({})
    return {"told": ask("needed", params)}


def failing(params: Json, ask: object, note: object) -> Json:
    raise OSError(28, "No space left on device")


def stuck(params: Json, ask: object, note: Callable[[Json], None]) -> Json:
    threading.Event().wait(0.5)
    note({})
    return {}


@pytest.fixture
def channel() -> LocalChannel:
    return LocalChannel({"asking": asking, "failing": failing, "stuck": stuck})


async def test_a_question_is_answered_by_the_caller(channel: LocalChannel) -> None:
    async def answer(question: str, params: Any) -> Json:
        return {question: params["page"]}

    assert await channel.call("asking", {"page": 7}, answer=answer) == {"told": {"needed": 7}}


async def test_an_answer_that_fails_is_the_callers_own_error(channel: LocalChannel) -> None:
    async def answer(question: str, params: Any) -> Json:
        raise LookupError("the store is down")

    with pytest.raises(LookupError, match="store is down"):
        await channel.call("asking", {}, answer=answer)


async def test_a_full_disk_is_an_agent_error(channel: LocalChannel) -> None:
    with pytest.raises(AgentError) as failure:
        await channel.call("failing", {})
    assert failure.value.kind == "disk_full"


async def test_an_unknown_method_is_refused(channel: LocalChannel) -> None:
    with pytest.raises(AgentError) as failure:
        await channel.call("start", {})
    assert failure.value.kind == "unknown_method"


async def test_silence_beyond_the_timeout_is_a_lost_channel(channel: LocalChannel) -> None:
    with pytest.raises(ChannelLost):
        await channel.call("stuck", {}, timeout=timedelta(seconds=0.1))


async def test_one_transfer_at_a_time(channel: LocalChannel) -> None:
    outcomes = await asyncio.gather(*(channel.call("stuck", {}) for _ in range(2)), return_exceptions=True)
    busy = [outcome for outcome in outcomes if isinstance(outcome, AgentError)]
    assert [error.kind for error in busy] == ["busy"] and {} in outcomes
