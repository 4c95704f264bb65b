"""What is on record of endpoints, and how their replicas come to an end."""

import asyncio
from datetime import timedelta
from time import monotonic
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from holdfast.activities.beating import beating
from holdfast.activities.running import runs
from holdfast.activities.translation import translated
from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.endpoints import EndpointCard, EndpointStatus, Pass, Wake, WakeRequest
from holdfast.contracts.errors import ErrorType
from holdfast.records.store import Records

_LOOK_EVERY = timedelta(seconds=1)
_ASK_EVERY = timedelta(seconds=0.5)  # a query replays nothing while the workflow is in a worker's memory
_CALL_AGAIN = timedelta(seconds=5)  # each call is an event of the endpoint's history


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
    def shift_traffic(self, order: acts.ShiftTrafficInput) -> None:
        with translated():
            self._records.shift_traffic(order)

    @activity.defn
    def close_deployment(self, name: str) -> None:
        with translated():
            self._records.close_deployment(name)

    @activity.defn
    async def wake_endpoint(self, order: acts.WakeEndpointInput) -> Pass:
        async with beating():
            return await until_it_serves(self._client, order)

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
            if not await runs(self._client, workflow_id):
                return
            await asyncio.sleep(_LOOK_EVERY.total_seconds())

    def all(self) -> list[object]:
        """For the worker."""
        return [
            self.record_endpoint,
            self.close_endpoint,
            self.shift_traffic,
            self.close_deployment,
            self.wake_endpoint,
            self.list_endpoints,
            self.record_wake,
            self.read_wakes,
            self.until_ended,
        ]


async def until_it_serves(client: Client, order: acts.WakeEndpointInput) -> Pass:
    """Call until a replica stands in the pass. One that failed to serve is an answer too: nobody tries it twice."""
    handle = client.get_workflow_handle(names.endpoint_id(order.endpoint))
    request = WakeRequest(gateway=order.caller, waiting=1)
    try:
        while True:
            await handle.signal("called", request)
            if (given := await _pass_of(handle)).routes:
                return given
            if given.refused:
                raise _not_ready(given.reason)
            told: EndpointStatus = await handle.query("status", result_type=EndpointStatus)
            if failed := [each for each in told.replicas if each.failures]:
                raise _not_ready(failed[0].reason)
    except RPCError as err:
        if err.status is RPCStatusCode.NOT_FOUND:
            raise _not_ready("the endpoint has ended") from err
        raise


async def _pass_of(handle: WorkflowHandle[Any, Any]) -> Pass:
    """As soon as a replica stands in it, or after a while in which the caller keeps its place."""
    until = monotonic() + _CALL_AGAIN.total_seconds()
    while True:
        given: Pass = await handle.query("pass_now", result_type=Pass)
        if given.routes or given.refused or monotonic() >= until:
            return given
        await asyncio.sleep(_ASK_EVERY.total_seconds())


def _not_ready(why: str) -> ApplicationError:
    return ApplicationError(why, type=ErrorType.SERVICE_NOT_READY, non_retryable=True)
