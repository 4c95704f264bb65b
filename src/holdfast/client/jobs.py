"""Jobs, for other services: submit one or many, see how they do, read what they say, fetch what they leave."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from temporalio.client import Client, WorkflowExecution, WorkflowFailureError
from temporalio.common import Priority, SearchAttributePair
from temporalio.service import RPCError

from holdfast.client import market, money, shortage, starting
from holdfast.client.calls import ask
from holdfast.client.errors import (
    AlreadyRunning,
    InvalidState,
    NoCheckpoint,
    OperationFailed,
    SourceRefused,
    SpecInvalid,
    SpecProblem,
    UnknownJob,
)
from holdfast.client.job_logs import JobLogReader, pieces_of
from holdfast.client.operations import Kind, Operations, is_running, refuse_running
from holdfast.client.status import telemetry_of
from holdfast.client.translation import is_not_found
from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.activities import Telemetry
from holdfast.contracts.checkpoints import CheckpointRef, RestoreSummary
from holdfast.contracts.jobs import (
    AT_ONCE,
    FIRST,
    JOB_PATTERN,
    ArrayPlace,
    ArraySpec,
    CancelJob,
    ChangeBudget,
    JobInput,
    JobPhase,
    JobSpec,
    JobStatus,
    QueueInput,
    QueueStatus,
    Series,
    StagedInput,
    StartNow,
    array_name,
    attempt_name,
)
from holdfast.contracts.machines import Offer
from holdfast.contracts.spec import NAME_PATTERN, WorkloadSpec
from holdfast.models.sources import is_elsewhere
from holdfast.policy import jobs as policy
from holdfast.policy.series import collect
from holdfast.settings import Settings

KIND = Kind(
    word="job",
    article="a",
    pattern=JOB_PATTERN,
    prefix=names.job_id(""),
    workflow=names.JOB,
    unknown=UnknownJob,
    show="holdfast job show",
    end="holdfast job cancel",
    begin="holdfast job submit FILE",
)
QUEUE = Kind(
    word="tenant",
    article="a",
    pattern=NAME_PATTERN,
    prefix=names.job_queue_id(""),
    workflow=names.JOB_QUEUE,
    unknown=UnknownJob,
    show="holdfast job queue --tenant",
    end="holdfast job limit --tenant",
    begin="holdfast job limit N",
)
_AT_ONCE = 10
"""Starts of an array that are under way together."""


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A job that is the server's own now."""

    name: str
    run_id: str
    cheapest: Offer  # the market's best at that moment


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A job, and the freshest word from its machine."""

    status: JobStatus
    live: Telemetry | None  # None: there is no machine, or it was not heard yet


@dataclass(frozen=True, kw_only=True)
class RemovedJob:
    """What is gone with a job, and whose bills are left."""

    name: str
    attempts: tuple[str, ...]  # workloads; reports tell of them as before
    checkpoints: int  # given up
    log_pieces: int  # deleted


@dataclass(frozen=True)
class _Ready:
    """What was checked and saved before a start."""

    spec: JobSpec
    workdir: CheckpointRef | None
    local: tuple[StagedInput, ...]
    cheapest: Offer


class Jobs:
    """The operations on jobs, over one connection to Temporal."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._jobs = Operations(client, KIND)
        self._queues = Operations(client, QUEUE)

    async def submit(self, spec: JobSpec, *, workdir: Path | None = None, base: Path | None = None) -> Submitted:
        """Start a job; returns as soon as it is the server's own, before a machine is rented.

        `workdir` and inputs that are folders of this computer (relative to `base`) are saved to the store first; for
        inputs from elsewhere it is asked whether they are there.

        Raises:
            AlreadyRunning: there is a job of this name, or a workload with the name of one of its attempts.
            SpecInvalid: its deadline can be met no more.
            SourceRefused, SourceUnavailable: an input is not there, or is not what the spec pins.
            NoOffers, BudgetExceeded, SecretMissing, NoProvider, CredentialsRefused, ProviderUnavailable,
            StoreUnavailable, NoWorker, TemporalUnavailable.
        """
        await self._refuse_taken(spec)
        ready = await self._made_ready(spec, workdir, base or Path())
        run_id = await self._start(ready, ready.spec, None)
        return Submitted(name=spec.name, run_id=run_id, cheapest=ready.cheapest)

    async def made_ready(self, spec: JobSpec, *, workdir: Path, base: Path | None = None) -> tuple[JobInput, Offer]:
        """A job as `submit` would start it, for a workflow that starts it; and the market's best. Raises as it."""
        await self._refuse_taken(spec)
        ready = await self._made_ready(spec, workdir, base or Path())
        return JobInput(spec=ready.spec, workdir=ready.workdir, local=ready.local), ready.cheapest

    async def submit_array(
        self, spec: JobSpec, wanted: ArraySpec, *, workdir: Path | None = None, base: Path | None = None
    ) -> tuple[Submitted, ...]:
        """Start a job for each combination of the values: `<name>-0`, `<name>-1`, and so on. Raises as `submit`."""
        try:
            places = policy.places(spec.name, wanted)
        except ValueError as err:
            raise _invalid(spec, "array", str(err)) from None
        longest = array_name(spec.name, len(places) - 1)
        if not re.fullmatch(JOB_PATTERN, longest):
            raise _invalid(spec, "name", f"is too long for an array: {longest} would have {len(longest)} characters")
        shared = spec.queue.model_copy(update={"fairness_key": spec.queue.fairness_key or spec.name[:64]})
        specs = [
            spec.model_copy(update={"name": array_name(spec.name, each.index), "queue": shared}) for each in places
        ]
        await asyncio.gather(*(self._refuse_taken(each) for each in (specs[0], specs[-1])))
        ready = await self._made_ready(spec, workdir, base or Path())
        slots = asyncio.Semaphore(_AT_ONCE)

        async def start(one: JobSpec, place: ArrayPlace) -> Submitted:
            async with slots:
                placed = one.model_copy(update={"providers": ready.spec.providers})
                run_id = await self._start(ready, placed, place)
                return Submitted(name=one.name, run_id=run_id, cheapest=ready.cheapest)

        return tuple(await asyncio.gather(*(start(one, place) for one, place in zip(specs, places, strict=True))))

    async def all(self, *, ended: bool = False, tenant: str = "", array: str = "") -> tuple[JobStatus, ...]:
        """Jobs that go on, the newest first; with `ended` every job on record.

        Phases of those that go on are a moment old at most; the rest is as it was last written down.
        """
        running = await self._jobs.running()
        known = {each.name: each for each in await self._on_record(None if ended else True, tenant, array)}
        told = [_as_of(running[name], known.get(name)) for name in running if name in known or not (tenant or array)]
        if ended:
            told += [_lost_or(each) for each in known.values() if each.name not in running]
        return tuple(sorted(told, key=lambda each: each.submitted_at, reverse=True))

    async def status(self, name: str) -> JobView:
        """How a job stands; after the server has forgotten it, as it is on record.

        Raises:
            UnknownJob: neither knows the name.
        """
        try:
            status = await self._jobs.ask(name, "progress", JobStatus)
        except UnknownJob:
            found = await ask(
                self._client, acts.read_job, name, queue=names.CONTROL_QUEUE, summary=f"what is on record of {name}"
            )
            if found is None:
                raise
            status = found
        return JobView(status=status, live=await self._live(status))

    async def cancel(self, name: str, *, reason: str = "cancelled", save: bool = True) -> JobStatus:
        """End a job. Answers when that has begun; `wait` waits until its machine is gone."""
        return await self._jobs.order(name, "cancel", JobStatus, CancelJob(reason=reason, save=save))

    async def start(self, name: str, *, reason: str = "told to start") -> JobStatus:
        """Let a job that waits for a cheaper hour wait no longer.

        Raises:
            InvalidState: it does not wait for one.
            UnknownJob, NoWorker.
        """
        return await self._jobs.order(name, "start_now", JobStatus, StartNow(reason=reason))

    async def change_budget(self, name: str, amount: Decimal | None) -> JobStatus:
        """So much for the whole job, what it has spent included; None: no limit."""
        return await self._jobs.order(name, "change_budget", JobStatus, ChangeBudget(amount=amount))

    async def wait(self, name: str) -> JobStatus:
        """Wait for the end of a job, however long that takes. How it ended is in the answer, also where it failed.

        Raises:
            UnknownJob, OperationFailed: it was ended by force.
        """
        try:
            await self._jobs.handle(name).result()
        except WorkflowFailureError as err:
            status = await self._status_of(name)
            if not status.phase.is_final:
                raise OperationFailed(f"the job {name!r} was ended by force: {err.cause}") from err
            return status
        except RPCError as err:
            if not is_not_found(err):
                raise self._jobs.refused(err) from err
        return await self._status_of(name)

    def logs(self, name: str, *, cursor: str = "") -> JobLogReader:
        """What its attempts wrote, over all their machines in order. A `cursor` of an earlier reader goes on there."""
        return JobLogReader(self._client, lambda: self._status_of(name), cursor=cursor)

    async def series(self, name: str) -> tuple[Series, ...]:
        """The numbers that its work wrote of itself, by name, over all attempts and machines."""
        status = await self._status_of(name)
        return collect([piece async for piece in pieces_of(self._client, status)])

    async def fetch(self, name: str, folder: Path) -> RestoreSummary:
        """Make a new or empty folder what the job left behind, every chunk verified.

        Raises:
            InvalidState: it is not over yet.
            NoCheckpoint: it has saved nothing.
            FolderNotEmpty, FolderUnusable, StoreUnavailable, CheckpointCorrupt: the folder is as it was.
        """
        from holdfast.client.folders import restore_manifest  # noqa: PLC0415 (the store's client is slow to import)

        status = await self._status_of(name)
        if not status.phase.is_final:
            newest = status.attempts[-1].workload if status.attempts else attempt_name(name, 1)
            remedy = f"`holdfast checkpoint restore {newest} DIR` fetches what it has saved so far"
            raise InvalidState(f"the job {name!r} is {status.phase}: its outputs are kept at its end", remedy=remedy)
        if status.outputs is None:
            raise NoCheckpoint(f"the job {name!r} has saved nothing", remedy=f"`holdfast job logs {name}` tells more")
        return await restore_manifest(status.outputs.manifest, folder, settings=self._settings)

    async def remove(self, name: str) -> RemovedJob:
        """Forget a job that is over: its record, what it left behind, what its attempts saved and wrote. For good.

        What its attempts cost stays on record, and so does a model that was made of what it left.

        Raises:
            UnknownJob.
            InvalidState: it goes on, or one of its attempts does.
        """
        status = await self._status_of(name)
        attempts = tuple(each.workload for each in status.attempts)
        for each in (names.job_id(name), *map(names.workload_id, attempts)):
            if await is_running(self._client, each):
                raise InvalidState(f"{each} goes on", remedy=f"`holdfast job cancel {name}` ends it")
        within = timedelta(minutes=5)  # a log may be of a hundred thousand pieces
        pieces = await ask(
            self._client,
            acts.forget_logs,
            list(attempts),
            queue=names.HOSTS_QUEUE,
            summary=f"forget logs of {name}",
            within=within,
        )
        checkpoints = await ask(
            self._client,
            acts.forget_job,
            acts.ForgetJobInput(job=name, attempts=attempts),
            queue=names.CONTROL_QUEUE,
            summary=f"forget the job {name}",
        )
        await self._jobs.erase(name)
        return RemovedJob(name=name, attempts=attempts, checkpoints=checkpoints, log_pieces=pieces)

    async def queue(self, tenant: str = "default") -> QueueStatus:
        """Which jobs of a tenant run, and which wait, in their order."""
        try:
            return await self._queues.ask(tenant, "status", QueueStatus)
        except UnknownJob:
            if not re.fullmatch(NAME_PATTERN, tenant):
                raise
            return QueueStatus(tenant=tenant, at_once=AT_ONCE, running=(), waiting=(), waits=0, done=0)

    async def limit(self, tenant: str, at_once: int) -> QueueStatus:
        """Let so many jobs of a tenant run at a time, from now on. Those that run are left alone."""
        self._queues.handle(tenant)  # a name that cannot be is no queue
        with suppress(AlreadyRunning):
            await self._queues.start(
                tenant,
                QueueInput(tenant=tenant),
                summary=f"which job of {tenant} goes next",
                priority=Priority(priority_key=FIRST),
            )
        return await self._queues.order(tenant, "set_limit", QueueStatus, at_once)

    # --- before a start ------------------------------------------------------------------------------------------

    async def _refuse_taken(self, spec: JobSpec) -> None:
        await refuse_running(self._client, names.job_id(spec.name), self._jobs.taken(spec.name))
        for number in range(1, spec.retries.errors + 2):
            workload = attempt_name(spec.name, number)
            in_the_way = AlreadyRunning(
                f"a workload named {workload!r} is running: so is an attempt to be called",
                remedy=f"`holdfast stop {workload}` ends it; or choose another name",
            )
            await refuse_running(self._client, names.workload_id(workload), in_the_way)

    async def _made_ready(self, spec: JobSpec, workdir: Path | None, base: Path) -> _Ready:
        """The cheap questions first; nothing is saved for a job that could not be."""
        if spec.script is not None and (workdir is None or not (workdir / spec.script).is_file()):
            raise _invalid(spec, "script", f"there is no {spec.script} in workdir")
        asked = market.providers_for(spec.providers, self._settings)
        await market.refuse_unknown(self._client, asked, self._settings)
        placed = spec.model_copy(update={"providers": asked})
        attempt = _attempt_of(placed)
        starting.refuse_impossible_deadline(attempt)
        needs = starting.most_that_is_needed(attempt)
        found = await shortage.require_offers(self._client, asked, needs, words=shortage.IN_A_SPEC)
        await money.refuse_spent_budget(self._client, attempt, found.offers[0])
        await starting.refuse_missing_secrets(self._client, attempt)
        local = [each for each in spec.inputs if not is_elsewhere(each.source)]
        for each in spec.inputs:
            if each not in local:
                await ask(
                    self._client,
                    acts.plan_input,
                    each,
                    queue=names.HOSTS_QUEUE,
                    summary=f"is {each.source[:100]} there",
                )
        staged: tuple[StagedInput, ...] = ()
        saved = None
        if local or workdir is not None:
            from holdfast.client.folders import save_folder, save_inputs  # noqa: PLC0415 (as above)

            wanted = [(each, _path_of(each.source, base)) for each in local]
            staged = await save_inputs(spec.name, wanted, settings=self._settings) if wanted else ()
            record = names.job_record(spec.name)
            if workdir is not None:
                saved = await save_folder(record, workdir, exclude=spec.checkpoint.exclude, settings=self._settings)
        return _Ready(placed, saved, staged, found.offers[0])

    async def _start(self, ready: _Ready, spec: JobSpec, place: ArrayPlace | None) -> str:
        return await self._jobs.start(
            spec.name,
            JobInput(spec=spec, workdir=ready.workdir, local=ready.local, place=place),
            summary=f"{spec.name}: {spec.what_runs.strip()[:80]}",
            attributes=[SearchAttributePair(names.SA_STATE, JobPhase.PREPARING.value)],
            priority=Priority(
                priority_key=spec.queue.priority, fairness_key=spec.fairness_key, fairness_weight=spec.queue.weight
            ),
        )

    # --- asking --------------------------------------------------------------------------------------------------

    async def _status_of(self, name: str) -> JobStatus:
        return (await self.status(name)).status

    async def _live(self, status: JobStatus) -> Telemetry | None:
        if status.phase.is_final or not status.attempts or status.attempts[-1].ended_at is not None:
            return None
        workload = names.workload_id(status.attempts[-1].workload)
        try:
            return await telemetry_of(await self._client.get_workflow_handle(workload).describe())
        except RPCError:  # it is about to begin, or has just ended
            return None

    async def _on_record(self, running: bool | None, tenant: str, array: str) -> list[JobStatus]:
        order = acts.ListJobsInput(tenant=tenant, array=array, running=running)
        found: list[JobStatus] = []
        while True:
            page = await ask(
                self._client, acts.list_jobs, order, queue=names.CONTROL_QUEUE, summary="which jobs are on record"
            )
            found += page.jobs
            if not page.next:
                return found
            order = replace(order, before=page.next)


