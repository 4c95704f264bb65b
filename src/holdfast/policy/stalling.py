"""Whether work that runs gets nowhere.

Two things must be shown, for all of the policy's patience: no progress, by work that has reported some before, and an
idle GPU. Work that reports none may be a server that waits for callers; a GPU of which nothing is known is not idle;
and a busy one may be at a long step.
"""

from datetime import datetime, timedelta

IDLE_PERCENT = 5.0
"""GPU use up to which nothing is computed on it."""


class Stalling:
    """What the heartbeats of one start of the work say about it, in their order."""

    def __init__(self, patience: timedelta) -> None:
        """Nothing is shown before `patience` has passed under our own eyes."""
        self._patience = patience
        self._idle_since: datetime | None = None

    def since(self, now: datetime, *, progress_at: datetime | None, gpu_percent: float | None) -> datetime | None:
        """Since when the work gets nowhere; None: it gets on, or nothing is shown.

        `progress_at` is when it last got on, None if it never said so; `gpu_percent` is 0 to 100, None if not known.
        """
        if gpu_percent is None or gpu_percent > IDLE_PERCENT:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        if progress_at is None or self._idle_since is None:
            return None
        shown = min(now - progress_at, now - self._idle_since)
        return progress_at if shown >= self._patience else None
