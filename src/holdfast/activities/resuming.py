"""Restore a checkpoint and start the work on it: one step of a workflow, made of two that stand for themselves."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from temporalio import activity
from temporalio.exceptions import ApplicationError

from holdfast.activities.checkpoints import CheckpointActivities
from holdfast.activities.hosts import HostActivities
from holdfast.contracts import activities as acts
from holdfast.contracts.checkpoints import RestoreSummary


class ResumeActivities:
    """May be repeated as its parts may: nothing is fetched twice, and nothing started twice."""

    def __init__(self, checkpoints: CheckpointActivities, hosts: HostActivities) -> None:
        self._checkpoints = checkpoints
        self._hosts = hosts

    @activity.defn
    async def resume_work(self, order: acts.ResumeInput) -> acts.ResumeResult:
        return await restore_then_start(order, self._checkpoints.restore_checkpoint, self._hosts.start_work)


async def restore_then_start(
    order: acts.ResumeInput,
    restore: Callable[[acts.RestoreInput], Awaitable[RestoreSummary]],
    start: Callable[[acts.StartWorkInput], Awaitable[acts.StartWorkResult]],
) -> acts.ResumeResult:
    """One after the other.

    Raises:
        ApplicationError: as the part that failed; its first detail is that part's name.
    """
    with _part("restore_checkpoint"):
        restored = await restore(order.restore)
    restored_at = datetime.now(UTC)
    with _part("start_work"):
        started = await start(order.start)
    return acts.ResumeResult(restored=restored, restored_at=restored_at, started_at=started.started_at)


@contextmanager
def _part(name: str) -> Iterator[None]:
    """What a failure means for the search depends on the part in which it was."""
    try:
        yield
    except ApplicationError as err:
        raise ApplicationError(
            err.message,
            name,
            type=err.type,
            non_retryable=err.non_retryable,
            next_retry_delay=err.next_retry_delay,
            category=err.category,
        ) from err.__cause__
