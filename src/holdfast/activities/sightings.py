"""Which machines this worker has heard of lately: the proof that our own side is healthy."""

import time
from datetime import timedelta

_LATELY = timedelta(seconds=10)


class Sightings:
    """Signs of life by label, on the monotonic clock."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def saw(self, label: str) -> None:
        self._last[label] = time.monotonic()

    def forget(self, label: str) -> None:
        self._last.pop(label, None)

    def others_live(self, label: str) -> bool:
        """Whether any other machine answered a moment ago."""
        limit = time.monotonic() - _LATELY.total_seconds()
        return any(at >= limit for other, at in self._last.items() if other != label)
