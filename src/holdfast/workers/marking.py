"""Every worker hears the same news at the same moments: those that the history of a workflow shows.

**A task that came to nothing leaves a mark**, so that every worker sees where it ended.
When a history is played, a task without any command counts as no task of its own: what it heard is heard together with
what the next one hears (temporalio/sdk-rust, issue 1146). Except where the next one accepted an order. So a worker with
nothing of the workflow in its memory, to which an order comes after such a task, hears at once what every worker after
it hears one after the other, at other times: temporalio/sdk-python, issue 1591. With a mark both hear the same.

**News that comes before its task is not heard.** A worker to which a question comes without a task may get the whole
history with it, and in that what no task has brought yet. The SDK lets the workflow hear it at once, apart from what
else that task will bring; whoever plays the history hears all of it together. Such a question is refused, and what is
in memory forgotten; clients ask again (`client/asking.py`), when the task has come.
"""

from collections.abc import Iterable
from typing import Any

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails

from holdfast.contracts.errors import ASK_AGAIN
from holdfast.workflows.errands import KNOWS_ERRANDS

NOTHING_HEARD = ("do_update", "query_workflow", "remove_from_cache", "notify_has_patch", "update_random_seed")
"""Without an order, or with one that is refused, these leave nothing that another worker would have to play."""
CALLED_OFF = {
    "start_timer": ("cancel_timer", "seq"),
    "schedule_activity": ("request_cancel_activity", "seq"),
    "start_child_workflow_execution": ("cancel_child_workflow_execution", "child_workflow_seq"),
    "signal_external_workflow_execution": ("cancel_signal_workflow", "seq"),
}
"""What leaves no event if this comes with it in the same task, and the field that tells which one is meant."""
ALWAYS_AN_EVENT = (
    "complete_workflow_execution",
    "fail_workflow_execution",
    "continue_as_new_workflow_execution",
    "cancel_workflow_execution",
    "set_patch_marker",
    "request_cancel_external_workflow_execution",
    "upsert_workflow_search_attributes",
    "modify_workflow_properties",
)
MEMO, NOTHING = "mark", b"binary/null"
"""The mark takes away a memo that is not there."""


class MarkingRunner(UnsandboxedWorkflowRunner):
    """Runs that began before there were marks get none."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return Marking(super().create_instance(det))


class Marking(WorkflowInstance):
    """One run in this worker's memory."""

    def __init__(self, inner: WorkflowInstance) -> None:
        self._inner = inner
        self._marks = False
        self._left_at = -1  # how long the history was when a task last left something; one task may come in parts
        self._length = -1  # of the history that was heard
        self._time = 0  # when the last task began, in nanoseconds

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        if self._is_before_its_task(act):
            refused = WorkflowActivationCompletion()
            refused.failed.failure.message = ASK_AGAIN
            return refused
        self._length = max(self._length, act.history_length)
        self._time = max(self._time, act.timestamp.ToNanoseconds())
        done = self._inner.activate(act)
        if not done.HasField("successful"):
            return done
        commands = done.successful.commands
        self._marks = self._marks or any(each.set_patch_marker.patch_id == KNOWS_ERRANDS for each in commands)
        if _leaves_an_event(commands):
            self._left_at = act.history_length
        elif self._marks and _heard_something(act) and self._left_at != act.history_length:
            self._left_at = act.history_length
            mark = commands.add().modify_workflow_properties.upserted_memo
            mark.fields[MEMO].metadata["encoding"] = NOTHING
        return done

    def _is_before_its_task(self, act: WorkflowActivation) -> bool:
        """The history has grown, and no task has begun since: a workflow's time is that at which its task began."""
        grown = 0 <= self._length < act.history_length
        later = act.timestamp.ToNanoseconds() > self._time
        return grown and not later and not act.is_replaying and _heard_something(act)

    def get_serialization_context(self, command_info: Any) -> Any:
        return self._inner.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> Any:
        return self._inner.get_external_store_context(command_info)

    def get_info(self) -> Any:
        return self._inner.get_info()

    def get_thread_id(self) -> int | None:
        return self._inner.get_thread_id()


def _heard_something(act: WorkflowActivation) -> bool:
    return any(job.WhichOneof("variant") not in NOTHING_HEARD for job in act.jobs)


def _leaves_an_event(commands: Iterable[WorkflowCommand]) -> bool:
    """True only where that is certain: a mark too many does no harm."""
    kinds = [(each.WhichOneof("variant") or "", each) for each in commands]
    begun = {(kind, getattr(each, kind).seq) for kind, each in kinds if kind in CALLED_OFF}
    off = {
        (begins, getattr(getattr(each, kind), which))
        for begins, (ends, which) in CALLED_OFF.items()
        for kind, each in kinds
        if kind == ends
    }
    timers_ended = {each for each in off - begun if each[0] == "start_timer"}
    return bool(begun - off or timers_ended) or any(
        kind in ALWAYS_AN_EVENT
        or (kind == "update_response" and each.update_response.WhichOneof("response") != "rejected")
        for kind, each in kinds
    )