def _attempt_of(spec: JobSpec) -> WorkloadSpec:
    """The workload that its first attempt would be, for the questions that every start asks."""
    return policy.workload_of(spec, 1, submitted_at=datetime.now(UTC), budget=spec.budget, place=None)


def _path_of(source: str, base: Path) -> Path:
    try:
        return base / Path(source).expanduser()
    except RuntimeError as err:  # ~nobody
        raise SourceRefused(f"{source}: {err}", remedy="correct `source` of this input in the spec") from err


def _as_of(execution: WorkflowExecution, known: JobStatus | None) -> JobStatus:
    """On record it is as it was; its phase the server has from itself."""
    told = execution.typed_search_attributes.get(names.SA_STATE)
    phase = JobPhase(told) if told in tuple(JobPhase) else JobPhase.PREPARING
    if known is None:
        name, at = execution.id.removeprefix(names.job_id("")), execution.start_time
        return JobStatus(
            name=name, phase=phase, reason="begins", since=at, submitted_at=at, tenant="", priority=3, fairness_key=""
        )
    return known if known.phase is phase else replace(known, phase=phase, reason="")


def _lost_or(status: JobStatus) -> JobStatus:
    """One that never said how it ended was ended by force."""
    return status if status.phase.is_final else replace(status, phase=JobPhase.FAILED, reason="it was ended by force")


def _invalid(spec: JobSpec, path: str, message: str) -> SpecInvalid:
    return SpecInvalid(spec.name, (SpecProblem(path=path, message=message, line=1, column=1),))
