"""A fine-tuning: a job that pins data and base model, trains on them, and whose result is registered as a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from holdfast.contracts.deployments import Release, ReleaseOrder
from holdfast.contracts.jobs import JobInput, JobStatus
from holdfast.contracts.models import ModelVersion, StoredModel
from holdfast.contracts.training import DataPin, HyperParameters


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was said to a prompt before the first step and after the last."""

    prompt: str
    base: str
    tuned: str


@dataclass(frozen=True, kw_only=True)
class AdoptTunedInput:
    """Make what a job left behind files in the store that a version may be given to."""

    name: str  # the model's
    manifest: str  # key in the store of the job's outputs
    folder: str  # of the result, such as output/adapter
    base: str = ""  # key in the store of the base that an adapter belongs to; "": it is left alone


@dataclass(frozen=True, kw_only=True)
class TunedModel:
    """A result in the store, with what the trainer wrote of it."""

    stored: StoredModel
    steps: int
    loss: float
    held_out_loss: float | None
    differs: tuple[str, ...]
    place: Mapping[str, str]
    answers: tuple[Answer, ...]


class TunePhase(StrEnum):
    """Where a fine-tuning is. Also the search attribute `HoldfastState`."""

    TRAINING = "training"
    REGISTERING = "registering"
    DEPLOYING = "deploying"  # where that was ordered
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (TunePhase.SUCCEEDED, TunePhase.FAILED, TunePhase.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class TuneState:
    """What a fine-tuning carries from run to run."""

    phase: TunePhase
    reason: str
    since: datetime
    started_at: datetime
    job: JobStatus | None = None  # as it said last


@dataclass(frozen=True, kw_only=True)
class DeployTuned:
    """Put what was registered behind a name. Its version, its files and its trainer's answers are not known before."""

    name: str  # of the deployment
    order: ReleaseOrder
    token_hashes: tuple[str, ...]  # of callers, where the deployment begins with this release


@dataclass(frozen=True, kw_only=True)
class FineTuneInput:
    """Start a fine-tuning."""

    name: str
    job: JobInput  # its `owner` is this fine-tuning
    base: str  # with its revision
    data: DataPin
    parameters: HyperParameters
    trainer: str  # SHA-256 of its code
    holdfast: str  # release
    model: str  # under which the result is registered
    folder: str  # of the result in the job's outputs
    deploy: DeployTuned | None = None
    resume: TuneState | None = None


@dataclass(frozen=True, kw_only=True)
class FineTuneStatus:
    """The answer of the query `progress`, and how a fine-tuning ends."""

    name: str
    phase: TunePhase
    reason: str
    since: datetime
    started_at: datetime
    model: str
    base: str
    data: DataPin
    parameters: HyperParameters
    job: JobStatus | None = None
    registered: ModelVersion | None = None
    answers: tuple[Answer, ...] = ()
    deployment: str = ""  # the name that the result is put behind; "": none
    release: Release | None = None  # of it, as it was decided
