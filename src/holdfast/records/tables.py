"""The tables. `docs/records.md` draws them; `migrations/` creates them.

A name is for ever and its epoch only rises. Each run of a workload under that name is a generation with its own
leases, checkpoints, incidents and decisions.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, MetaData, Text, UniqueConstraint, false, text
from sqlmodel import Field, SQLModel

from holdfast.records.types import Document, Money, Span, UtcDateTime

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


class Table(SQLModel):
    metadata = METADATA


def _of_a_generation() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["workload", "generation"], ["generations.workload", "generations.number"])


class InstallationRow(Table, table=True):
    """One row: who we are among those that share an account."""

    __tablename__ = "installation"

    mark: str = Field(primary_key=True, sa_type=Text)
    set_up_at: datetime = Field(sa_type=UtcDateTime)


class WorkloadRow(Table, table=True):
    """The fence: one row per name, changed only by compare-and-set."""

    __tablename__ = "workloads"

    name: str = Field(primary_key=True, sa_type=Text)
    epoch: int  # the newest ever claimed under this name
    generation: int  # the newest
    claimed_by: int  # the generation that claimed the epoch; it alone may commit
    head_sequence: int | None = None  # of the newest generation; None: nothing is committed


class GenerationRow(Table, table=True):
    """One run of a workload, from its opening to its close."""

    __tablename__ = "generations"

    workload: str = Field(primary_key=True, sa_type=Text, foreign_key="workloads.name")
    number: int = Field(primary_key=True)
    run_id: str = Field(sa_type=Text)
    spec: dict[str, Any] = Field(sa_type=Document)
    rto: timedelta | None = Field(default=None, sa_type=Span)
    rpo: timedelta | None = Field(default=None, sa_type=Span)
    opened_at: datetime = Field(sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    phase: str = Field(sa_type=Text)  # "open" until the close names the final phase
    reason: str = Field(default="", sa_type=Text)
    tenant: str = Field(default="default", sa_type=Text, sa_column_kwargs={"server_default": "default"})


_HELD = text("closed_at IS NULL AND exclusive")
_ONE_CLAIM = Index(
    "ix_leases_one_claim", "provider", "offer_id", unique=True, sqlite_where=_HELD, postgresql_where=_HELD
)
"""Two workloads that saw the same offer cannot both claim it."""


class LeaseRow(Table, table=True):
    """A cost line: first the intent to rent, then what was rented, then its end and its price."""

    __tablename__ = "leases"
    __table_args__ = (
        _of_a_generation(),
        Index(None, "workload", "epoch", unique=True),
        Index(None, "closed_at"),
        Index(None, "provider", "machine_id"),
        _ONE_CLAIM,
        Index(None, "tenant"),
    )

    label: str = Field(primary_key=True, sa_type=Text)
    workload: str = Field(sa_type=Text)
    generation: int
    epoch: int
    provider: str = Field(sa_type=Text)
    offer_id: str = Field(sa_type=Text)
    instance_id: str = Field(default="", sa_type=Text)  # "" until the provider accepted
    machine_id: str = Field(sa_type=Text)
    host_id: str = Field(default="", sa_type=Text)
    gpu: str = Field(sa_type=Text)
    gpu_count: int
    region: str = Field(default="", sa_type=Text)
    terms: str = Field(sa_type=Text)
    hourly: Decimal = Field(sa_type=Money)
    opened_at: datetime = Field(sa_type=UtcDateTime)
    launched_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    closed_because: str = Field(default="", sa_type=Text)
    conduct: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})  # "" until it is over
    failed_in: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})  # the step
    exclusive: bool = Field(default=False, sa_column_kwargs={"server_default": false()})  # its offer was one machine
    cost: Decimal | None = Field(default=None, sa_type=Money)  # None until closed
    tenant: str = Field(default="default", sa_type=Text, sa_column_kwargs={"server_default": "default"})
    reserved: Decimal = Field(default=Decimal(0), sa_type=Money, sa_column_kwargs={"server_default": "0"})  # in all
    bid: Decimal | None = Field(default=None, sa_type=Money)
    storage_hourly: Decimal | None = Field(default=None, sa_type=Money)
    asleep: bool = Field(default=False, sa_column_kwargs={"server_default": false()})  # let go to put its work to sleep
    wanted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # when the sleeper it wakes was told to wake


class MeterRow(Table, table=True):
    """A stretch of a machine's life at one rate. The last is open until the lease is closed."""

    __tablename__ = "meter"

    label: str = Field(primary_key=True, sa_type=Text, foreign_key="leases.label")
    number: int = Field(primary_key=True)
    state: str = Field(sa_type=Text)
    hourly: Decimal = Field(sa_type=Money)  # as charged in this state
    since: datetime = Field(sa_type=UtcDateTime)
    until: datetime | None = Field(default=None, sa_type=UtcDateTime)


