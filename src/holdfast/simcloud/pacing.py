"""How often a caller may call: a least interval per endpoint, or a number of calls per minute."""

import time
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limit:
    """``threshold`` seconds between calls, with ``penalty`` seconds for haste; or ``per_minute`` calls."""

    threshold: float = 0.0
    penalty: float = 0.0
    per_minute: int | None = None


class Pacing:
    """Remembers the calls of each caller on each endpoint. A restart forgets them, which harms nobody."""

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._calls: dict[tuple[str, str], deque[float]] = {}
        self._blocked: dict[tuple[str, str], float] = {}

    def admit(self, endpoint: str, caller: str, limit: Limit) -> bool:
        """Whether this call comes late enough after those before. A refused call starts the endpoint's penalty."""
        now, who = time.monotonic(), (endpoint, caller)
        calls = self._calls.setdefault(who, deque())
        if now < self._blocked.get(who, 0.0):
            return False
        if calls and now - calls[-1] < limit.threshold * self._scale:
            self._blocked[who] = now + limit.penalty * self._scale
            return False
        while calls and now - calls[0] >= 60 * self._scale:
            calls.popleft()
        if limit.per_minute is not None and len(calls) >= limit.per_minute:
            return False
        calls.append(now)
        return True
