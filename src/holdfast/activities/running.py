"""Whether a workflow goes on, as the server tells."""

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

# Any other word, such as "paused" or one of a newer server, is of a run that may go on, and then wants its machine.
_OVER = (
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
)


async def runs(client: Client, workflow_id: str) -> bool:
    """By the server's own message: the SDK's fails at a status that it does not know."""
    order = DescribeWorkflowExecutionRequest(
        namespace=client.namespace, execution=WorkflowExecution(workflow_id=workflow_id)
    )
    try:
        told = await client.workflow_service.describe_workflow_execution(order, retry=True)
    except RPCError as err:
        if err.status is RPCStatusCode.NOT_FOUND and "amespace" not in err.message:
            return False
        raise
    return told.workflow_execution_info.status not in _OVER
