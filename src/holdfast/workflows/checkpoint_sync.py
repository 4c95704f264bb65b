"""Save one workload's state: on cadence, on demand, and before its machine is given up on purpose.

1. Wait until a save is due, or somebody asks for one.
2. Upload from the machine that is attached, then move the head: two steps, so that a save that was overtaken by a
   newer epoch is a manifest nobody reads, never a checkpoint.
3. Tell the workload, and whoever asked.

Holds throughout: there is one saver per workload, so saves never race; a failed save changes nothing.
"""

import asyncio
from collections import deque
from datetime import timedelta
from typing import NoReturn

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

from holdfast.contracts import names
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.machines import Lease
from holdfast.contracts.workload import AttachMessage, Catalog, SaveAnswer, SaveRequest, SyncInput
from holdfast.contracts.written import MONTH
from holdfast.workflows import steps
from holdfast.workflows.errands import Errands
from holdfast.workflows.failures import kind_of, words_of

RECENT_KEPT = 20


@workflow.defn(name=names.CHECKPOINT_SYNC)
class CheckpointSyncWorkflow:
    @workflow.init
    def __init__(self, order: SyncInput) -> None:
        self._spec = order.spec
        self._every = order.spec.checkpoint.every
        self._lease: Lease | None = order.lease
        self._head = order.head
        self._base = order.base
        self._requests: deque[SaveRequest] = deque()
        self._asked: list[str] = []  # ids of requests without an answer
        self._recent: deque[CheckpointRef] = deque(maxlen=RECENT_KEPT)
        self._finished = False
        self._one_at_a_time = asyncio.Lock()
        self._errands = Errands()
        self._upload: workflow.ActivityHandle[CheckpointRef] | None = None
        self._last_error = ""

    @workflow.run
    async def run(self, order: SyncInput) -> None:
        while not self._finished or self._requests:
            due = await self._wait_until_due()
            if self._requests:
                await self._answer(self._requests.popleft())
            elif due:
                await self._save_on_cadence()
            if self._is_tired():
                self._continue_as_new()
        await workflow.wait_condition(workflow.all_handlers_finished)

    # --- messages ------------------------------------------------------------------------------------------------

    @workflow.signal
    def attach(self, message: AttachMessage) -> None:
        self._abandon_upload()
        self._lease = message.lease
        self._head, self._base = message.head, message.base
        self._finished = False  # the saver of a workload that was terminated serves the next one of its name
        if message.spec is not None and message.spec != self._spec:
            self._spec, self._every = message.spec, message.spec.checkpoint.every
        self._describe()

    @workflow.signal
    def detach(self) -> None:
        self._abandon_upload()
        self._lease = None
        self._describe()

    @workflow.signal
    def request_save(self, request: SaveRequest) -> None:
        """A repeated request is the same one, unless it was answered: then the answer was not heard."""
        if request.request_id not in self._asked:
            self._asked.append(request.request_id)
            self._requests.append(request)

    @workflow.signal
    def finish(self) -> None:
        self._abandon_upload()
        self._finished = True
        self._lease = None

    @workflow.update
    async def save_now(self) -> CheckpointRef:
        """Save at once and return the committed checkpoint."""
        if self._lease is None:
            raise ApplicationError("no machine is attached: there is nothing to save", type=ErrorType.INVALID_STATE)
        return await self._errands.do(self._save, SaveReason.REQUESTED)

    @workflow.update
    async def change_cadence(self, every: timedelta) -> timedelta:
        self._every = every
        self._describe()
        return self._every

    @change_cadence.validator
    def _check_cadence(self, every: timedelta) -> None:
        if not timedelta(seconds=1) <= every <= MONTH:
            raise ApplicationError(
                f"a cadence lasts from one second to {MONTH.days} days", type=ErrorType.REQUEST_REJECTED
            )

    @workflow.query
    def catalog(self) -> Catalog:
        return Catalog(
            head=self._head, saving=self._upload is not None, last_error=self._last_error, recent=tuple(self._recent)
        )

    # --- phases --------------------------------------------------------------------------------------------------

    async def _wait_until_due(self) -> bool:
        """True when the cadence calls for a save; False when something else needs attention first."""
        lease, every = self._lease, self._every
        try:
            await workflow.wait_condition(
                lambda: bool(self._requests) or self._finished or self._lease is not lease or self._every != every,
                timeout=every if lease else None,
                timeout_summary="until the next checkpoint",
            )
        except TimeoutError:
            return True
        return False

    async def _save_on_cadence(self) -> None:
        try:
            await self._save(SaveReason.CADENCE)
        except ApplicationError as err:
            workflow.logger.warning("checkpoint not saved: %s", err.message)

    async def _answer(self, request: SaveRequest) -> None:
        try:
            answer = SaveAnswer(request_id=request.request_id, checkpoint=await self._save(request.reason))
        except ApplicationError as err:
            answer = SaveAnswer(request_id=request.request_id, error=err.message)
        self._asked.remove(request.request_id)
        await self._tell_workload("save_answered", answer)

    async def _save(self, reason: SaveReason) -> CheckpointRef:
        """Save and commit, or raise ApplicationError with a reason fit for people."""
        async with self._one_at_a_time:
            lease, head = self._lease, self._head
            if lease is None:
                raise ApplicationError("no machine is attached", type=ErrorType.INVALID_STATE)
            sequence = head.sequence + 1 if head else 0
            self._upload = steps.save_checkpoint(lease, self._spec, reason=reason, base=self._base, sequence=sequence)
            try:
                saved = await self._upload
                keep = self._spec.checkpoint.keep
                committed = await steps.commit_checkpoint(saved, head.sequence if head else None, keep)
            except ActivityError as err:
                if is_cancelled_exception(err) and self._lease is lease:
                    raise  # we ourselves are being cancelled, not only the upload
                if kind_of(err) == ErrorType.SUPERSEDED:  # our idea of the head is stale: the next save knows better
                    self._head = self._base = await steps.read_head(self._spec.name)
                raise self._failed(err) from err
            finally:
                self._upload = None
        self._note(committed)
        await self._tell_workload("checkpointed", committed)
        return committed

    def _abandon_upload(self) -> None:
        """Whatever an older machine still sends, the fence lets nothing of it be committed; do not wait for it."""
        if self._upload is not None:
            self._upload.cancel()

    def _is_tired(self) -> bool:
        """It is time for a new run, and this one owes nobody anything that the next would not know of."""
        suggested = workflow.info().is_continue_as_new_suggested()
        return suggested and not self._requests and not self._finished and workflow.all_handlers_finished()

    def _continue_as_new(self) -> NoReturn:
        policy = self._spec.checkpoint.model_copy(update={"every": self._every})
        spec = self._spec.model_copy(update={"checkpoint": policy})
        workflow.continue_as_new(SyncInput(spec=spec, lease=self._lease, head=self._head, base=self._base))

    def _failed(self, err: ActivityError) -> ApplicationError:
        self._last_error = words_of(err)
        self._describe()
        return ApplicationError(self._last_error, type=kind_of(err) or ErrorType.AGENT_FAILED)

    def _note(self, committed: CheckpointRef) -> None:
        # The head only ever moves on: an attach that came in between may already know a newer one.
        if self._head is None or committed.sequence >= self._head.sequence:
            self._head = self._base = committed
        self._recent.append(committed)
        self._last_error = ""
        self._describe()

    async def _tell_workload(self, signal: str, message: CheckpointRef | SaveAnswer) -> None:
        workload = workflow.get_external_workflow_handle(names.workload_id(self._spec.name))
        try:
            await workload.signal(signal, message)
        except FailureError:
            workflow.logger.info("the workload is over: there is nobody to tell, and nothing left to save")
            self._finished = True

    def _describe(self) -> None:
        where = f"from {self._lease.label}" if self._lease else "no machine attached"
        head = f"head: checkpoint {self._head.sequence} of epoch {self._head.epoch}" if self._head else "no head yet"
        error = f"\n\nlast error: {self._last_error}" if self._last_error else ""
        workflow.set_current_details(f"every {self._every.total_seconds():g} s, {where}\n\n{head}{error}")
