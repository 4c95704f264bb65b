"""A job: work that runs to its end, what its owner writes in YAML, and what its workflow carries and tells.

It is a front for workloads, its attempts, one after the other: each is a workload like any other, with its failover,
its checkpoints and its bill. A machine that is lost is the workload's affair and costs no attempt; an error in the code
ends the attempt, and the job decides whether there is another.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.machines import Lease
from holdfast.contracts.market import StartWord
from holdfast.contracts.spec import (
    MOST_TOGETHER,
    MOST_VARIABLES,
    SECRET_PATTERN,
    SecretRef,
    VariableName,
    WorkloadSpec,
)
from holdfast.contracts.workload import Upshot
from holdfast.contracts.written import DAY, MONTH, Duration, Line, Strict, Text

JOB_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,42}[a-z0-9])?$"
"""Shorter than a workload's, which has the attempt's number at its end."""
FAIRNESS_PATTERN = r"^[!-~]+$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"
MOST_ATTEMPTS = 20
MOST_OF_AN_ARRAY = 10_000
PRIORITIES = 5
FIRST = 1
"""Of them. The queue itself has it: whoever orders a thousand jobs must not wait behind their tasks."""
OUR_VARIABLES, OUR_CHARACTERS = 30, 10_000
"""What a job, or an array, may add to the environment of its work."""
AT_ONCE = 16
"""Jobs of one tenant that run at a time, where nobody said otherwise."""
MOST_AT_ONCE = 1000
LONGEST_FOR_A_PRICE = DAY
"""That `start: when_cheap` waits, where `start_within` says nothing."""


def _in_workspace(path: str) -> str:
    parts = path.strip("/").split("/")
    if path.startswith("/") or not path.strip("/") or {"", ".", ".."}.intersection(parts):
        raise ValueError(f"{path[:200]!r} must be a path below the workspace, such as data or models/base")
    return path.strip("/")


FairnessKey = Annotated[str, Field(min_length=1, max_length=64, pattern=FAIRNESS_PATTERN)]
Inside = Annotated[Line, AfterValidator(_in_workspace)]


class InputSpec(Strict):
    """Files that the work finds in its workspace. They are in the store, and proven, before a machine is rented."""

    source: Line = Field(
        description="hf:org/name@rev, hf:datasets/org/name@rev, s3://bucket/prefix, https://…, or a local path"
    )
    at: Inside = Field(description="where they stand in the workspace")
    sha256: str | None = Field(
        default=None, pattern=SHA256_PATTERN, description="of the file, or of the folder as `job pin` tells it"
    )
    only: tuple[Line, ...] = Field(default=(), max_length=100, description="patterns of the files that are wanted")
    token: str | None = Field(default=None, pattern=SECRET_PATTERN, description="secret that the source wants to see")


class StartFrom(StrEnum):
    """What an attempt after an error finds in its workspace."""

    CHECKPOINT = "checkpoint"  # what the attempt before had saved last
    BEGINNING = "beginning"  # its files and inputs alone


class RetriesSpec(Strict):
    """What follows an error in the code. The loss of a machine is none, and is not counted."""

    errors: int = Field(default=0, ge=0, le=MOST_ATTEMPTS - 1, description="errors after which it is tried again")
    wait: Duration = Field(
        default=timedelta(seconds=30), ge=timedelta(), le=DAY, description="before that; twice as long each time"
    )
    start_from: StartFrom = Field(default=StartFrom.CHECKPOINT)


class QueueSpec(Strict):
    """Who goes first where more jobs of a tenant wait than may run."""

    priority: int = Field(default=3, ge=1, le=PRIORITIES, description="1 goes before 2, and so on")
    fairness_key: FairnessKey | None = Field(default=None, description="jobs of one key share; None: their name's")
    weight: float = Field(default=1.0, ge=0.001, le=1000, description="of its key's share")


class Late(StrEnum):
    """What becomes of a job whose deadline has passed."""

    FINISH = "finish"
    STOP = "stop"  # saved, and stopped


class Start(StrEnum):
    """When a job begins."""

    NOW = "now"
    WHEN_CHEAP = "when_cheap"  # waits hour by hour, as long as a cheaper one is to be expected


class JobSpec(WorkloadSpec):
    """Work that runs to its end, with what it needs and what it leaves behind."""

    name: str = Field(pattern=JOB_PATTERN, description="lower-case letters, digits and dashes, 44 at most")
    command: Text = Field(default="", description="run by /bin/sh in the workspace; or give script")
    script: Inside | None = Field(
        default=None, description="a file of workdir, run by python3, or by sh if it ends in .sh"
    )
    arguments: tuple[Text, ...] = Field(default=(), max_length=1000, description="of the script, each passed as it is")
    inputs: tuple[InputSpec, ...] = Field(default=(), max_length=20)
    outputs: tuple[Line, ...] = Field(
        default=(),
        max_length=100,
        description="patterns below the workspace that must be there in the end; none: all of it",
    )
    retries: RetriesSpec = Field(default_factory=RetriesSpec)
    queue: QueueSpec = Field(default_factory=QueueSpec)
    start: Start = Field(default=Start.NOW, description="now, or when_cheap: prices are watched, and it waits")
    start_within: Duration | None = Field(
        default=None,
        ge=timedelta(hours=1),
        le=2 * MONTH,
        description="the longest that when_cheap waits; None: a day. Never so long that policy.deadline is at risk",
    )
    when_late: Late = Field(default=Late.FINISH, description="finish or stop, when policy.deadline has passed")
    stop_after: Duration | None = Field(
        default=None,
        ge=timedelta(seconds=1),
        le=2 * MONTH,
        description="saved and stopped so long after its submission",
    )

    @model_validator(mode="after")
    def _has_one_thing_to_run(self) -> Self:
        if bool(self.command.strip()) is (self.script is not None):
            raise ValueError("give either command or script")
        if self.arguments and self.script is None:
            raise ValueError("arguments are a script's; write them into the command")
        if self.service is not None or self.hibernate is not None:
            raise ValueError("a job ends: service and hibernate are for a workload or an endpoint")
        if self.start is Start.WHEN_CHEAP and self.resources.gpu is None:
            raise ValueError("start: when_cheap needs resources.gpu: prices are watched for one kind of GPU")
        if self.start_within is not None and self.start is Start.NOW:
            raise ValueError("start_within is how long start: when_cheap may wait")
        if self.start is Start.WHEN_CHEAP and self.stop_after is not None:
            waits = self.start_within or LONGEST_FOR_A_PRICE
            if self.stop_after <= waits:
                raise ValueError(
                    "start: when_cheap waits start_within, or a day, and stop_after would end it before that: "
                    "give a shorter start_within, or a longer stop_after"
                )
        if self.when_late is Late.STOP and self.policy.deadline is None:
            raise ValueError("when_late: stop needs policy.deadline; or give stop_after")
        return self

    @field_validator("inputs")
    @classmethod
    def _not_in_each_others_place(cls, inputs: tuple[InputSpec, ...]) -> tuple[InputSpec, ...]:
        places = [each.at for each in inputs]
        for each in places:
            if any(each == other or other.startswith(f"{each}/") for other in places if other is not each):
                raise ValueError(f"two inputs would stand at {each}")
        return inputs

    @field_validator("environment")
    @classmethod
    def _leaves_room(cls, environment: dict[str, str | SecretRef]) -> dict[str, str | SecretRef]:
        together = sum(len(name) + len(value) for name, value in environment.items() if isinstance(value, str))
        if len(environment) > MOST_VARIABLES - OUR_VARIABLES or together > MOST_TOGETHER - OUR_CHARACTERS:
            raise ValueError(
                f"should have at most {MOST_VARIABLES - OUR_VARIABLES} variables, and "
                f"{MOST_TOGETHER - OUR_CHARACTERS} characters together: a job adds some of its own"
            )
        return environment

    @field_validator("outputs")
    @classmethod
    def _below_the_workspace(cls, outputs: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_in_workspace(each) for each in outputs)

    @property
    def what_runs(self) -> str:
        """The shell command of every attempt."""
        if self.script is None:
            return self.command
        interpreter = "sh" if self.script.endswith(".sh") else "python3"
        return f"exec {interpreter} {shlex.join((self.script, *self.arguments))}"

    @property
    def fairness_key(self) -> str:
        return self.queue.fairness_key or self.name


class ArraySpec(Strict):
    """Many jobs of one spec, one for each combination of the values."""

    count: int | None = Field(
        default=None, ge=1, le=MOST_OF_AN_ARRAY, description="so many; $ARRAY_INDEX tells them apart"
    )
    values: dict[VariableName, tuple[Text, ...]] = Field(
        default_factory=dict, max_length=20, description="variables of the environment, and what each of them may be"
    )
    at_once: int | None = Field(
        default=None, ge=1, le=MOST_OF_AN_ARRAY, description="of this array; None: as many as may"
    )

    @model_validator(mode="after")
    def _is_small(self) -> Self:
        longest = sum(len(name) + max(map(len, each), default=0) for name, each in self.values.items())
        if longest > OUR_CHARACTERS // 2 or not all(self.values.values()):
            raise ValueError(f"each variable needs values, and one of each at most {OUR_CHARACTERS // 2} characters")
        return self


class JobPhase(StrEnum):
    """Where a job is. Also the search attribute `HoldfastState`."""

    PREPARING = "preparing"  # its inputs are fetched and proven
    WAITING = "waiting"  # for a cheaper hour
    QUEUED = "queued"  # its tenant has as many jobs running as it may
    STARTING = "starting"  # a machine is searched, rented, settled in
    RUNNING = "running"
    MOVING = "moving"  # its machine was lost, or is left for another
    PAUSED = "paused"  # its workload, by somebody
    RETRYING = "retrying"  # after an error in the code, before the next attempt
    STOPPING = "stopping"  # what was done is being saved
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"  # before its end, for its budget or its deadline, with its state saved
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (JobPhase.SUCCEEDED, JobPhase.FAILED, JobPhase.STOPPED, JobPhase.CANCELLED)


class JobCause(StrEnum):
    """Why a job ended as it did. Each has its exit code."""

    DONE = "done"
    CODE = "code"  # the command ended with an error
    SETUP = "setup"  # the setup command did, on a machine
    INPUT = "input"  # an input is missing, or is not what the spec pins
    OUTPUT = "output"  # the command ended well, and an output that the spec names is not there
    NO_MACHINE = "no_machine"  # nothing for rent fits the spec
    LOST = "lost"  # machine after machine was, and the policy had no way to another
    BUDGET = "budget"
    LATE = "late"  # its deadline passed, or stop_after
    ASKED = "asked"  # somebody cancelled it
    STORE = "store"  # its last state could not be saved
    INTERNAL = "internal"  # nobody foresaw it


@dataclass(frozen=True, kw_only=True)
class StagedInput:
    """An input whose files are in the store."""

    source: str  # with the revision that was meant
    at: str
    sha256: str  # of the file, or of the folder: all paths, sizes and hashes
    manifest: str  # key in the store
    files: int
    bytes_total: int
    single: bool = False  # one file, which stands at `at` itself


@dataclass(frozen=True, kw_only=True)
class JobOutputs:
    """What a job left behind, proven by reading it back."""

    manifest: str  # key in the store; holds the outputs alone
    sha256: str  # over all paths, sizes and chunks: equal for equal outputs
    files: int
    bytes_total: int
    missing: tuple[str, ...] = ()  # patterns of the spec that nothing matches


@dataclass(frozen=True, kw_only=True)
class JobAttempt:
    """One workload of a job."""

    number: int  # from 1
    workload: str
    began_at: datetime
    ended_at: datetime | None = None
    upshot: Upshot | None = None
    exit_code: int | None = None
    reason: str = ""
    losses: int = 0  # machines lost or left
    head: CheckpointRef | None = None  # what it saved last
    cost: Decimal = Decimal(0)  # USD, when it had ended


@dataclass(frozen=True, kw_only=True)
class ArrayPlace:
    """Which job of an array this is."""

    array: str
    index: int
    size: int
    values: Mapping[str, str] = field(default_factory=dict)
    at_once: int | None = None  # of the array


@dataclass(frozen=True, kw_only=True)
class JobState:
    """What a job carries from run to run."""

    phase: JobPhase
    reason: str
    since: datetime
    submitted_at: datetime
    budget: Decimal | None
    staged: tuple[StagedInput, ...] = ()
    zero: CheckpointRef | None = None  # files and inputs together, with which an attempt begins
    admitted: bool = False  # by the queue
    attempts: tuple[JobAttempt, ...] = ()  # newest last
    opened: bool = False  # the attempt that is under way has said a word
    lease: Lease | None = None
    stopping: JobCause | None = None  # why the job is being stopped
    why_stopping: str = ""
    saves: bool = True  # before that
    again_at: datetime | None = None  # the next attempt; or the next look at prices
    advice: StartWord | None = None  # of the last look at prices
    lines: tuple[str, ...] = ()  # of its page in the Web UI


@dataclass(frozen=True, kw_only=True)
class JobInput:
    """Start a job. Only `spec` is needed; the rest is Holdfast's own."""

    spec: JobSpec
    workdir: CheckpointRef | None = None  # its files, already in the store
    local: tuple[StagedInput, ...] = ()  # inputs from folders of the one who submitted it, already in the store
    place: ArrayPlace | None = None
    owner: str = ""  # id of the workflow that is told of each phase by the signal `job_said`
    resume: JobState | None = None


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """The answer of the query `progress`, what the signal `job_said` carries, and how a job's workflow ends."""

    name: str
    phase: JobPhase
    reason: str
    since: datetime
    submitted_at: datetime
    tenant: str
    priority: int
    fairness_key: str
    cause: JobCause | None = None  # once it is over
    exit_code: int | None = None  # of its newest attempt that ended by itself
    attempts: tuple[JobAttempt, ...] = ()  # oldest first
    errors: int = 0  # attempts that ended with an error in the code
    lease: Lease | None = None
    inputs: tuple[StagedInput, ...] = ()
    outputs: JobOutputs | None = None
    budget: Decimal | None = None
    spent: Decimal = Decimal(0)  # by attempts that have ended
    ends_by: datetime | None = None  # its deadline
    again_at: datetime | None = None  # its next attempt, or its next look at prices
    advice: StartWord | None = None  # of its last look at prices, with `start: when_cheap`
    starts_by: datetime | None = None  # whatever machines cost then
    place: ArrayPlace | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class CancelJob:
    """Update `cancel`."""

    reason: str = "cancelled"
    save: bool = True  # its state, before the machine goes


