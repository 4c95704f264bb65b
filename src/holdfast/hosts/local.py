"""The agent's transfers in this process, for a folder of this computer: checkpoint zero, and restores for people."""

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from holdfast.contracts.channel import AgentError, Answer, ChannelLost, Json
from holdfast.hosts.agent.failures import AgentFailure, as_failure
from holdfast.hosts.agent.methods import Method, OneAtATime
from holdfast.hosts.agent.registry import TRANSFERS

_GLANCE = 0.25  # seconds between two looks at how long a call has been silent


class LocalChannel:
    """Implements `contracts.channel.Channel` without a machine. Knows the transfer methods only."""

    def __init__(self, methods: Mapping[str, Method] = TRANSFERS) -> None:
        one_at_a_time = OneAtATime()
        self._methods = {name: one_at_a_time.wrap(body) for name, body in methods.items()}

    async def call(
        self, method: str, params: Json, *, answer: Answer | None = None, timeout: timedelta | None = None
    ) -> dict[str, Any]:
        """See `Channel.call`. The method runs in a thread; a cancelled call ends it at its next note or question."""
        if method not in self._methods:
            raise AgentError("unknown_method", f"a local folder has no method {method!r}")
        line = _Line(answer)
        running = asyncio.ensure_future(asyncio.to_thread(self._methods[method], dict(params), line.ask, line.note))
        try:
            while not (await asyncio.wait([running], timeout=_GLANCE))[0]:
                if timeout is not None and line.silent_for() > timeout.total_seconds():
                    raise ChannelLost(f"{method} said nothing for {timeout.total_seconds():.0f} s")
            return running.result()
        except (AgentFailure, OSError, ValueError, KeyError, TypeError) as error:
            failure = as_failure(error)
            raise AgentError(failure.kind, str(failure)) from error
        finally:
            line.cut()


class _Line:
    """What a transfer in a thread says to the event loop that waits for it."""

    def __init__(self, answer: Answer | None) -> None:
        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._heard = time.monotonic()
        self._cut = False

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self.note({})
        if self._answer is None:
            raise AgentFailure("unknown_method", f"the caller answers no {method!r}")
        reply = asyncio.run_coroutine_threadsafe(_await(self._answer, method, params), self._loop).result()
        self.note({})
        return dict(reply)

    def note(self, _facts: dict[str, Any]) -> None:
        if self._cut:
            raise AgentFailure("cancelled", "the caller gave this call up")
        self._heard = time.monotonic()

    def silent_for(self) -> float:
        return time.monotonic() - self._heard

    def cut(self) -> None:
        self._cut = True


async def _await(answer: Answer, method: str, params: dict[str, Any]) -> Json:
    return await answer(method, params)
