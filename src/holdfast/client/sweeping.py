"""Sweep by hand: the same workflow that the schedule runs."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from uuid import uuid4

from temporalio.client import Client, WorkflowFailureError
from temporalio.service import RPCError

from holdfast.client.calls import is_served
from holdfast.client.errors import NoWorker
from holdfast.client.translation import from_failure, from_rpc
from holdfast.contracts import names
from holdfast.contracts.sweeping import SweepInput, SweepResult

_WITHIN = timedelta(hours=1)


async def sweep(
    client: Client, providers: Iterable[str], *, grace: timedelta, dry_run: bool
) -> tuple[SweepResult, ...]:
    """One sweep of each provider, all at once.

    Raises:
        NoWorker: nobody works on the queue that decides.
    """
    if not await is_served(client, names.CONTROL_QUEUE):
        raise NoWorker("no control worker is running, and a sweep needs one")
    orders = [SweepInput(provider=each, grace=grace, dry_run=dry_run) for each in providers]
    return tuple(await asyncio.gather(*(_sweep(client, order) for order in orders)))


async def _sweep(client: Client, order: SweepInput) -> SweepResult:
    try:
        done: SweepResult = await client.execute_workflow(
            names.SWEEP,
            order,
            id=f"{names.sweep_id(order.provider)}/{uuid4().hex[:12]}",
            task_queue=names.CONTROL_QUEUE,
            result_type=SweepResult,
            execution_timeout=_WITHIN,
            static_summary=f"machines at {order.provider} that nobody owns, asked for by hand",
        )
        return done
    except WorkflowFailureError as err:
        raise from_failure(err.cause, doing="sweep", queue=names.CONTROL_QUEUE) from err
    except RPCError as err:
        raise from_rpc(err, client.service_client.config.target_host) from err
