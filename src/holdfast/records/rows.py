"""Rows to contracts and back."""

from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.records.tables import CheckpointRow


def checkpoint(row: CheckpointRow) -> CheckpointRef:
    return CheckpointRef(
        workload=row.workload,
        epoch=row.epoch,
        sequence=row.sequence,
        manifest=row.manifest,
        reason=SaveReason(row.reason),
        taken_at=row.taken_at,
        committed_at=row.committed_at,
        files=row.files,
        bytes_total=row.bytes_total,
        bytes_uploaded=row.bytes_uploaded,
        duration=row.duration,
        progress=row.progress,
        verified_at=row.verified_at,
    )


def checkpoint_row(ref: CheckpointRef, generation: int) -> CheckpointRow:
    return CheckpointRow(
        workload=ref.workload,
        generation=generation,
        sequence=ref.sequence,
        epoch=ref.epoch,
        manifest=ref.manifest,
        reason=ref.reason.value,
        taken_at=ref.taken_at,
        committed_at=ref.committed_at,
        files=ref.files,
        bytes_total=ref.bytes_total,
        bytes_uploaded=ref.bytes_uploaded,
        duration=ref.duration,
        progress=ref.progress,
        verified_at=ref.verified_at,
    )
