"""Between workloads and warm pools: a claim, and the change of hands that follows from it."""

import asyncio

from temporalio import activity
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from holdfast.activities.translation import translated
from holdfast.contracts import names
from holdfast.contracts.pools import ClaimAnswer, ClaimRequest, HandOverInput, HandOverResult, PoolDemand
from holdfast.records.store import Records


class PoolActivities:
    """Both may be repeated: the pool knows its claims, and the records know who has which machine."""

    def __init__(self, records: Records, client: Client) -> None:
        self._records = records
        self._client = client

    @activity.defn
    async def claim_standby(self, order: ClaimRequest) -> ClaimAnswer:
        return await ask_pool(self._client, order)

    @activity.defn
    async def pool_demand(self, pool: str) -> PoolDemand:
        with translated():
            return await asyncio.to_thread(self._records.pool_demand, pool)

    @activity.defn
    async def hand_over_standby(self, order: HandOverInput) -> HandOverResult:
        with translated():
            return await asyncio.to_thread(self._records.hand_over, order)


async def ask_pool(client: Client, order: ClaimRequest) -> ClaimAnswer:
    """By an update whose id is the claim's own: the server answers a repeated one as it answered the first."""
    handle = client.get_workflow_handle(names.pool_id(order.pool))
    try:
        answer: ClaimAnswer = await handle.execute_update(
            "claim", order, id=f"claim/{order.workload}/e{order.epoch}", result_type=ClaimAnswer
        )
    except WorkflowUpdateFailedError as err:
        return ClaimAnswer(refusal=f"the pool {order.pool} refuses: {err.cause or err}")
    except RPCError as err:
        if err.status is RPCStatusCode.NOT_FOUND and "amespace" not in err.message:
            return ClaimAnswer(refusal=f"there is no pool {order.pool}")
        raise
    return answer