class BudgetRow(Table, table=True):
    """A limit on what is spent. Whoever reserves against it holds its row until the reservation is written."""

    __tablename__ = "budgets"

    scope: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(primary_key=True, sa_type=Text)
    span: str = Field(primary_key=True, sa_type=Text)
    amount: Decimal = Field(sa_type=Money)
    set_at: datetime = Field(sa_type=UtcDateTime)


class CheckpointRow(Table, table=True):
    """A committed checkpoint. No row, no checkpoint."""

    __tablename__ = "checkpoints"
    __table_args__ = (_of_a_generation(), Index(None, "workload", "manifest"))

    workload: str = Field(primary_key=True, sa_type=Text)
    generation: int = Field(primary_key=True)
    sequence: int = Field(primary_key=True)
    epoch: int
    manifest: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    taken_at: datetime = Field(sa_type=UtcDateTime)
    committed_at: datetime = Field(sa_type=UtcDateTime)
    files: int = Field(sa_type=BigInteger)
    bytes_total: int = Field(sa_type=BigInteger)
    bytes_uploaded: int = Field(sa_type=BigInteger)
    duration: timedelta = Field(sa_type=Span)
    progress: str = Field(default="", sa_type=Text)
    verified_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    retired_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class IncidentRow(Table, table=True):
    """One loss and its answer. What is searched and summed has its column; the rest is in `document`."""

    __tablename__ = "incidents"
    __table_args__ = (_of_a_generation(),)

    workload: str = Field(primary_key=True, sa_type=Text)
    epoch_lost: int = Field(primary_key=True)
    generation: int
    cause: str = Field(sa_type=Text)
    strategy: str = Field(sa_type=Text)
    decided_at: datetime = Field(sa_type=UtcDateTime)
    recovery_time: timedelta | None = Field(default=None, sa_type=Span)
    work_lost: timedelta | None = Field(default=None, sa_type=Span)
    cost: Decimal = Field(sa_type=Money)
    document: dict[str, Any] = Field(sa_type=Document)


class SightingRow(Table, table=True):
    """A machine that nobody owned when it was last looked, and since when. Gone once it is gone or owned."""

    __tablename__ = "sightings"

    provider: str = Field(primary_key=True, sa_type=Text)
    label: str = Field(primary_key=True, sa_type=Text)
    instance_id: str = Field(primary_key=True, sa_type=Text)
    first_seen: datetime = Field(sa_type=UtcDateTime)
    last_seen: datetime = Field(sa_type=UtcDateTime)
    times: int  # in a row


class MachineBanRow(Table, table=True):
    """What a person said of a machine: that it is banned, or that all is forgiven."""

    __tablename__ = "machine_bans"

    provider: str = Field(primary_key=True, sa_type=Text)
    machine_id: str = Field(primary_key=True, sa_type=Text)
    until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    reason: str = Field(default="", sa_type=Text)
    forgiven_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # what came before is not held against it


