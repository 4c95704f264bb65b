"""What a job does with the workload that is its present attempt: start it, end it, tell it what has changed."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from temporalio import workflow
from temporalio.common import Priority, WorkflowIDReusePolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError

from holdfast.contracts import names
from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.jobs import FIRST, JobStatus, QueueInput, Waiting
from holdfast.contracts.money import Scope, SetBudgetInput, Span
from holdfast.contracts.spec import WorkloadSpec
from holdfast.contracts.workload import StopRequest, WorkloadInput
from holdfast.workflows import steps

Child = workflow.ChildWorkflowHandle[Any, Any]


async def start(spec: WorkloadSpec, job: str, begins_with: CheckpointRef | None) -> Child | None:
    """None: a workload of this name runs already, and is not this job's to touch."""
    zero = replace(begins_with, workload=spec.name, epoch=0, sequence=0) if begins_with else None
    try:
        started = await workflow.start_child_workflow(
            names.WORKLOAD,
            WorkloadInput(spec=spec, workdir=zero, owner=names.job_id(job)),
            id=names.workload_id(spec.name),
            task_queue=names.CONTROL_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=f"attempt of job {job}",
            search_attributes=workflow.info().typed_search_attributes,
        )
    except WorkflowAlreadyStartedError:
        return None
    steps.unheard(started)
    return started


async def end(workload: str, request: StopRequest) -> None:
    """One that is over already has said so, or is found to be."""
    await _signal(names.workload_id(workload), "end", request)


async def change_budget(workload: str, amount: Decimal | None) -> None:
    """What is left for it; it looks at once."""
    await steps.set_budget(SetBudgetInput(scope=Scope.SPEC, name=workload, span=Span.TOTAL, amount=amount))
    await _signal(names.workload_id(workload), "budget_changed")


async def enqueue(tenant: str, job: Waiting) -> None:
    """Ask for a place; a queue that does not run is started. Repeated, it changes nothing."""
    if await _signal(names.job_queue_id(tenant), "enqueue", job):
        return
    await start_queue(tenant)
    await _signal(names.job_queue_id(tenant), "enqueue", job)


async def leave_queue(tenant: str, job: str) -> None:
    """Give the place back, or want none any more. A queue that does not run knows of none."""
    await _signal(names.job_queue_id(tenant), "leave", job)


async def start_queue(tenant: str) -> None:
    try:
        started = await workflow.start_child_workflow(
            names.JOB_QUEUE,
            QueueInput(tenant=tenant),
            id=names.job_queue_id(tenant),
            task_queue=names.CONTROL_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=f"which job of {tenant} goes next",
            priority=Priority(priority_key=FIRST),
        )
        steps.unheard(started)
    except WorkflowAlreadyStartedError:
        return


async def tell(owner: str, status: JobStatus) -> None:
    """An owner that is gone is not told: nobody waits."""
    await _signal(owner, "job_said", status)


async def _signal(workflow_id: str, signal: str, word: object = None) -> bool:
    """False: there is nobody of this id."""
    handle = workflow.get_external_workflow_handle(workflow_id)
    try:
        await (handle.signal(signal) if word is None else handle.signal(signal, word))
    except FailureError:
        return False
    return True
