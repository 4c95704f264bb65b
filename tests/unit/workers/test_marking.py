"""What a run in a worker's memory lets through, by the activations that the SDK's core makes of tasks and questions."""

from typing import Any

import pytest
from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import WorkflowInstance

from holdfast.contracts.errors import ASK_AGAIN
from holdfast.workers.marking import Marking
from holdfast.workflows.errands import KNOWS_ERRANDS


class Run(WorkflowInstance):
    """Emits what it is told to."""

    def __init__(self) -> None:
        self.heard: list[WorkflowActivation] = []
        self.emits: list[WorkflowCommand] = []

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        self.heard.append(act)
        done = WorkflowActivationCompletion()
        done.successful.commands.extend(self.emits)
        return done

    def get_serialization_context(self, command_info: Any) -> Any: ...
    def get_external_store_context(self, command_info: Any) -> Any: ...
    def get_info(self) -> Any: ...


def activation(length: int, *jobs: str, at: int, replaying: bool = False) -> WorkflowActivation:
    act = WorkflowActivation(history_length=length, is_replaying=replaying)
    act.timestamp.FromSeconds(at)
    for job in jobs:
        made = WorkflowActivationJob()
        getattr(made, job).SetInParent()
        act.jobs.append(made)
    return act


def command(kind: str, seq: int | None = None) -> WorkflowCommand:
    made = WorkflowCommand()
    getattr(made, kind).SetInParent()
    if seq is not None:
        getattr(made, kind).seq = seq
    return made


@pytest.fixture
def run() -> Run:
    return Run()


@pytest.fixture
def marking(run: Run) -> Marking:
    begun = Marking(run)
    run.emits = [command("set_patch_marker")]
    run.emits[0].set_patch_marker.patch_id = KNOWS_ERRANDS
    begun.activate(activation(3, "initialize_workflow", at=1))
    run.emits = []
    return begun


def marks(done: WorkflowActivationCompletion) -> int:
    return sum(each.HasField("modify_workflow_properties") for each in done.successful.commands)


def test_news_that_a_question_brings_is_not_heard_before_its_task(run: Run, marking: Marking):
    refused = marking.activate(activation(8, "signal_workflow", at=1))
    assert refused.failed.failure.message == ASK_AGAIN
    assert len(run.heard) == 1


def test_what_a_task_brings_is_heard_and_so_is_a_question_after_it(run: Run, marking: Marking):
    assert marking.activate(activation(10, "signal_workflow", at=2)).HasField("successful")
    assert marking.activate(activation(10, "query_workflow", at=2)).HasField("successful")
    assert marking.activate(activation(10, "resolve_activity", at=2)).HasField("successful"), "a task in two parts"
    assert len(run.heard) == 4


def test_what_is_played_from_the_history_is_heard_whatever_the_clocks_of_servers_said(run: Run, marking: Marking):
    assert marking.activate(activation(8, "signal_workflow", at=1, replaying=True)).HasField("successful")


@pytest.mark.parametrize(
    ("emits", "marked"),
    [
        ([], 1),
        ([command("start_timer", 1), command("cancel_timer", 1)], 1),
        ([command("start_timer", 2), command("cancel_timer", 1)], 0),
        ([command("cancel_timer", 1)], 0),
        ([command("schedule_activity", 1)], 0),
        ([command("schedule_activity", 1), command("request_cancel_activity", 1)], 1),
        ([command("request_cancel_activity", 1)], 1),
        ([command("upsert_workflow_search_attributes")], 0),
        ([command("complete_workflow_execution")], 0),
    ],
    ids=lambda value: "+".join(each.WhichOneof("variant") for each in value) if isinstance(value, list) else "",
)
def test_a_task_that_leaves_no_event_is_marked(run: Run, marking: Marking, emits: list[WorkflowCommand], marked: int):
    run.emits = emits
    assert marks(marking.activate(activation(8, "signal_workflow", at=2))) == marked


def test_the_second_part_of_a_task_needs_no_mark_and_never_comes_after_the_end(run: Run, marking: Marking):
    run.emits = [command("continue_as_new_workflow_execution")]
    marking.activate(activation(8, "signal_workflow", at=2))
    run.emits = []
    assert marks(marking.activate(activation(8, "resolve_activity", at=2))) == 0


def test_questions_and_refused_orders_leave_no_mark(run: Run, marking: Marking):
    assert marks(marking.activate(activation(8, "query_workflow", at=1))) == 0
    rejected = command("update_response")
    rejected.update_response.rejected.SetInParent()
    run.emits = [rejected]
    assert marks(marking.activate(activation(8, "do_update", at=2))) == 0
    assert marks(marking.activate(activation(12, "do_update", "signal_workflow", at=3))) == 1


def test_a_run_that_is_older_than_marks_gets_none(run: Run):
    older = Marking(run)
    older.activate(activation(3, "initialize_workflow", at=1))
    assert marks(older.activate(activation(8, "signal_workflow", at=2))) == 0
