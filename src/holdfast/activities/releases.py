"""Ordering a release on behalf of a workflow: only clients may start a deployment that is not theirs, or update it."""

from temporalio import activity
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.deployments import DeploymentInput, DeploymentStatus, Release, endpoint_of
from holdfast.contracts.errors import ErrorType


class ReleaseActivities:
    """Repeating it is safe: a release of the same version that is alive is the one that was ordered."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @activity.defn
    async def order_release(self, order: acts.OrderReleaseInput) -> acts.OrderedRelease:
        try:
            return await self._begun(order)
        except WorkflowAlreadyStartedError:
            return await self._another(order)

    async def _begun(self, order: acts.OrderReleaseInput) -> acts.OrderedRelease:
        """The deployment, which begins with this release. Raises WorkflowAlreadyStartedError."""
        await self._client.start_workflow(
            names.DEPLOYMENT,
            DeploymentInput(name=order.deployment, token_hashes=order.token_hashes, first=order.order),
            id=names.deployment_id(order.deployment),
            task_queue=names.CONTROL_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            static_summary=f"deployment {order.deployment}: {order.order.model}",
        )
        return acts.OrderedRelease(number=1, endpoint=endpoint_of(order.deployment, 1))

    async def _another(self, order: acts.OrderReleaseInput) -> acts.OrderedRelease:
        handle = self._client.get_workflow_handle(names.deployment_id(order.deployment))
        wanted = order.order
        known = await handle.query("status", result_type=DeploymentStatus)
        for each in reversed(known.releases):
            if each.state.is_alive and (each.model, each.version, each.owner) == (
                wanted.model,
                wanted.version,
                wanted.owner,
            ):
                return acts.OrderedRelease(number=each.number, endpoint=each.endpoint)
        try:
            release = await handle.execute_update("deploy", wanted, id=order.mark, result_type=Release)
        except WorkflowUpdateFailedError as err:
            raise ApplicationError(str(err.cause or err), type=ErrorType.INVALID_STATE) from err
        return acts.OrderedRelease(number=release.number, endpoint=release.endpoint)
