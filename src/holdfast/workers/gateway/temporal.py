"""The doorkeeper over Temporal: signals, a query, and one activity that reads the records."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import Any
from uuid import uuid4

from temporalio.client import (
    ActivityFailureError,
    Client,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError

from holdfast.client.calls import BRISK, PICKED_UP_WITHIN
from holdfast.client.messages import TAKEN_WITHIN
from holdfast.client.translation import from_failure, from_rpc, is_not_found
from holdfast.contracts import names
from holdfast.contracts.activities import list_endpoints
from holdfast.contracts.endpoints import ANSWER_WITHIN, EndpointCard, EndpointPhase, IdleNotice, Pass, WakeRequest
from holdfast.workers.gateway.doorkeeper import Away

WAKE_WITHIN = timedelta(seconds=60)
"""For a call, and all looks at what came of it."""
_BRIEFLY = timedelta(seconds=10)
_LOOK_EVERY = 0.1  # seconds; only while an endpoint wakes, and by one of the callers


class TemporalDoorkeeper:
    """Asks the workflows `endpoint/<name>`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def cards(self) -> tuple[EndpointCard, ...]:
        name = list_endpoints.__name__
        async with self._explained(name):
            found: list[EndpointCard] = await self._client.execute_activity(
                list_endpoints,
                id=f"ask/{name}/{uuid4().hex}",
                task_queue=names.CONTROL_QUEUE,
                schedule_to_start_timeout=PICKED_UP_WITHIN,
                start_to_close_timeout=_BRIEFLY,
                retry_policy=replace(BRISK, maximum_attempts=2),
                summary="a gateway reads the directory",
            )
        return tuple(found)

    async def wake(self, endpoint: str, request: WakeRequest) -> Pass:
        """By a signal, and a query until there are routes: `EndpointWorkflow.called` says why not by an update."""
        until = monotonic() + min(request.answer_within or ANSWER_WITHIN, ANSWER_WITHIN).total_seconds()
        async with self._explained("wake"), asyncio.timeout(WAKE_WITHIN.total_seconds()):
            handle = self._handle(endpoint)
            await handle.signal("called", request, rpc_timeout=_BRIEFLY)
            while True:
                given: Pass = await handle.query("pass_now", result_type=Pass, rpc_timeout=TAKEN_WITHIN)
                if given.routes or given.refused or given.phase is EndpointPhase.STOPPED or monotonic() >= until:
                    return given
                await asyncio.sleep(_LOOK_EVERY)

    async def idle(self, endpoint: str, notice: IdleNotice) -> None:
        async with self._explained("idle"):
            await self._handle(endpoint).signal("idle", notice, rpc_timeout=_BRIEFLY)

    def _handle(self, endpoint: str) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(names.endpoint_id(endpoint))

    @asynccontextmanager
    async def _explained(self, doing: str) -> AsyncIterator[None]:
        try:
            yield
        except ActivityFailureError as err:
            raise Away(str(from_failure(err.cause, doing=doing, queue=names.CONTROL_QUEUE))) from err
        except WorkflowQueryFailedError as err:
            raise Away(f"the endpoint cannot answer: {err}") from err
        except TimeoutError as err:
            raise Away("no worker answered in time") from err
        except RPCError as err:
            if is_not_found(err):
                raise Away("the endpoint is stopped, or was never started") from err
            raise Away(str(from_rpc(err, self._client.service_client.config.target_host))) from err
