"""How the control side talks to an agent, wherever the agent runs."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

from holdfast.contracts.hearsay import LONGEST_MESSAGE, words

_LONGEST_KIND = 40
_MISFITS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)

Json = Mapping[str, Any]
Answer = Callable[[str, Json], Awaitable[Json]]


class Channel(Protocol):
    """A conversation with one agent. Only small JSON passes here; bulk data goes straight to the store."""

    async def call(
        self, method: str, params: Json, *, answer: Answer | None = None, timeout: timedelta | None = None
    ) -> dict[str, Any]:
        """Run `method` on the agent and return its result.

        While it runs the agent may ask back (for presigned URLs, say); `answer(question, params)` replies.
        `timeout` limits silence, not the whole call: every question or progress note starts it anew.

        Raises:
            AgentError: the agent refused or failed; it carries the agent's own reason.
            ChannelLost: the conversation broke; whether the method ran is unknown.
        """
        ...


class AgentError(Exception):
    """The agent answered with a failure. `kind` is one of the agent's documented error names.

    Kind, words and length are a stranger's: they are cleaned and cut here, wherever they come from.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(words(message, LONGEST_MESSAGE))
        self.kind = words(kind, _LONGEST_KIND)


class ChannelLost(Exception):
    """The machine, the network or the agent went away in the middle of a conversation."""


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Take apart, in the block, what an agent said. Only that: a mistake of ours would be taken for its nonsense.

    Raises:
        AgentError: kind `nonsense`: its words do not fit.
    """
    try:
        yield
    except _MISFITS as misfit:
        raise AgentError("nonsense", f"{what} makes no sense: {type(misfit).__name__} {misfit}") from misfit
