"""The workload's side of its conversation with `checkpoint_sync`."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, FailureError, WorkflowAlreadyStartedError

from holdfast.contracts import names
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.machines import Lease
from holdfast.contracts.spec import WorkloadSpec
from holdfast.contracts.workload import AttachMessage, SaveAnswer, SaveRequest, SyncInput
from holdfast.workflows import changes, steps
from holdfast.workflows.cancelling import heed_cancel

ASK_AGAIN = timedelta(minutes=2)


class Saver:
    """Starts the workload's `checkpoint_sync`, tells it which machine to save from, and asks it for saves."""

    def __init__(self, spec: WorkloadSpec, *, attachment: AttachMessage | None) -> None:
        self._spec = spec
        self._answers: dict[str, SaveAnswer | None] = {}
        self._given_up = False
        self.attachment = attachment

    @property
    def attached(self) -> bool:
        """Whether there is a machine to save from."""
        return self.attachment is not None

    async def open(self, spec: WorkloadSpec) -> None:
        """Start `checkpoint_sync`. It outlives continue-as-new; one that a terminated workload left goes on."""
        self._spec = spec
        try:
            started = await workflow.start_child_workflow(
                names.CHECKPOINT_SYNC,
                SyncInput(spec=spec),
                id=names.checkpoints_id(spec.name),
                task_queue=names.CONTROL_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary=f"checkpoints of {spec.name}",
                search_attributes=workflow.info().typed_search_attributes,
            )
            steps.unheard(started)
        except WorkflowAlreadyStartedError:
            workflow.logger.info("checkpoints of %s are being saved already", spec.name)

    async def attach(self, lease: Lease, head: CheckpointRef | None, *, base: CheckpointRef | None) -> None:
        self.attachment = AttachMessage(lease=lease, head=head, base=base, spec=self._spec)
        await self._signal("attach", self.attachment)

    async def detach(self) -> None:
        self.attachment = None
        await self._signal("detach")

    def saved(self, checkpoint: CheckpointRef) -> None:
        """There is a newer checkpoint: whoever has to be told of the machine again hears of it as well."""
        if self.attachment is not None:
            self.attachment = replace(self.attachment, head=checkpoint, base=checkpoint)

    async def finish(self) -> None:
        """Nothing more will be saved. Its being over already is as good."""
        self.attachment = None
        try:
            await self._handle().signal("finish")
        except FailureError:
            workflow.logger.info("checkpoint_sync of %s is over already", self._spec.name)

    async def save(self, reason: SaveReason, *, unless: Callable[[], bool] = lambda: False) -> CheckpointRef:
        """Return when the checkpoint is committed.

        Raises:
            ApplicationError: the save failed, with its reason, or is not waited for any more because of `unless`;
                what was saved before is untouched.
        """
        request_id = str(workflow.uuid4())
        self._answers[request_id] = None
        while not await self._ask(SaveRequest(request_id=request_id, reason=reason), unless):
            workflow.logger.info("no answer to the request for a save yet: asking again")
        answer = self._answers.pop(request_id)
        if answer is None or answer.checkpoint is None:
            reason_told = answer.error if answer else "the save was given up"
            raise ApplicationError(reason_told, type=ErrorType.AGENT_FAILED)
        return answer.checkpoint

    async def _ask(self, request: SaveRequest, unless: Callable[[], bool]) -> bool:
        """Whether there is an answer. A saver that was ended meanwhile has forgotten the request; one at it has not."""
        await self._signal("request_save", request)
        try:
            await workflow.wait_condition(
                lambda: self._answers[request.request_id] is not None or self._given_up or unless(),
                timeout=ASK_AGAIN if changes.knows("ask-for-saves-again") else None,
                timeout_summary="before a save is asked for again",
            )
        except TimeoutError:
            return False
        return True

    def answered(self, answer: SaveAnswer) -> None:
        if answer.request_id in self._answers:
            self._answers[answer.request_id] = answer

    def is_given_up(self) -> bool:
        return self._given_up

    def give_up(self) -> None:
        """Wait for no save any more."""
        self._given_up = True

    async def _signal(self, name: str, message: AttachMessage | SaveRequest | None = None) -> None:
        """Deliver a signal; a `checkpoint_sync` that somebody ended is started again first, with its machine."""
        try:
            await self._deliver(name, message)
        except FailureError:
            heed_cancel()
            await self.open(self._spec)
            if self.attachment is not None and message is not self.attachment:
                await self._deliver("attach", self.attachment)
            await self._deliver(name, message)
        heed_cancel()

    async def _deliver(self, name: str, message: AttachMessage | SaveRequest | None) -> None:
        if message is None:
            await self._handle().signal(name)
        else:
            await self._handle().signal(name, message)

    def _handle(self) -> workflow.ExternalWorkflowHandle[object]:
        return workflow.get_external_workflow_handle(names.checkpoints_id(self._spec.name))
