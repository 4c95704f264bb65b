"""Checkpoints as workflows see them: references, sizes and times. The bytes and the chunk lists never pass here."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class SaveReason(StrEnum):
    """Why a save was made."""

    WORKDIR = "workdir"  # checkpoint zero: the code, before any machine
    CADENCE = "cadence"
    REQUESTED = "requested"
    PAUSE = "pause"
    BEFORE_PAUSE = "before_pause"  # while it still works: where that fails, nothing is paused
    FINISH = "finish"
    STOP = "stop"
    NOTICE = "notice"  # its machine is about to be taken


@dataclass(frozen=True, kw_only=True)
class CheckpointRef:
    """One committed checkpoint. It can be restored; anything without such a row cannot."""

    workload: str
    epoch: int
    sequence: int  # rises by one with each commit of the workload; checkpoint zero has 0
    manifest: str  # key of the manifest in the store; ends with the digest of its bytes
    reason: SaveReason
    taken_at: datetime  # when the workspace was read: work after this is not in it
    committed_at: datetime
    files: int
    bytes_total: int
    bytes_uploaded: int  # encoded bytes this save had to send
    duration: timedelta
    progress: str = ""  # the workload's own word on how far it was, such as "step 120/400"
    verified_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class RestoreSummary:
    """What a restore moved and how long it took."""

    manifest: str
    files: int
    bytes_total: int
    bytes_fetched: int  # the rest was already on the machine's disk
    duration: timedelta
    store: str = ""  # the mirror that it came from; "": the main store


@dataclass(frozen=True, kw_only=True)
class VerifySummary:
    """The outcome of reading every chunk of a checkpoint back from the store."""

    manifest: str
    chunks: int
    bytes_read: int
    corrupt: tuple[str, ...]  # chunk ids; empty means sound
    duration: timedelta
