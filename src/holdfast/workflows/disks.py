"""The workload's side of its conversation with `disk_copies`, where its policy wants copies of its disk."""

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError

from holdfast.contracts import names
from holdfast.contracts.disks import DiskAttached, DiskInput
from holdfast.contracts.machines import Lease
from holdfast.contracts.spec import WorkloadSpec
from holdfast.workflows import steps
from holdfast.workflows.cancelling import heed_cancel


async def attach(spec: WorkloadSpec, lease: Lease) -> None:
    """This machine's disk is to be copied from now on."""
    if spec.failover.disk_every is None:
        return
    try:
        await _handle(spec).signal("attach", DiskAttached(lease=lease, spec=spec))
    except FailureError:  # it is not there yet, or somebody ended it
        heed_cancel()
        await _begin(DiskInput(spec=spec, lease=lease))
    heed_cancel()


async def finish(spec: WorkloadSpec) -> None:
    """Nothing more is copied, and what there is goes. One that somebody ended is started again for that."""
    if spec.failover.disk_every is None:
        return
    try:
        await _handle(spec).signal("finish")
    except FailureError:
        await _begin(DiskInput(spec=spec, finished=True))


async def _begin(order: DiskInput) -> None:
    """It outlives whoever started it: copies are dropped, however long their provider takes."""
    try:
        started = await workflow.start_child_workflow(
            names.DISK_COPIES,
            order,
            id=names.disk_id(order.spec.name),
            task_queue=names.CONTROL_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=f"copies of the disk of {order.spec.name}",
            search_attributes=workflow.info().typed_search_attributes,
        )
        steps.unheard(started)
    except WorkflowAlreadyStartedError:
        workflow.logger.info("somebody has begun to copy the disk of %s meanwhile", order.spec.name)


def _handle(spec: WorkloadSpec) -> workflow.ExternalWorkflowHandle[object]:
    return workflow.get_external_workflow_handle(names.disk_id(spec.name))