class DecisionRow(Table, table=True):
    """Why a machine was chosen."""

    __tablename__ = "decisions"
    __table_args__ = (_of_a_generation(),)

    workload: str = Field(primary_key=True, sa_type=Text)
    epoch: int = Field(primary_key=True)
    made_at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    strategy: str = Field(primary_key=True, sa_type=Text)
    generation: int
    document: dict[str, Any] = Field(sa_type=Document)


class DiskCopyRow(Table, table=True):
    """A copy of a machine's disk: first the intent to take it, then that it is whole, then that it is gone."""

    __tablename__ = "disk_copies"
    __table_args__ = (_of_a_generation(), UniqueConstraint("name"), Index(None, "provider", "dropped_at"))

    workload: str = Field(primary_key=True, sa_type=Text)
    number: int = Field(primary_key=True)  # rises, over all generations
    name: str = Field(sa_type=Text)  # at its provider
    generation: int
    provider: str = Field(sa_type=Text)
    instance_id: str = Field(sa_type=Text)  # of the machine whose disk it is of
    asked_at: datetime = Field(sa_type=UtcDateTime)
    taken_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # None: it is not known to be whole
    disk_gb: float | None = None
    dropped_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # the provider does not know it any more
    left_since: datetime | None = Field(default=None, sa_type=UtcDateTime)  # since when sweeps find no owner of it


