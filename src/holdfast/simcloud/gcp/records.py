"""What only Compute Engine's wire layer keeps: operations, disks and snapshots.

A machine itself is an instance of the market. Its `alias` is its name, its `notes` are a `Machine`.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from holdfast.simcloud.model import Numbered


class Waits(StrEnum):
    """What an operation has to see before it is done, beside its own time."""

    NOTHING = "nothing"
    RUNNING = "running"
    STOPPED = "stopped"
    GONE = "gone"


class Operation(Numbered):
    """Work that a call has started, or that the system did by itself."""

    name: str
    kind: str  # insert, delete, compute.instances.preempted, …
    scope: str  # such as zones/us-central1-a
    target: str  # a path
    target_id: int
    user: str
    words: str | None = None
    request: str | None = None  # the caller's requestId, and the call it came with
    call: str = ""
    inserted_at: datetime
    starts_at: datetime
    ready_at: datetime  # not done before
    waits: Waits = Waits.NOTHING
    done_at: datetime | None = None
    errors: list[dict[str, Any]] = Field(default_factory=list)
    status: int | None = None  # of a failure
    status_words: str | None = None


class Disk(Numbered):
    """A persistent disk, attached or by itself. Its number is its own line of the bill while nobody has it."""

    name: str
    zone: str
    kind: str
    size: int  # GB
    labels: dict[str, str] = Field(default_factory=dict)
    label_version: int = 0
    source_image: str | None = None
    source_snapshot: str | None = None
    created_at: datetime
    ready_at: datetime
    user: int | None = None  # the instance that has it
    device: str = ""
    boot: bool = False
    auto_delete: bool = False
    mode: str = "READ_WRITE"
    snapped_at: list[datetime] = Field(default_factory=list)
    contents: str | None = None  # the folder with what it began with, or with what was on it when it was detached
    attached_at: datetime | None = None
    detached_at: datetime | None = None


class Snapshot(Numbered):
    """A copy of a disk, usable in every zone."""

    name: str
    disk: str  # the path of the disk that it is of
    disk_id: int
    size: int  # GB, of the disk
    stored: int  # bytes
    labels: dict[str, str] = Field(default_factory=dict)
    label_version: int = 0
    places: list[str] = Field(default_factory=list)
    created_at: datetime
    uploading_at: datetime
    ready_at: datetime


class Machine(BaseModel):
    """What Compute Engine keeps of an instance beyond the market."""

    machine_type: str
    zone: str
    scheduling: dict[str, Any]
    labels: dict[str, str] = Field(default_factory=dict)  # without ours, which is the instance's label
    label_version: int = 0
    metadata: list[dict[str, str]] = Field(default_factory=list)
    metadata_version: int = 0
    accelerator: str | None = None
    accelerators: int = 0
    tags: list[str] = Field(default_factory=list)
    service_accounts: list[dict[str, Any]] = Field(default_factory=list)
    deletion_protection: bool = False
    network: dict[str, Any] = Field(default_factory=dict)
    login: str = "nobody"
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    down_at: datetime | None = None  # when it will be down; None: nobody is stopping it
    soft_off_at: datetime | None = None  # when its processes are asked to end; before `down_at`
    noticed_at: datetime | None = None  # when it learns that it is preempted
    then_gone: bool = False  # deleted once it is down
    asked_off: bool = False  # its system has been told to shut down
    suspended: bool = False
    ends_at: datetime | None = None  # by its maxRunDuration or terminationTime

    @property
    def spot(self) -> bool:
        """Whether Google may take it back."""
        return self.scheduling.get("provisioningModel") == "SPOT" or bool(self.scheduling.get("preemptible"))

    @property
    def deleted_when_ended(self) -> bool:
        """What becomes of it when Google or the clock ends it."""
        return self.scheduling.get("instanceTerminationAction") == "DELETE"
