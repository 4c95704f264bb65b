"""A deployment: a public name that leads to one of several endpoints, and what is told about its releases.

Each release is an endpoint of its own, `<name>-v<n>`. At any time at most one of them has the traffic of the name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.endpoints import EndpointSpec

DEPLOYMENT_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,32}[a-z0-9])?$"
"""Shorter than an endpoint's, which has the release's number at its end."""
DEPLOYER = "deployment"
"""As whom a deployment asks a new endpoint for a pass."""
HANDOVER = timedelta(seconds=30)
"""Longer than gateways take to read their directory anew."""


class DeploymentPhase(StrEnum):
    """Where a deployment is."""

    STARTING = "starting"  # a new endpoint wakes
    TESTING = "testing"  # it is asked what callers would ask
    SERVING = "serving"
    FAILED = "failed"  # its first release was not fit, so there is nothing to serve
    RETIRED = "retired"


class ReleaseState(StrEnum):
    """What became of a release."""

    UNDER_WAY = "under_way"
    SERVING = "serving"  # it has the traffic
    KEPT = "kept"  # for a rollback: no traffic, and nobody wakes it
    FAILED = "failed"  # never had the traffic; removed
    RETIRED = "retired"  # had it once; removed

    @property
    def is_alive(self) -> bool:
        """Whether its endpoint may exist."""
        return self in (ReleaseState.UNDER_WAY, ReleaseState.SERVING, ReleaseState.KEPT)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A prompt for base and tuned model, with what the trainer heard. Equal answers: it knows of no difference."""

    prompt: str
    base: str = ""
    tuned: str = ""


@dataclass(frozen=True, kw_only=True)
class ProbeSet:
    """What a server of a fine-tuned model is asked beside its smoke test, once as tuned and once as the base."""

    model: str  # the name by which the server knows the tuned model
    base: str  # and the base; "": it does not serve that, and the trainer's answers stand for it
    is_chat: bool  # asked in turns of a conversation; else for plain completions
    tokens: int  # the longest answer
    probes: tuple[Probe, ...]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What came of one probe, cut to 200 characters each."""

    prompt: str
    base: str
    tuned: str
    trained: str  # what the tuned model had said to its trainer
    differs: bool  # base and tuned, in full


@dataclass(frozen=True, kw_only=True)
class SmokeRequest:
    """What a new endpoint is asked before it gets traffic. Nothing in it is left to be filled in."""

    method: str = "GET"
    path: str = "/"
    body: str = ""  # JSON
    form: Mapping[str, str] = field(default_factory=dict)  # multipart instead of JSON
    sound_seconds: float = 0.0  # with the form goes a WAV file with a tone of this length, as `file`
    answer: tuple[str, ...] = ()  # where in the JSON answer that stands which must be there, such as data, 0, text
    may_be_empty: bool = False  # it must be a text, and that may be empty: silence says nothing
    contains: str = ""  # text that the answer must contain
    within: timedelta = timedelta(minutes=4)  # all of it
    comparison: ProbeSet | None = None  # of a model that was fine-tuned: afterwards


@dataclass(frozen=True, kw_only=True)
class SmokeVerdict:
    """What came of it, short enough for a history: of the answers only those to probes, cut short."""

    passed: bool
    said: str
    took: timedelta = timedelta()
    compared: tuple[Compared, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReleaseOrder:
    """Update `deploy`: bring this up, and shift the traffic to it if it is fit."""

    spec: EndpointSpec  # its name, and its workload's, are given by the deployment
    model: str
    version: int
    recipe: str
    smoke: SmokeRequest
    files: CheckpointRef | None = None  # the model's, with which each replica begins
    within: timedelta = timedelta(hours=1)  # from its order to its first answer to a health check
    owner: str = ""  # workflow that is told by the signal `release_said` what becomes of it


@dataclass(frozen=True, kw_only=True)
class Release:
    """One version of a deployment."""

    number: int
    endpoint: str
    model: str
    version: int  # of the model
    recipe: str
    state: ReleaseState
    began_at: datetime
    reason: str = ""  # why it is not fit, or how it answered
    ready_at: datetime | None = None  # when it could serve
    compared: tuple[Compared, ...] = ()  # of a model that was fine-tuned: base and tuned, as it answered
    owner: str = ""  # workflow that ordered it


@dataclass(frozen=True, kw_only=True)
class DeploymentState:
    """What a deployment carries from run to run."""

    newest: int  # release ever ordered
    phase: DeploymentPhase
    reason: str
    since: datetime
    releases: tuple[Release, ...] = ()
    ordered: ReleaseOrder | None = None  # of the newest release, if that is not begun yet


@dataclass(frozen=True, kw_only=True)
class DeploymentInput:
    """Start a deployment with its first release. `resume` is Holdfast's own."""

    name: str
    token_hashes: tuple[str, ...] = ()  # SHA-256 of each, in hex; they open every release
    first: ReleaseOrder | None = None
    handover: timedelta = HANDOVER  # so long what served before is still woken, by gateways that have not heard of it
    resume: DeploymentState | None = None


@dataclass(frozen=True, kw_only=True)
class DeploymentStatus:
    """The answer of the query `status`."""

    name: str
    phase: DeploymentPhase
    reason: str
    since: datetime
    serving: str | None  # the endpoint that has the traffic
    kept: str | None  # the one that `rollback` leads back to
    releases: tuple[Release, ...]  # oldest first
    tokens: int

    def release(self, number: int) -> Release | None:
        return next((each for each in self.releases if each.number == number), None)


def endpoint_of(deployment: str, number: int) -> str:
    """The endpoint that is this release."""
    return f"{deployment}-v{number}"


def deployment_of(endpoint: str) -> str:
    """The deployment that would call a release so; "" where none would."""
    deployment, _, number = endpoint.rpartition("-v")
    return deployment if number.isdecimal() else ""
