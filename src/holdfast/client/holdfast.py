"""`Holdfast`: one typed async method per operation.

Every method raises a `HoldfastError`; which one, and what to do about it, is part of its promise. Reads may be
repeated freely. Orders (`pause`, `failover`, `stop`, ...) are answered by the workload itself, as soon as it has taken
them up; `settled` waits until they took effect.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, TypeVar

from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.service import RPCError

from holdfast.client import (
    drilling,
    listing,
    market,
    messages,
    models,
    money,
    pools,
    prices,
    recomputing,
    reports,
    savings,
    shortage,
    starting,
    sweeping,
)
from holdfast.client.asking import AskingAgain
from holdfast.client.calls import ask
from holdfast.client.connection import connect_service, find_server
from holdfast.client.deploying import Deployments
from holdfast.client.errors import NoCheckpoint, OperationFailed, UnknownWorkload
from holdfast.client.fine_tuning import FineTunings
from holdfast.client.jobs import Jobs
from holdfast.client.listing import WorkloadLine
from holdfast.client.logs import LogReader
from holdfast.client.models import ModelView
from holdfast.client.payloads import PAYLOADS
from holdfast.client.serving import Endpoints
from holdfast.client.status import (
    SaveTrouble,
    WorkloadView,
    end_by_force,
    left_behind,
    telemetry_of,
    trouble_with_saves,
    view_of_record,
    view_without_history,
)
from holdfast.client.translation import from_failure, from_rpc, is_not_found
from holdfast.contracts import activities, names
from holdfast.contracts.checkpoints import CheckpointRef, VerifySummary
from holdfast.contracts.failover import Decision
from holdfast.contracts.forecasts import RecordedForecast
from holdfast.contracts.machines import Offer, Requirements, Terms
from holdfast.contracts.market import (
    Asking,
    AskingsInput,
    Basis,
    MarketPoint,
    PricedSeries,
    RecordedPrices,
    SurveyResult,
)
from holdfast.contracts.models import FetchProgress, ModelKind, ModelVersion
from holdfast.contracts.money import By, Costs, Scope, SetBudgetInput, Span, Standing
from holdfast.contracts.pools import PoolSpec, PoolStatus, ResizeRequest
from holdfast.contracts.reports import DrillReport, Part, Recomputed, WorkloadReport
from holdfast.contracts.savings import Savings, SavingsOrder
from holdfast.contracts.spec import PauseMode, Strategy, WorkloadSpec
from holdfast.contracts.sweeping import SweepResult
from holdfast.contracts.workload import (
    Ack,
    Event,
    FailoverRequest,
    PauseRequest,
    StopRequest,
    WorkloadResult,
    WorkloadStatus,
)
from holdfast.settings import Settings, load_settings

Answer = TypeVar("Answer")

LOOK_EVERY = timedelta(seconds=1)
VERIFY_WITHIN = timedelta(hours=2)


class Holdfast:
    """The operations on workloads, over one connection to Temporal. Safe to share between tasks of one event loop."""

    def __init__(self, client: Client, *, settings: Settings) -> None:
        """Use a connection that exists; it must have the pydantic data converter."""
        self._client = client
        self._settings = settings

    @property
    def endpoints(self) -> Endpoints:
        """HTTP services that sleep while nobody calls."""
        return Endpoints(self._client, self._settings)

    @property
    def deployments(self) -> Deployments:
        """Names that lead to registered models."""
        return Deployments(self._client, self.endpoints)

    @property
    def jobs(self) -> Jobs:
        """Work that runs to its end."""
        return Jobs(self._client, self._settings)

    @property
    def fine_tunings(self) -> FineTunings:
        """Models that learn."""
        return FineTunings(self._client, self._settings, self.deployments)

    @property
    def temporal(self) -> Client:
        """The connection itself, for what this class does not offer."""
        return self._client

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: Settings | None = None) -> AsyncIterator[Self]:
        """Connect to the server that the settings, the environment or a living `holdfast up` name.

        Raises:
            TemporalUnavailable: no server answers there.
            SettingsError: a setting cannot be read.
        """
        settings = settings or load_settings()
        embedded = settings.embedded_temporal
        server = find_server(
            embedded_address=embedded.address if embedded else None,
            embedded_namespace=embedded.namespace if embedded else "default",
        )
        service = await connect_service(server)
        client = Client(
            service,
            namespace=server.namespace,
            data_converter=PAYLOADS,
            interceptors=[AskingAgain()],
        )
        yield cls(client, settings=settings)

    # --- one workload's life ---------------------------------------------------------------------------------

    async def run(self, spec: WorkloadSpec, *, workdir: Path | None = None) -> starting.Started:
        """Start a workload; returns as soon as it is the server's own, before a machine is rented.

        `workdir` is saved to the store first, as checkpoint zero. Before anything is spent the market is asked
        whether a machine that fits can be had at all.

        Raises:
            SpecInvalid: its deadline can be met no more, or leaves it no choice.
            AlreadyRunning: the name is taken by a running workload, or is one of an endpoint's replicas.
            NoOffers: nothing fits; the message says what stands in the way, and shows what comes nearest.
            BudgetExceeded: a budget has not enough left for even the cheapest machine.
            SecretMissing: the host workers do not have a secret that the spec names.
            NoProvider, CredentialsRefused, ProviderUnavailable, StoreUnavailable, NoWorker, TemporalUnavailable.
        """
        starting.refuse_impossible_deadline(spec)
        await starting.refuse_running_name(self._client, spec.name)
        asked = market.providers_for(spec.providers, self._settings)
        await market.refuse_unknown(self._client, asked, self._settings)
        placed = spec.model_copy(update={"providers": asked})
        needs = starting.most_that_is_needed(placed)
        found = await shortage.require_offers(self._client, asked, needs, words=shortage.IN_A_SPEC)
        await money.refuse_spent_budget(self._client, placed, found.offers[0])
        await starting.refuse_missing_secrets(self._client, placed)
        saved = await starting.save_workdir(placed, workdir, self._settings) if workdir else None
        run_id = await starting.start(self._client, placed, saved)
        silent = {provider: str(reason) for provider, reason in found.silent.items()}
        return starting.Started(
            name=spec.name, run_id=run_id, cheapest=found.offers[0], workdir=saved, unanswered=silent
        )

    async def wait(self, name: str) -> WorkloadResult:
        """Wait for the end of a workload, however long that takes, and return how it ended.

        Raises:
            UnknownWorkload: the server knows no such workload.
            OperationFailed: the workload was terminated or cancelled from outside.
        """
        handle = self._client.get_workflow_handle(names.workload_id(name), result_type=WorkloadResult)
        try:
            result: WorkloadResult = await handle.result()
        except WorkflowFailureError as err:
            failure = from_failure(err.cause, doing=f"workload {name!r}", queue=names.CONTROL_QUEUE)
            raise failure.about(name) from err
        except RPCError as err:
            raise self._explained(name, err) from err
        return result

    async def pause(self, name: str, *, mode: PauseMode = PauseMode.STOP) -> Ack:
        """Save, then stop the machine at its provider, whose disk is kept and billed; or let it go, by checkpoint."""
        return await self._order(name, "pause", Ack, PauseRequest(mode=mode, careful=mode is PauseMode.CHECKPOINT))

    async def resume(self, name: str) -> Ack:
        """Start a paused workload's machine again, or find another one."""
        return await self._order(name, "resume", Ack)

    async def failover(
        self, name: str, *, reason: str = "requested", save_first: bool = True, strategy: Strategy | None = None
    ) -> Ack:
        """Leave this machine for another; the answer's phase is `failing_over`. With `strategy` by that one alone."""
        return await self.order_failover(name, FailoverRequest(reason=reason, save_first=save_first, strategy=strategy))

    async def order_failover(self, name: str, request: FailoverRequest) -> Ack:
        """The same, in the words of the workload's own update."""
        return await self._order(name, "failover", Ack, request)

    async def drill(
        self,
        name: str,
        *,
        budget: Decimal,
        strategy: Strategy | None = None,
        told: Callable[[str], None] = lambda _: None,
    ) -> DrillReport:
        """Rehearse a loss for so many USD at most, and wait until the work makes progress again.

        The work is saved, then moves as after a loss; where that fails or gets too dear, it goes on where it was.
        `told` hears each step.
        """
        return await drilling.rehearse(self, name, budget=budget, strategy=strategy, told=told)

    async def stop(self, name: str, *, reason: str = "requested", save: bool = True) -> Ack:
        """End the work, save its state unless told otherwise, and let the machine go."""
        return await self._order(name, "stop", Ack, StopRequest(reason=reason, save=save))

    async def settled(self, name: str, reached: Callable[[WorkloadStatus], bool]) -> WorkloadStatus:
        """Wait, however long, until the status is as wanted or the workload is over; looks once a second.

        Raises:
            InvalidState: it was ended from outside, and will never come to what is waited for.
        """
        while True:
            view = await self.status(name)
            if reached(view.status) or view.status.phase.is_final:
                return view.status
            if view.ended_by_force:
                raise messages.ended(name, view.ended_by_force)
            await asyncio.sleep(LOOK_EVERY.total_seconds())

    # --- looking ---------------------------------------------------------------------------------------------

    async def workloads(self, *, include_closed: bool = False) -> tuple[WorkloadLine, ...]:
        """Running workloads; with `include_closed` also the ended ones that the server still remembers."""
        return await listing.list_workloads(
            self._client.service_client, self._client.namespace, include_closed=include_closed
        )

    async def status(self, name: str) -> WorkloadView:
        """What a workload is doing now; for one past the server's retention, what the records say.

        Raises:
            UnknownWorkload: neither knows the name.
            NoWorker: the server knows it, and no worker answers for it.
        """
        description = await self._describe(name)
        if description is None:
            return view_of_record(await self.report(name))
        try:
            status = await messages.query(self._client, name, "status", WorkloadStatus)
        except OperationFailed:  # its history cannot be played again; of a run that is over the records tell as well
            if description.status is WorkflowExecutionStatus.RUNNING:
                raise
            return view_without_history(await self.report(name), description)
        forced = end_by_force(description, status)
        return WorkloadView(
            status=status,
            live=await telemetry_of(description),
            started_at=description.start_time,
            closed_at=description.close_time,
            run_id=description.run_id,
            ended_by_force=forced,
            left_behind=left_behind(await self.report(name)) if forced else (),
            save_trouble=await self.save_trouble(name),
        )

    async def timeline(self, name: str) -> list[Event]:
        """What happened to a workload so far, oldest first; a long life is shortened to its newest part."""
        return await messages.query(self._client, name, "timeline", list[Event])

    async def is_running(self, name: str) -> bool:
        """Whether a workload of this name has not ended yet."""
        description = await self._describe(name)
        return description is not None and description.status is WorkflowExecutionStatus.RUNNING

    async def report(self, name: str, *, everything: bool = False) -> WorkloadReport:
        """A workload's record: incidents, leases with their cost, checkpoints, decisions.

        Of each list it tells the newest that fit into one answer, and how many there are; with `everything` it reads
        them all, in as many answers as that takes.

        Raises:
            UnknownWorkload: nothing is recorded under this name.
        """
        return await (reports.read_whole if everything else reports.read)(self._client, name)

    async def why(self, name: str, *, epoch: int | None = None, newest: int | None = None) -> tuple[Decision, ...]:
        """The placement decisions of a workload, oldest first: all, so many of the newest, or what led to `epoch`."""
        kept: tuple[Decision, ...] = ()
        async for page in reports.newest_first(self._client, name, Part.DECISIONS):
            kept = tuple(each for each in page if epoch is None or each.epoch <= epoch) + kept
            if epoch is not None and kept:
                return kept[-1:]
            if newest is not None and len(kept) >= newest:
                break
        return kept if newest is None else kept[max(len(kept) - newest, 0) :]

    async def recompute(self, name: str, decisions: Sequence[Decision]) -> tuple[Recomputed, ...]:
        """Make decisions of a workload again from the histories that the server keeps, and compare."""
        return await recomputing.recompute(self._client, name, decisions)

    def logs(self, name: str) -> LogReader:
        """The work's output, over all its machines in order."""
        return LogReader(self._client, name, still_running=lambda: self.is_running(name))

    async def offers(self, requirements: Requirements, *, providers: tuple[str, ...] = ()) -> tuple[Offer, ...]:
        """What the market would rent now, cheapest first. `survey` also tells who gave no answer."""
        return (await self.survey(requirements, providers=providers)).offers

    async def survey(self, requirements: Requirements, *, providers: tuple[str, ...] = ()) -> market.Survey:
        """What the market would rent now, and which providers gave no answer, and why.

        Raises:
            NoProvider: none is configured and none was named, or one that nobody serves.
            HoldfastError: no provider answered; the first one's reason.
        """
        asked = market.providers_for(providers, self._settings)
        await market.refuse_unknown(self._client, asked, self._settings)
        return await market.survey(self._client, asked, requirements)

    async def require_offers(self, requirements: Requirements, *, providers: tuple[str, ...] = ()) -> market.Survey:
        """As `survey`, with at least one offer.

        Raises:
            NoOffers: nothing fits; the message says what stands in the way, and shows what comes nearest.
        """
        asked = market.providers_for(providers, self._settings)
        await market.refuse_unknown(self._client, asked, self._settings)
        return await shortage.require_offers(self._client, asked, requirements)

    async def left_out(self, requirements: Requirements, *, providers: tuple[str, ...] = ()) -> shortage.LeftOut:
        """Of the cheapest offers of this kind, those that do not fit or are banned, and why. Errors as `survey`.

        Raises:
            NoOffers: nobody has anything of this kind (GPU, count and terms).
        """
        asked = market.providers_for(providers, self._settings)
        await market.refuse_unknown(self._client, asked, self._settings)
        return await shortage.left_out(self._client, asked, requirements)

    # --- prices of the market ---------------------------------------------------------------------------------

    async def prices(
        self,
        gpu: str | None = None,
        *,
        providers: Sequence[str] = (),
        regions: Sequence[str] = (),
        kind: Terms | None = None,
        basis: Basis | None = Basis.ASKED,
        since: datetime | None = None,
        until: datetime | None = None,
        held: bool = False,
    ) -> tuple[MarketPoint, ...]:
        """Points of price series, by GPU, provider, region, kind, basis and time; a bucket without one is a gap.

        `gpu` may be the beginning of names: `H100` is all kinds of it. Region "" is a provider as a whole; without
        `regions` come all. `basis` None is what was asked and what was paid. With `held` those that are held back as
        too wild, and no others.

        Raises:
            UnknownGpu: no price of such a GPU is on record.
            RecordsUnavailable, NoWorker, TemporalUnavailable.
        """
        return await prices.points(
            self._client,
            gpu,
            providers=providers,
            regions=regions,
            kind=kind,
            basis=basis,
            since=since,
            until=until,
            held=held,
        )

    async def priced_series(self) -> tuple[PricedSeries, ...]:
        """Which series of prices are on record, and from when to when."""
        return await prices.series(self._client)

    async def priced_gpus(self) -> tuple[str, ...]:
        """Every GPU of which a price is on record, in order."""
        return await prices.priced_gpus(self._client)

    async def forecasts(self, gpu: str | None = None) -> tuple[RecordedForecast, ...]:
        """The forecasts that were made after surveys, the newest of each series, by GPU, provider and kind.

        Raises:
            UnknownGpu: no price of such a GPU is on record.
            RecordsUnavailable, NoWorker, TemporalUnavailable.
        """
        return await prices.forecasts(self._client, gpu)

    async def askings(self, order: AskingsInput | None = None) -> tuple[Asking, ...]:
        """How surveys of the market went, the newest first: which provider answered, and why another did not."""
        return await prices.askings(self._client, order or AskingsInput())

    async def bring_in_prices(
        self, points: Sequence[MarketPoint], told: Callable[[int, int], None] = lambda _done, _all: None
    ) -> RecordedPrices:
        """Write points of other sources down; what our own surveys saw stands. Repeated, it changes nothing."""
        return await prices.bring_in(self._client, points, told)

    async def survey_prices(self, *, providers: tuple[str, ...] = (), gpus: Sequence[str] = ()) -> SurveyResult:
        """Ask these providers, or all, what their GPUs cost now, and write it down, as the schedule does.

        Raises:
            NoProvider: none is configured and none was named, or one that nobody serves.
            NoWorker, TemporalUnavailable.
        """
        asked = market.providers_for(providers, self._settings)
        await market.refuse_unknown(self._client, asked, self._settings)
        return await prices.survey(self._client, asked, self._settings.market, gpus=gpus)

    # --- warm pools ------------------------------------------------------------------------------------------

    async def create_pool(self, spec: PoolSpec) -> str:
        """Start a warm pool and return its run id; it fills by itself. Raises `AlreadyRunning`, `NoProvider`."""
        asked = market.providers_for(spec.providers, self._settings)
        await market.refuse_unknown(self._client, asked, self._settings)
        return await pools.create(self._client, spec.model_copy(update={"providers": asked}))

    async def pools(self) -> tuple[PoolStatus, ...]:
        """Every pool that exists, by name."""
        return await pools.running(self._client)

    async def pool(self, name: str) -> PoolStatus:
        """What a pool has and does. Raises `UnknownPool`."""
        return await pools.status(self._client, name)

    async def resize_pool(self, name: str, target: int | None) -> PoolStatus:
        """Keep so many ready from now on; None: as many as demand wants, where the spec says `size: demand`.

        Raises:
            InvalidState: outside of the spec's limits, or None where the spec does not say so.
        """
        return await pools.order(self._client, name, "resize", ResizeRequest(target=target))

    async def drain_pool(self, name: str) -> PoolStatus:
        """Let every standby go, and keep none until the pool is resized."""
        return await pools.order(self._client, name, "drain")

    async def remove_pool(self, name: str) -> PoolStatus:
        """Let every standby go, and end the pool. Answers when that has begun."""
        return await pools.order(self._client, name, "remove")

    # --- checkpoints -----------------------------------------------------------------------------------------

    async def save(self, name: str) -> CheckpointRef:
        """Save now; answers when the checkpoint is committed."""
        return await self._order(name, "checkpoint", CheckpointRef)

    async def save_trouble(self, name: str) -> SaveTrouble | None:
        """What the newest save struggles with, such as a store that does not answer; None while all is well."""
        return await trouble_with_saves(self._client, name)

    async def checkpoints(self, name: str) -> tuple[CheckpointRef, ...]:
        """The committed checkpoints that can be restored, oldest first."""
        found: dict[int, CheckpointRef] = {}
        async for page in reports.newest_first(self._client, name, Part.CHECKPOINTS):
            found |= {each.sequence: each for each in page}
        return tuple(found[sequence] for sequence in sorted(found))

    async def checkpoint(self, name: str, *, sequence: int | None = None) -> CheckpointRef:
        """One committed checkpoint: the newest, or the one with this sequence number.

        Raises:
            NoCheckpoint: there is none (with this number).
        """
        found: Mapping[int, CheckpointRef] = {each.sequence: each for each in await self.checkpoints(name)}
        wanted = max(found, default=None) if sequence is None else sequence
        if wanted is None or wanted not in found:
            number = "" if sequence is None else f" with sequence {sequence}"
            raise NoCheckpoint(f"workload {name!r} has no checkpoint{number}").about(name)
        return found[wanted]

    async def verify(self, name: str, *, sequence: int | None = None) -> VerifySummary:
        """Read every chunk of a checkpoint back from the store and check it; the summary lists what is corrupt.

        That a checkpoint was found sound is noted in its record.
        """
        checkpoint = await self.checkpoint(name, sequence=sequence)
        summary = await ask(
            self._client,
            activities.verify_checkpoint,
            activities.VerifyInput(workload=name, manifest=checkpoint.manifest),
            queue=names.ANALYSIS_QUEUE,
            summary=f"verify {name} checkpoint {checkpoint.sequence}",
            within=VERIFY_WITHIN,
            tries=1,  # the store's own client has tried again already
        )
        if not summary.corrupt:
            await self._note_verified(name, checkpoint)
        return summary

    async def forget(self, name: str, *, keep: int) -> activities.ForgetResult:
        """Retire what earlier runs of the name have saved, and all but `keep` of the newest of the last run.

        Of a workload that still runs only earlier runs are touched. Nothing that was retired can be restored; its
        bytes go with the garbage, a day or two later.

        Raises:
            UnknownWorkload: nothing is recorded under this name.
        """
        done = await ask(
            self._client,
            activities.forget_checkpoints,
            activities.ForgetInput(workload=name, keep=keep),
            queue=names.CONTROL_QUEUE,
            summary=f"forget checkpoints of {name}",
        )
        if done is None:
            raise UnknownWorkload(f"there is no workload {name!r}")
        return done

    # --- models ----------------------------------------------------------------------------------------------

    async def register_model(
        self,
        name: str,
        source: str,
        *,
        kind: ModelKind | None = None,
        licence: str = "",
        memory_bytes: int | None = None,
        only: Sequence[str] = (),
        token_secret: str = "",
        told: Callable[[FetchProgress], None] = lambda _: None,
    ) -> ModelVersion:
        """Bring a model into the store and give it a version; the same content is the same version.

        `source` is `hf:org/name`, `hf:org/name@revision`, `s3://bucket/prefix`, which the host workers fetch, or a
        folder of this computer, whose bytes go from here; of its files all but second copies of the same weights, or
        those alone that match a pattern of `only`. Who stops waiting ends nothing: the same order follows the
        fetch that goes on. `told` hears how far it is.

        Raises:
            ModelInvalid: the name, the source or the folder cannot be used.
            SourceRefused, SourceUnavailable, SecretMissing: as the source says.
            AlreadyRunning: another registration under this name goes on.
            StoreUnavailable, NoWorker, TemporalUnavailable.
        """
        order = models.checked(name, source, kind, licence, memory_bytes, only, token_secret)
        if models.is_remote(source):
            return await models.register(self._client, order, told)
        return await models.register_folder(self._client, self._settings, order, told)

    async def models(self, name: str = "", *, removed: bool = False) -> tuple[ModelVersion, ...]:
        """What is registered, by name and version; with `removed` also what was."""
        return await models.listed(self._client, name, removed=removed)

    async def model(
        self, name: str, *, version: int | None = None, context: int | None = None, sequences: int = 1, gpus: int = 1
    ) -> ModelView:
        """One version, its files, and the GPU memory that it needs for so many sequences of so many tokens.

        Raises:
            UnknownModel: there is none, or no such version.
        """
        return await models.view(self._client, name, version, context=context, sequences=sequences, gpus=gpus)

    async def remove_model(
        self, name: str, *, version: int | None = None, force: bool = False
    ) -> tuple[ModelVersion, ...]:
        """Take a version, or all, out of use; its bytes go with the garbage, a day or two later. Returns those removed.

        With `force` also what a deployment serves: a release of it that must start anew after that finds no files.

        Raises:
            UnknownModel: there is none.
            InvalidState: a deployment serves it, or keeps it for a rollback.
        """
        if not force:
            await self.deployments.refuse_use_of(name, version)
        return await models.remove(self._client, name, version)

    # --- money -----------------------------------------------------------------------------------------------

    async def sweep(self, *, providers: tuple[str, ...] = (), dry_run: bool = False) -> tuple[SweepResult, ...]:
        """Look for machines that no running workload owns, at these providers or at all, and end them by the rules.

        A dry run ends and notes nothing. A provider whose listing cannot be believed is told so in its result.

        Raises:
            NoProvider: none is configured and none was named, or one that nobody serves.
            NoWorker, TemporalUnavailable.
        """
        asked = market.providers_for(providers, self._settings)
        await market.refuse_unknown(self._client, asked, self._settings)
        return await sweeping.sweep(self._client, asked, grace=self._settings.sweep.grace, dry_run=dry_run)

    async def set_budget(self, scope: Scope, name: str, span: Span, amount: Decimal | None) -> tuple[Standing, ...]:
        """Replace a budget, or remove it with None; how it stands now. What runs looks at it at once."""
        return await money.set_budget(self._client, SetBudgetInput(scope=scope, name=name, span=span, amount=amount))

    async def budgets(self, *, workload: str | None = None, tenant: str | None = None) -> tuple[Standing, ...]:
        """How budgets stand: those that hold for a workload or a tenant, or all."""
        return await money.standings(self._client, workload=workload, tenant=tenant)

    async def costs(self, *, by: By | None = None) -> Costs:
        """A line for every machine ever rented, or their sums, beside the bills of the providers that tell theirs."""
        return await money.costs(self._client, sorted(self._settings.providers), by=by)

    async def savings(self, order: SavingsOrder | None = None) -> Savings:
        """What sleeping saved, by endpoint and workload, against the same machines always awake.

        With `order.against` also what all machines cost beside references, and `UnknownReference` where there is none.

        Raises `UnknownWorkload` for a name that never had a machine, and `NoSuchTime` for a time that is none.
        """
        max_age = self._settings.market.reference_max_age
        return await savings.compute(self._client, order or SavingsOrder(), max_age=max_age)

    # --- inside ----------------------------------------------------------------------------------------------

    async def _order(self, name: str, update: str, answer: type[Answer], *args: Any) -> Answer:
        """As `messages.order`; what only the records remember has ended, and is no unknown workload."""
        try:
            return await messages.order(self._client, name, update, answer, *args)
        except UnknownWorkload as err:
            await self.report(name)
            raise messages.ended(name, "forgotten") from err

    async def _note_verified(self, name: str, checkpoint: CheckpointRef) -> None:
        await ask(
            self._client,
            activities.mark_verified,
            activities.MarkVerifiedInput(workload=name, manifest=checkpoint.manifest, verified_at=datetime.now(UTC)),
            queue=names.CONTROL_QUEUE,
            summary=f"{name} checkpoint {checkpoint.sequence} is sound",
        )

    async def _describe(self, name: str) -> WorkflowExecutionDescription | None:
        try:
            return await messages.handle_of(self._client, name).describe()
        except RPCError as err:
            if is_not_found(err):
                return None
            raise from_rpc(err, self._client.service_client.config.target_host) from err

    def _explained(self, name: str, err: RPCError) -> Exception:
        if is_not_found(err):
            return UnknownWorkload(f"there is no workload {name!r}")
        return from_rpc(err, self._client.service_client.config.target_host)
