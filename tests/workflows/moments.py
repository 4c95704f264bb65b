"""The moments of a story: where each of its activities begins, and where it is done and nobody has heard of it yet.

They are told as `launch 1 begins`, `launch 1 is done`, `launch 2 begins`. A test holds a story at one of them instead
of making it slow, or does something there.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio import activity


class Moments:
    def __init__(self) -> None:
        self.passed: list[str] = []
        self.then: dict[str, Callable[[], Awaitable[None]]] = {}  # what a test does at a moment, once
        self.playing: set[str] = set()  # activities that have begun and not ended in any way
        self._begun: Counter[str] = Counter()
        self._held: set[str] = set()

    def hold(self, *moments: str) -> None:
        """The story waits at these moments, once it gets there."""
        self._held |= set(moments)

    def go_on(self, *moments: str) -> None:
        """The story waits at these moments no more; at none, if none is named."""
        self._held -= set(moments or self._held)

    def is_behind(self, moment: str) -> bool:
        """The activity whose moment it is has ended."""
        step = moment.removesuffix(" begins").removesuffix(" is done")
        return moment in self.passed and step not in self.playing

    def reached(self, moment: str) -> bool:
        return moment in self.passed

    async def play(self, name: str, body: Callable[[], Awaitable[Any]]) -> Any:
        self._begun[name] += 1
        step = f"{name} {self._begun[name]}"
        self.playing.add(step)
        try:
            await self._pass(f"{step} begins")
            answer = await body()
            await self._pass(f"{step} is done")
        finally:
            self.playing.remove(step)
        return answer

    async def _pass(self, moment: str) -> None:
        self.passed.append(moment)
        if then := self.then.pop(moment, None):
            await then()
        while moment in self._held:
            activity.heartbeat()
            await asyncio.sleep(0.02)
