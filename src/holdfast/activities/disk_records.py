"""What is on record of copies of machines' disks."""

from collections.abc import Sequence

from temporalio import activity

from holdfast.activities.translation import translated
from holdfast.contracts.disks import CopyPlan, DiskCopy, JudgeCopiesInput, PlanCopyInput
from holdfast.records.store import Records


class DiskRecords:
    """Every method may be repeated."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @activity.defn
    def plan_disk_copy(self, order: PlanCopyInput) -> CopyPlan:
        with translated():
            return self._records.plan_disk_copy(order)

    @activity.defn
    def record_disk_copy(self, copy: DiskCopy) -> list[DiskCopy]:
        with translated():
            return self._records.record_disk_copy(copy)

    @activity.defn
    def open_disk_copies(self, workload: str) -> list[DiskCopy]:
        with translated():
            return self._records.open_disk_copies(workload)

    @activity.defn
    def close_disk_copy(self, name: str) -> None:
        with translated():
            self._records.close_disk_copy(name)

    @activity.defn
    def judge_disk_copies(self, order: JudgeCopiesInput) -> list[str]:
        with translated():
            return self._records.judge_disk_copies(order)

    def all(self) -> Sequence[object]:
        """Every method that a control worker registers."""
        return (
            self.plan_disk_copy,
            self.record_disk_copy,
            self.open_disk_copies,
            self.close_disk_copy,
            self.judge_disk_copies,
        )
