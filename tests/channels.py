"""Conversations with an agent in this process, with something going on in the middle of them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from holdfast.contracts.channel import Answer, Json
from holdfast.hosts.local import LocalChannel


class EventfulChannel:
    """A local channel that counts calls and questions, and lets a test interfere with a question.

    `on_question(question, how_often_so_far, params)` runs before the real answer; what it raises breaks the transfer.
    """

    def __init__(self, on_question: Callable[[str, int, Json], None] | None = None) -> None:
        self._inner = LocalChannel()
        self._on_question = on_question
        self.calls: list[str] = []
        self.questions: list[str] = []

    async def call(
        self, method: str, params: Json, *, answer: Answer | None = None, timeout: timedelta | None = None
    ) -> dict[str, Any]:
        self.calls.append(method)
        if method in ("hook", "freeze", "thaw"):
            return {}

        async def watched(question: str, asked: Json) -> Json:
            if self._on_question is not None:
                self._on_question(question, self.questions.count(question), asked)
            self.questions.append(question)
            assert answer is not None
            return await answer(question, asked)

        return await self._inner.call(method, params, answer=watched, timeout=timeout)
