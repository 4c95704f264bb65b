"""A question that came at a bad moment is asked again; every other refusal is told at once."""

from typing import Any

import pytest
from temporalio.client import OutboundInterceptor, QueryWorkflowInput, WorkflowQueryFailedError

from holdfast.client import asking
from holdfast.contracts.errors import ASK_AGAIN


class Server(OutboundInterceptor):
    """Refuses so often, in these words."""

    def __init__(self, words: str, refuses: int) -> None:
        self._words = words
        self._left = refuses
        self.asked = 0

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:
        self.asked += 1
        if self._left:
            self._left -= 1
            raise WorkflowQueryFailedError(self._words)
        return "answered"


QUESTION = QueryWorkflowInput("id", None, "status", [], None, {}, None, {}, None)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_WAIT", 0)


async def test_it_is_asked_again_until_it_is_answered():
    server = Server(f"query failed: {ASK_AGAIN}", refuses=3)
    assert await asking.AskingAgain().intercept_client(server).query_workflow(QUESTION) == "answered"
    assert server.asked == 4


async def test_not_for_ever():
    server = Server(ASK_AGAIN, refuses=1000)
    with pytest.raises(WorkflowQueryFailedError):
        await asking.AskingAgain().intercept_client(server).query_workflow(QUESTION)
    assert server.asked == asking.TRIES


async def test_another_refusal_is_told_at_once():
    server = Server("no such query", refuses=1)
    with pytest.raises(WorkflowQueryFailedError):
        await asking.AskingAgain().intercept_client(server).query_workflow(QUESTION)
    assert server.asked == 1