class EndpointRow(Table, table=True):
    """What gateways know of an endpoint."""

    __tablename__ = "endpoints"

    name: str = Field(primary_key=True, sa_type=Text)
    spec: dict[str, Any] = Field(sa_type=Document)
    token_hashes: dict[str, Any] = Field(sa_type=Document)  # {"sha256": […]}: never a token
    set_at: datetime = Field(sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    deployment: str | None = Field(default=None, sa_type=Text)  # that it is a release of


class DeploymentRow(Table, table=True):
    """Which endpoint a deployment's name leads to: one, as the name is the key."""

    __tablename__ = "deployments"

    name: str = Field(primary_key=True, sa_type=Text)
    endpoint: str = Field(sa_type=Text)
    set_at: datetime = Field(sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class WakeRow(Table, table=True):
    """One wake of one replica. What is searched has its column; the rest is in `document`."""

    __tablename__ = "wakes"

    replica: str = Field(primary_key=True, sa_type=Text)
    asked_at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    endpoint: str = Field(sa_type=Text, index=True)
    document: dict[str, Any] = Field(sa_type=Document)


class ModelRow(Table, table=True):
    """A model's name. Whoever gives out a version holds its row until the version is written."""

    __tablename__ = "models"

    name: str = Field(primary_key=True, sa_type=Text)
    newest: int  # version ever given; it only rises
    since: datetime = Field(sa_type=UtcDateTime)


class ModelVersionRow(Table, table=True):
    """One version of a model: what it is, where it came from, and the checkpoint that holds its files."""

    __tablename__ = "model_versions"
    __table_args__ = (Index(None, "name", "digest"),)

    name: str = Field(primary_key=True, sa_type=Text, foreign_key="models.name")
    version: int = Field(primary_key=True)
    kind: str = Field(sa_type=Text)
    source: str = Field(sa_type=Text)
    revision: str = Field(sa_type=Text)
    licence: str = Field(sa_type=Text)
    gated: bool
    digest: str = Field(sa_type=Text)  # of the content
    manifest: str = Field(sa_type=Text)
    files: int = Field(sa_type=BigInteger)
    bytes_total: int = Field(sa_type=BigInteger)
    needs: dict[str, Any] = Field(sa_type=Document)
    contents: list[Any] = Field(sa_type=Document)  # path, size and SHA-256 of each file
    lineage: dict[str, Any] | None = Field(default=None, sa_type=Document)  # of one that was fine-tuned
    registered_at: datetime = Field(sa_type=UtcDateTime)
    retired_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class JobRow(Table, table=True):
    """A job as it was last written down. What is searched has its column; the rest is in `document`."""

    __tablename__ = "jobs"
    __table_args__ = (Index(None, "submitted_at", "name"), Index(None, "array"))

    name: str = Field(primary_key=True, sa_type=Text)
    tenant: str = Field(sa_type=Text)
    array: str = Field(default="", sa_type=Text)  # that it is of
    phase: str = Field(sa_type=Text)
    submitted_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    set_at: datetime = Field(sa_type=UtcDateTime)
    spec: dict[str, Any] = Field(sa_type=Document)
    document: dict[str, Any] = Field(sa_type=Document)


class JobManifestRow(Table, table=True):
    """A manifest that garbage collection spares for a job's sake: its inputs while it goes on, then its outputs."""

    __tablename__ = "job_manifests"

    job: str = Field(primary_key=True, sa_type=Text, foreign_key="jobs.name")
    number: int = Field(primary_key=True)
    manifest: str = Field(sa_type=Text)


class NotificationRow(Table, table=True):
    """An event that is told by webhook, and how the telling goes."""

    __tablename__ = "notifications"
    __table_args__ = (UniqueConstraint("event_id"), Index(None, "next_at"))

    number: int | None = Field(default=None, primary_key=True)  # given by the database, in the order of events
    event_id: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    document: dict[str, Any] = Field(sa_type=Document)
    made_at: datetime = Field(sa_type=UtcDateTime)
    tries: int
    next_at: datetime = Field(sa_type=UtcDateTime)  # also: whoever claims it moves this on
    delivered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    given_up_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_error: str = Field(default="", sa_type=Text)


class PriceRow(Table, table=True):
    """What one kind of machine cost in one bucket of time. Its key is its series and the bucket."""

    __tablename__ = "prices"
    __table_args__ = (Index(None, "at"),)

    gpu: str = Field(primary_key=True, sa_type=Text)
    provider: str = Field(primary_key=True, sa_type=Text)
    region: str = Field(primary_key=True, sa_type=Text)  # "": all of the provider
    kind: str = Field(primary_key=True, sa_type=Text)
    basis: str = Field(primary_key=True, sa_type=Text)
    at: datetime = Field(primary_key=True, sa_type=UtcDateTime)  # the bucket
    span: timedelta = Field(sa_type=Span)
    source: str = Field(sa_type=Text)
    minimum: Decimal = Field(sa_type=Money)
    median: Decimal = Field(sa_type=Money)
    p10: Decimal | None = Field(default=None, sa_type=Money)
    p25: Decimal | None = Field(default=None, sa_type=Money)
    p75: Decimal | None = Field(default=None, sa_type=Money)
    p90: Decimal | None = Field(default=None, sa_type=Money)
    offers: int | None = None
    held: bool = False  # too wild, and not confirmed


class SurveyRow(Table, table=True):
    """A question for prices to a provider, and whether it was answered. A question without an answer left a gap."""

    __tablename__ = "surveys"

    provider: str = Field(primary_key=True, sa_type=Text)
    source: str = Field(primary_key=True, sa_type=Text)
    at: datetime = Field(primary_key=True, sa_type=UtcDateTime)  # the bucket
    span: timedelta = Field(sa_type=Span)
    answered: bool
    offers: int
    detail: str = Field(sa_type=Text)


class ForecastRow(Table, table=True):
    """What the prices of one series are expected to be: the newest forecast of it, and no other."""

    __tablename__ = "forecasts"

    gpu: str = Field(primary_key=True, sa_type=Text)
    provider: str = Field(primary_key=True, sa_type=Text)
    region: str = Field(primary_key=True, sa_type=Text)  # "": all of the provider
    kind: str = Field(primary_key=True, sa_type=Text)
    measure: str = Field(primary_key=True, sa_type=Text)
    made_at: datetime = Field(sa_type=UtcDateTime)
    known_until: datetime = Field(sa_type=UtcDateTime)  # the end of the last hour that it stands on
    answer: str = Field(sa_type=Text)
    why: str = Field(sa_type=Text)
    last: float | None = None  # USD per hour and GPU
    alarm: str = Field(sa_type=Text)
    leads: list[Any] = Field(sa_type=Document)  # path, ranges, who leads and how well, at each lead
