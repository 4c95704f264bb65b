"""Minimum intervals between calls, per endpoint and caller."""

import time


class Pacing:
    """Remembers the last call of each caller on each endpoint. A restart forgets, which harms nobody."""

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._last: dict[tuple[str, str], float] = {}
        self._blocked: dict[tuple[str, str], float] = {}

    def admit(self, endpoint: str, caller: str, threshold: float, penalty: float) -> bool:
        """Whether this call comes late enough after the last one. A refused call starts the endpoint's penalty."""
        now, who = time.monotonic(), (endpoint, caller)
        if now < self._blocked.get(who, 0.0):
            return False
        if now - self._last.get(who, float("-inf")) < threshold * self._scale:
            self._blocked[who] = now + penalty * self._scale
            return False
        self._last[who] = now
        return True
