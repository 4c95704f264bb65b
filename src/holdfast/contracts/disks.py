"""Copies of a workload's disk at its provider, with which the next machine may begin."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from holdfast.contracts.machines import Lease
from holdfast.contracts.spec import WorkloadSpec


@dataclass(frozen=True, kw_only=True)
class DiskCopy:
    """A copy as the records know it. Billed until its provider does not know it any more."""

    name: str  # at its provider
    provider: str
    taken_at: datetime | None = None  # None: it was asked for, and nobody knows yet that it is whole
    disk_gb: float | None = None


@dataclass(frozen=True, kw_only=True)
class DiskInput:
    """Start `disk_copies` for one workload."""

    spec: WorkloadSpec
    lease: Lease | None = None
    finished: bool = False  # nothing more is copied: what there is goes
    cannot: tuple[str, ...] = ()  # providers that have said that they cannot copy a disk


@dataclass(frozen=True, kw_only=True)
class DiskAttached:
    """Signal `attach` to `disk_copies`: copy this machine's disk from now on."""

    lease: Lease
    spec: WorkloadSpec  # of this run of the workload: an earlier run's copies may still be going


@dataclass(frozen=True, kw_only=True)
class DiskWord:
    """Signal `disk_said` to the workload. `what` is for its timeline; "": nothing that a person must read."""

    copy: DiskCopy | None = None  # the newest; None: nothing new
    what: str = ""


@dataclass(frozen=True, kw_only=True)
class PlanCopyInput:
    """Is a copy of this machine's disk due?"""

    workload: str
    epoch: int
    provider: str
    instance_id: str
    every: timedelta


@dataclass(frozen=True, kw_only=True)
class CopyPlan:
    """Exactly one of the three: take it, look again then, or (neither) look again when something was saved."""

    copy: DiskCopy | None = None  # written down, and to be asked for now
    look_again_after: timedelta | None = None


class CopyOutcome(StrEnum):
    """What came of a copy that was asked for."""

    READY = "ready"
    FAILED = "failed"  # it is of no use; something of it may still be billed
    UNABLE = "unable"  # the provider cannot copy disks, as it is set up: nothing was asked for


@dataclass(frozen=True, kw_only=True)
class TakeCopyInput:
    provider: str
    instance_id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class TakenCopy:
    outcome: CopyOutcome
    taken_at: datetime | None = None
    disk_gb: float | None = None
    detail: str = ""  # for people


@dataclass(frozen=True, kw_only=True)
class DropCopyInput:
    provider: str
    name: str


@dataclass(frozen=True, kw_only=True)
class JudgeCopiesInput:
    """What becomes of copies that no running workload owns."""

    provider: str
    names: tuple[str, ...]
    grace: timedelta
    dry_run: bool
    asked_at: datetime
    listed_at: datetime
