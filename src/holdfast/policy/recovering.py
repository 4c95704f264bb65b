"""When a recovery is over: at the first progress of the work that was started."""

from datetime import datetime, timedelta
from typing import Final

_NEVER_REPORTED: Final = timedelta(seconds=20)
"""Work that has reported no progress for so long reports none at all: its process being alive must do."""
_CLOCKS_DIFFER: Final = timedelta(seconds=1)
"""A moment on a machine is told by counting back from a heartbeat on our clock, which arrives a little late or soon."""


def first_progress(
    *, started_at: datetime, progress_at: datetime | None, now: datetime, reports: bool
) -> datetime | None:
    """Since when the work that was started then gets on; None: not yet.

    `progress_at` is the newest that it reported, `reports` whether it is known to report at all. What lies before the
    start is of an earlier start on the same machine, unless by no more than clocks differ.
    """
    if progress_at is None:
        return started_at if now - started_at > _NEVER_REPORTED and not reports else None
    return max(progress_at, started_at) if progress_at >= started_at - _CLOCKS_DIFFER else None
