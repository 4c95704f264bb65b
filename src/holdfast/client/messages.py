"""Orders to a running workload, and questions to it: Temporal updates and queries under their wire names."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.service import RPCError, RPCStatusCode

from holdfast.client.errors import HoldfastError, InvalidState, NoWorker, OperationFailed, UnknownWorkload
from holdfast.client.translation import from_failure, from_rpc, is_timeout
from holdfast.contracts import names
from holdfast.contracts.spec import NAME_PATTERN

Answer = TypeVar("Answer")

# A worker that was killed leaves its cached workflows unreachable for ten seconds (the sticky queue's timeout);
# an answer that takes longer than this has nobody to give it.
TAKEN_WITHIN = timedelta(seconds=25)
SHOWN = 60  # characters of what cannot be a name
_BY_FORCE = ("terminated", "timed out", "forgotten")


def handle_of(client: Client, name: str) -> WorkflowHandle[Any, Any]:
    """The workload's workflow.

    Raises:
        UnknownWorkload: nothing can be called so; a server refuses a very long name in words of its own.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise UnknownWorkload(f"there is no workload {shortened(name)!r}")
    return client.get_workflow_handle(names.workload_id(name))


def shortened(name: str) -> str:
    """A name as far as a person wants to read it."""
    return name if len(name) <= SHOWN else f"{name[:SHOWN]}…"


Explain = Callable[[RPCError], Awaitable[HoldfastError]]


async def order(client: Client, name: str, update: str, answer: type[Answer], *args: Any) -> Answer:
    """Send an update and wait until it took effect.

    Raises:
        UnknownWorkload: no such workload.
        InvalidState: it has ended, or refuses the order as it is now.
        NoWorker: nobody took the order in time; it may still happen when a worker is back.
    """
    handle = handle_of(client, name)
    return await send(handle, name, update, answer, args, explain=lambda err: _why_refused(handle, name, err, client))


async def send(
    handle: WorkflowHandle[Any, Any],
    name: str,
    update: str,
    answer: type[Answer],
    args: Sequence[Any],
    *,
    explain: Explain,
) -> Answer:
    """Send an update to the workflow that people call `name`; `explain` finds the error for what the server refuses.

    Raises:
        NoWorker: nobody took the order in time; it may still happen when a worker is back.
        HoldfastError: it is refused.
    """
    try:
        taken = await handle.start_update(
            update,
            args=args,
            wait_for_stage=WorkflowUpdateStage.ACCEPTED,
            result_type=answer,
            rpc_timeout=TAKEN_WITHIN,
        )
        answered: Answer = await taken.result()
    except WorkflowUpdateFailedError as err:
        raise from_failure(err.cause, doing=update, queue=names.CONTROL_QUEUE).about(name) from err
    except WorkflowUpdateRPCTimeoutOrCancelledError as err:
        if isinstance(err.__cause__, asyncio.CancelledError):  # it was our caller who gave up, with Ctrl-C say
            raise err.__cause__ from None
        raise NoWorker(f"no worker took the order {update!r} for {name!r} in time") from err
    except RPCError as err:
        raise await explain(err) from err
    return answered


async def query(client: Client, name: str, question: str, answer: type[Answer]) -> Answer:
    """Ask a workload, running or ended.

    Raises:
        UnknownWorkload: no such workload.
        NoWorker: nobody answers for it.
    """
    handle = handle_of(client, name)
    try:
        told: Answer = await handle.query(question, result_type=answer, rpc_timeout=TAKEN_WITHIN)
        return told
    except WorkflowQueryFailedError as err:
        raise OperationFailed(f"the workload {name!r} cannot answer {question!r}: {err}") from err
    except RPCError as err:
        if is_timeout(err):
            raise NoWorker(f"no worker answered for {name!r} in time") from err
        if err.status is RPCStatusCode.NOT_FOUND:
            raise UnknownWorkload(f"there is no workload {name!r}") from err
        raise from_rpc(err, client.service_client.config.target_host) from err


def ended(name: str, how: str) -> InvalidState:
    """The refusal of an order for a workload that is over; `how` in the server's words."""
    told = "tells which machine of it may still cost money" if how in _BY_FORCE else "tells how it went"
    ask = "status" if how in _BY_FORCE else "report"
    return InvalidState(f"the workload {name!r} has ended ({how})", remedy=f"`holdfast {ask} {name}` {told}")


async def _why_refused(handle: WorkflowHandle[Any, Any], name: str, err: RPCError, client: Client) -> HoldfastError:
    """NOT_FOUND stands for both a name never used and a workload that has ended: the caller's next step differs."""
    if err.status is RPCStatusCode.NOT_FOUND:
        try:
            description = await handle.describe()
        except RPCError:
            return UnknownWorkload(f"there is no workload {name!r}")
        return ended(name, description.status.name.lower().replace("_", " ") if description.status else "over")
    if is_timeout(err):
        return NoWorker(f"no worker took the order for {name!r} in time")
    return from_rpc(err, client.service_client.config.target_host)
