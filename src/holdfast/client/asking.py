"""Questions to workflows that came at a bad moment are asked again, before anybody hears of it."""

import asyncio
from typing import Any

from temporalio.client import (
    Interceptor,
    OutboundInterceptor,
    QueryWorkflowInput,
    WorkflowQueryFailedError,
)

from holdfast.contracts.errors import ASK_AGAIN

TRIES = 20
_WAIT = 0.1  # seconds; a task takes less, where a worker is not too busy


class AskingAgain(Interceptor):
    """For every client that asks our workflows."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _AskingAgain(next)


class _AskingAgain(OutboundInterceptor):
    async def query_workflow(self, input: QueryWorkflowInput) -> Any:
        for _ in range(TRIES - 1):
            try:
                return await super().query_workflow(input)
            except WorkflowQueryFailedError as err:
                if ASK_AGAIN not in err.message:
                    raise
            await asyncio.sleep(_WAIT)
        return await super().query_workflow(input)
