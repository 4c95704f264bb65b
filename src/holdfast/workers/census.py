"""How many workloads are in which state, for the metrics: counted by the server, not by our memory."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from holdfast.contracts import names
from holdfast.contracts.workload import Phase
from holdfast.telemetry.metrics import Metrics

EVERY = timedelta(seconds=15)
log = logging.getLogger("holdfast.worker")


@asynccontextmanager
async def take_census(client: Client, metrics: Metrics, *, every: timedelta = EVERY) -> AsyncIterator[None]:
    """Count now and then while the block runs. Every control worker does: each one's numbers are the whole truth."""
    task = asyncio.create_task(_count_for_ever(client, metrics, every))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _count_for_ever(client: Client, metrics: Metrics, every: timedelta) -> None:
    while True:
        try:
            metrics.workloads({phase: await _count(client, phase) for phase in Phase if not phase.is_final})
        except RPCError as err:
            log.warning("the workloads could not be counted: %s", err.message)
            metrics.workloads({})  # better no number than an old one
        await asyncio.sleep(every.total_seconds())


async def _count(client: Client, phase: Phase) -> int:
    # One question per state: the server groups by no attribute of ours.
    query = f"WorkflowType = '{names.WORKLOAD}' AND ExecutionStatus = 'Running' AND {names.SA_STATE.name} = '{phase}'"
    return (await client.count_workflows(query)).count
