"""Copies of machines' disks: what their provider does."""

import asyncio
from collections.abc import Sequence

from temporalio import activity

from holdfast.activities.beating import beating
from holdfast.activities.translation import translated
from holdfast.contracts.disks import (
    CopyOutcome,
    DropCopyInput,
    TakeCopyInput,
    TakenCopy,
)
from holdfast.providers.base import DiskSnapshot, KeepsSnapshots, Provider, SnapshotState

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0  # seconds between two looks at a copy that is being made or dropped


class DiskActivities:
    """One provider's copies. A name makes asking for a copy repeatable."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    @activity.defn
    async def take_disk_copy(self, order: TakeCopyInput) -> TakenCopy:
        keeping = self._provider
        if not isinstance(keeping, KeepsSnapshots):
            return TakenCopy(outcome=CopyOutcome.UNABLE, detail=f"{self._provider.name} cannot copy a disk")
        async with beating():
            with translated():
                found = await keeping.take_snapshot(order.instance_id, order.name)
                pause = _FIRST_PAUSE
                while found.state is SnapshotState.CREATING:
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, _LONGEST_PAUSE)
                    found = await keeping.find_snapshot(order.name)
        return _taken(found)

    @activity.defn
    async def drop_disk_copy(self, order: DropCopyInput) -> None:
        keeping = self._provider
        if not isinstance(keeping, KeepsSnapshots):  # so it was never asked for one
            return
        async with beating():
            with translated():
                pause = _FIRST_PAUSE
                while not await keeping.drop_snapshot(order.name):
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, _LONGEST_PAUSE)

    def all(self) -> Sequence[object]:
        """Every method that a worker of this provider registers."""
        return (self.take_disk_copy, self.drop_disk_copy)


def _taken(found: DiskSnapshot) -> TakenCopy:
    ready = found.state is SnapshotState.READY
    return TakenCopy(
        outcome=CopyOutcome.READY if ready else CopyOutcome.FAILED,
        taken_at=found.taken_at,
        disk_gb=found.disk_gb,
        detail=f"{found.state}: {found.detail}" if found.detail else str(found.state),
    )
