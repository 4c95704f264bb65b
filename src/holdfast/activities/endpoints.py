"""What is on record of endpoints, and how their replicas come to an end."""

import asyncio
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from holdfast.activities.beating import beating
from holdfast.activities.translation import translated
from holdfast.contracts import activities as acts
from holdfast.contracts.endpoints import EndpointCard, Wake
from holdfast.records.store import Records

_LOOK_EVERY = timedelta(seconds=1)


class EndpointActivities:
    """Every method may be repeated."""

    def __init__(self, records: Records, client: Client) -> None:
        self._records = records
        self._client = client

    @activity.defn
    def record_endpoint(self, order: acts.RecordEndpointInput) -> None:
        with translated():
            self._records.record_endpoint(order)

    @activity.defn
    def close_endpoint(self, name: str) -> None:
        with translated():
            self._records.close_endpoint(name)

    @activity.defn
    def list_endpoints(self) -> list[EndpointCard]:
        with translated():
            return self._records.endpoints()

    @activity.defn
    def record_wake(self, wake: Wake) -> None:
        with translated():
            self._records.record_wake(wake)

    @activity.defn
    def read_wakes(self, order: acts.ReadWakesInput) -> list[Wake]:
        with translated():
            return self._records.wakes(order)

    @activity.defn
    async def until_ended(self, workflow_ids: list[str]) -> None:
        async with beating():
            for workflow_id in workflow_ids:
                await self._until_ended(workflow_id)

    async def _until_ended(self, workflow_id: str) -> None:
        while True:
            if not await self._runs(workflow_id):
                return
            await asyncio.sleep(_LOOK_EVERY.total_seconds())

    async def _runs(self, workflow_id: str) -> bool:
        try:
            found = await self._client.get_workflow_handle(workflow_id).describe()
        except RPCError as err:
            if err.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return found.status is WorkflowExecutionStatus.RUNNING

    def all(self) -> list[object]:
        """For the worker."""
        return [
            self.record_endpoint,
            self.close_endpoint,
            self.list_endpoints,
            self.record_wake,
            self.read_wakes,
            self.until_ended,
        ]