@dataclass(frozen=True, kw_only=True)
class StartNow:
    """Update `start_now`: wait for no cheaper hour any more."""

    reason: str = "told to start"


@dataclass(frozen=True, kw_only=True)
class ChangeBudget:
    """Update `change_budget`: for the whole job, what it has spent included. None: no limit any more."""

    amount: Decimal | None


def attempt_name(job: str, number: int) -> str:
    """The workload that is this attempt."""
    return f"{job}-a{number}"


def job_of(workload: str) -> str:
    """The job that would call an attempt so; "" where none would."""
    job, _, number = workload.rpartition("-a")
    return job if number.isdecimal() else ""


def array_name(array: str, index: int) -> str:
    """The job with this index."""
    return f"{array}-{index}"


# --- the queue of a tenant -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A job that wants to run. Signal `enqueue`; a repeat changes nothing."""

    job: str
    priority: int = 3
    key: str = ""
    weight: float = 1.0
    since: datetime | None = None
    array: str = ""
    at_once: int | None = None  # of the array


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """A job that may run."""

    job: str
    key: str
    since: datetime
    charged: float  # of its key, before it was known how long it takes; seconds over weight
    weight: float = 1.0
    array: str = ""


@dataclass(frozen=True, kw_only=True)
class KeyState:
    """What a fairness key has had."""

    key: str
    had: float  # seconds of running jobs over weight, since the queue began
    usual: float = 0.0  # seconds that a job of it takes; 0: not known


@dataclass(frozen=True, kw_only=True)
class QueueState:
    """What a queue carries from run to run."""

    at_once: int = AT_ONCE
    waiting: tuple[Waiting, ...] = ()
    admitted: tuple[Admitted, ...] = ()
    keys: tuple[KeyState, ...] = ()
    done: int = 0


@dataclass(frozen=True, kw_only=True)
class QueueInput:
    """Start the queue of a tenant."""

    tenant: str
    resume: QueueState = QueueState()


@dataclass(frozen=True, kw_only=True)
class QueueStatus:
    """The answer of the query `status` of a queue."""

    tenant: str
    at_once: int
    running: tuple[str, ...]
    waiting: tuple[Waiting, ...]  # in the order in which they would go if nothing changed; the first of many
    waits: int  # how many do
    done: int


# --- series ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Point:
    """One value of a series."""

    step: int
    value: float
    at: datetime | None = None
    attempt: int = 1
    epoch: int = 0


@dataclass(frozen=True, kw_only=True)
class Series:
    """One name under which the work wrote numbers. Of a step that was done again the newest value counts."""

    name: str
    points: tuple[Point, ...]
