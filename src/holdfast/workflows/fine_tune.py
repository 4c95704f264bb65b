"""A fine-tuning: from a base model and a data set, both pinned, to a version of a model with its lineage.

    TRAINING ──▶ REGISTERING ──▶ (DEPLOYING) ──▶ SUCCEEDED          any phase ──▶ FAILED | CANCELLED

1. Start the job that trains. It has the trainer, the data and the base in its workspace, and knows by itself how to
   outlive machines.
2. Hear from it until it is over. Whoever cancels the fine-tuning cancels the job, and its state is saved.
3. Bring what it left behind into a model's own files, and give them a version that says where they come from.
4. Where that was ordered, have a deployment bring the version up, and hear what becomes of it.

Holds throughout: the job is never started twice, and a version is given only to what the job proved that it has saved.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, WorkflowAlreadyStartedError

from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.deployments import Release, ReleaseState
from holdfast.contracts.endpoints import replica_name
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.fine_tuning import (
    AdoptTunedInput,
    Answer,
    FineTuneInput,
    FineTuneStatus,
    TunedModel,
    TunePhase,
    TuneState,
)
from holdfast.contracts.jobs import CancelJob, JobPhase, JobStatus
from holdfast.contracts.models import AddModelInput, ModelVersion
from holdfast.contracts.training import Lineage
from holdfast.policy import probing
from holdfast.policy.serving import first_checkpoint
from holdfast.workflows import steps
from holdfast.workflows.cancelling import to_its_end
from holdfast.workflows.failures import words_of

_TO_DECIDE = timedelta(minutes=20)
"""Beyond the time that a release has until it serves: for its smoke test and the shift."""


@workflow.defn(name=names.FINE_TUNE)
class FineTuneWorkflow:
    @workflow.init
    def __init__(self, order: FineTuneInput) -> None:
        now = workflow.now()
        self._order = order
        self._state = order.resume or TuneState(phase=TunePhase.TRAINING, reason="begins", since=now, started_at=now)
        self._is_begun = order.resume is not None
        self._cancel: CancelJob | None = None
        self._passed_on: CancelJob | None = None
        self._is_over = False  # the job, as its own workflow's end tells it
        self._registered: ModelVersion | None = None
        self._answers: tuple[Answer, ...] = ()
        self._decided: dict[int, Release] = {}  # releases of the deployment, by their numbers
        self._ours = 0  # which of them is this one's

    @workflow.run
    async def run(self, order: FineTuneInput) -> FineTuneStatus:
        self._show()
        await self._whatever_comes(self._begin())
        if not self._state.phase.is_final:
            await self._train()
        if self._state.phase is TunePhase.REGISTERING:
            await self._whatever_comes(self._register())
        if self._state.phase is TunePhase.DEPLOYING:
            await self._whatever_comes(self._deploy())
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.progress()

    # --- messages ------------------------------------------------------------------------------------------------

    @workflow.update
    def cancel(self, request: CancelJob) -> FineTuneStatus:
        """End it. Answers at once; the job is told next. A second one with `save=False` hurries the first."""
        self._cancel = request
        return self.progress()

    @cancel.validator
    def _can_cancel(self, request: CancelJob) -> None:
        if self._state.phase is not TunePhase.TRAINING:
            raise ApplicationError(f"it does not train any more: {self._state.phase}", type=ErrorType.INVALID_STATE)

    @workflow.signal
    def job_said(self, status: JobStatus) -> None:
        """The job is in another phase."""
        self._state = replace(self._state, job=status)

    @workflow.signal
    def release_said(self, release: Release) -> None:
        """The deployment has decided about a release."""
        self._decided[release.number] = release

    @workflow.query
    def progress(self) -> FineTuneStatus:
        order, state = self._order, self._state
        return FineTuneStatus(
            name=order.name,
            phase=state.phase,
            reason=state.reason,
            since=state.since,
            started_at=state.started_at,
            model=order.model,
            base=order.base,
            data=order.data,
            parameters=order.parameters,
            job=state.job,
            registered=self._registered,
            answers=self._answers,
            deployment=order.deploy.name if order.deploy else "",
            release=self._decided.get(self._ours),
        )

    # --- phases --------------------------------------------------------------------------------------------------

    async def _whatever_comes(self, step: Coroutine[Any, Any, None]) -> None:
        """A cancel from outside is a wish like any other: it is seen where the job is waited for."""
        try:
            await to_its_end(step)
        except asyncio.CancelledError:
            self._cancel = self._cancel or CancelJob()

    async def _begin(self) -> None:
        """The job, unless it was begun by an earlier run."""
        job = self._order.job
        if self._is_begun:
            ended = asyncio.create_task(steps.until_ended((names.job_id(job.spec.name),)))
            steps.unheard(ended)
            ended.add_done_callback(self._heard_end)
            return
        try:
            child = await workflow.start_child_workflow(
                names.JOB,
                job,
                id=names.job_id(job.spec.name),
                task_queue=names.CONTROL_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary=f"trains {self._order.name}",
            )
        except WorkflowAlreadyStartedError:
            self._enter(TunePhase.FAILED, f"a job named {job.spec.name} runs already, which is not this one's")
            return
        steps.unheard(child)
        child.add_done_callback(self._heard_end)

    def _heard_end(self, _: object) -> None:
        self._is_over = True

    async def _train(self) -> None:
        """Until the job is over: by its last word, or because its workflow has ended without one."""
        while not self._is_trained():
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(replace(self._order, resume=self._state))
            said = self._state.job
            if said is not None:
                self._enter(TunePhase.TRAINING, f"{said.phase}: {said.reason}")
            try:
                await workflow.wait_condition(lambda said=said: self._has_news(said))  # type: ignore[misc]
            except asyncio.CancelledError:
                self._cancel = self._cancel or CancelJob()
            await to_its_end(self._pass_on())
        self._judge()

    def _is_trained(self) -> bool:
        return self._is_over or (self._state.job is not None and self._state.job.phase.is_final)

    def _has_news(self, said: JobStatus | None) -> bool:
        return self._is_trained() or self._state.job is not said or self._cancel is not self._passed_on

    async def _pass_on(self) -> None:
        """A wish to end it is the job's to fulfil."""
        wish = self._cancel
        if wish is None or wish is self._passed_on or self._is_trained():
            return
        self._passed_on = wish
        handle = workflow.get_external_workflow_handle(names.job_id(self._order.job.spec.name))
        try:
            await handle.signal("cancel_job", wish)
        except FailureError:
            workflow.logger.info("the job of %s is over already", self._order.name)

    def _judge(self) -> None:
        """What the end of the job means."""
        job = self._state.job
        if job is None or not job.phase.is_final:
            self._enter(TunePhase.FAILED, "the job was ended by force")
        elif job.phase is JobPhase.CANCELLED:
            self._enter(TunePhase.CANCELLED, job.reason)
        elif job.phase is not JobPhase.SUCCEEDED or job.outputs is None:
            self._enter(TunePhase.FAILED, f"the job ended as {job.phase}: {job.reason}")
        else:
            self._enter(TunePhase.REGISTERING, "what it learned is brought to the store as a model")

    async def _register(self) -> None:
        job, order = self._state.job, self._order
        assert job is not None and job.outputs is not None, "judged before"
        try:
            tuned = await steps.adopt_tuned(
                AdoptTunedInput(
                    name=order.model, manifest=job.outputs.manifest, folder=order.folder, base=self._base_beside(job)
                )
            )
            self._registered = await steps.add_model(
                AddModelInput(
                    name=order.model,
                    source=names.fine_tune_id(order.name),
                    revision=job.outputs.sha256,
                    stored=tuned.stored,
                    lineage=self._lineage(tuned, job),
                )
            )
        except ActivityError as err:
            self._enter(TunePhase.FAILED, f"trained, and not registered: {words_of(err)}")
            return
        self._answers = tuned.answers
        what = f"{order.model} version {self._registered.version}"
        if order.deploy is None:
            self._enter(TunePhase.SUCCEEDED, what)
        else:
            self._enter(TunePhase.DEPLOYING, f"{what} is put behind {order.deploy.name}")

    async def _deploy(self) -> None:
        """What is registered stays so, whatever becomes of this."""
        wish, version = self._order.deploy, self._registered
        assert wish is not None and version is not None, "entered with both"
        what = f"{version.name} version {version.version}"
        order = replace(
            wish.order,
            version=version.version,
            files=first_checkpoint(version, replica_name(wish.name, 0)),
            smoke=probing.knowing(wish.order.smoke, self._answers),
            owner=workflow.info().workflow_id,
        )
        asked = acts.OrderReleaseInput(
            deployment=wish.name, order=order, token_hashes=wish.token_hashes, mark=workflow.info().run_id
        )
        try:
            self._ours = (await steps.order_release(asked)).number
            await workflow.wait_condition(lambda: self._ours in self._decided, timeout=order.within + _TO_DECIDE)
        except ActivityError as err:
            self._enter(TunePhase.FAILED, f"{what} is registered, and not deployed: {words_of(err)}")
            return
        except TimeoutError:
            self._enter(TunePhase.FAILED, f"{what} is registered, and nothing is heard of {wish.name}")
            return
        said = self._decided[self._ours]
        if said.state is ReleaseState.SERVING:
            self._enter(TunePhase.SUCCEEDED, f"{what} is what {wish.name} serves: {said.reason}")
        else:
            why = said.reason or "it was given up"
            self._enter(TunePhase.FAILED, f"{what} is registered, and {said.endpoint} is not fit: {why}")

    def _base_beside(self, job: JobStatus) -> str:
        """An adapter is registered with its base beside it; a whole model needs none."""
        is_adapter = self._order.folder.endswith("/adapter")
        return next((each.manifest for each in job.inputs if each.at == "base" and is_adapter), "")

    def _lineage(self, tuned: TunedModel, job: JobStatus) -> Lineage:
        order = self._order
        base = next((each for each in job.inputs if each.at == "base"), None)
        return Lineage(
            base=order.base,
            base_sha256=base.sha256 if base else "",
            data=order.data,
            parameters=order.parameters,
            trainer=order.trainer,
            holdfast=order.holdfast,
            job=job.name,
            steps=tuned.steps,
            loss=tuned.loss,
            held_out_loss=tuned.held_out_loss,
            attempts=len(job.attempts),
            incidents=sum(each.losses for each in job.attempts),
            cost=job.spent,
            differs=tuned.differs,
            place=tuned.place,
        )

    # --- how it shows itself -------------------------------------------------------------------------------------

    def _enter(self, phase: TunePhase, reason: str) -> None:
        if (phase, reason) == (self._state.phase, self._state.reason):
            return
        if phase is not self._state.phase:
            self._state = replace(self._state, since=workflow.now())
        self._state = replace(self._state, phase=phase, reason=reason)
        self._show()

    def _show(self) -> None:
        state, order = self._state, self._order
        if not self._is_shown(state.phase):
            workflow.upsert_search_attributes([names.SA_STATE.value_set(str(state.phase))])
        workflow.set_current_details(
            f"## fine-tuning {order.name}: {state.phase}\n{state.reason}\n\n"
            f"- job: `{names.job_id(order.job.spec.name)}`\n- base: `{order.base}`\n"
            f"- data: `{order.data.name}`, {order.data.examples} examples, SHA-256 `{order.data.sha256}`\n"
            f"- becomes a version of the model `{order.model}`"
        )

    def _is_shown(self, phase: TunePhase) -> bool:
        return workflow.info().typed_search_attributes.get(names.SA_STATE) == phase.value
