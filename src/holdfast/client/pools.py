"""Warm pools, for other services: start one, ask it, resize it, let it go."""

import re
from typing import Any

from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from holdfast.client.errors import AlreadyRunning, HoldfastError, InvalidState, NoWorker, OperationFailed, UnknownPool
from holdfast.client.messages import TAKEN_WITHIN, send, shortened
from holdfast.client.translation import from_rpc, is_timeout
from holdfast.contracts import names
from holdfast.contracts.pools import POOL_PATTERN, PoolInput, PoolPhase, PoolSpec, PoolStatus

_RUNNING = f"WorkflowType = '{names.WARM_POOL}' AND ExecutionStatus = 'Running'"


async def create(client: Client, spec: PoolSpec) -> str:
    """Start a pool and return its run id; it fills by itself.

    Raises:
        AlreadyRunning: there is a pool of this name.
    """
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(names.SA_WORKLOAD, names.pool_record(spec.name)),
        SearchAttributePair(names.SA_STATE, PoolPhase.FILLING.value),
    ]
    try:
        handle = await client.start_workflow(
            names.WARM_POOL,
            PoolInput(spec=spec),
            id=names.pool_id(spec.name),
            task_queue=names.CONTROL_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            search_attributes=TypedSearchAttributes(pairs),
            static_summary=f"pool {spec.name}: {spec.target} x {spec.resources.gpu or 'any GPU'}",
        )
    except WorkflowAlreadyStartedError as err:
        remedy = f"`holdfast pool rm {spec.name}` ends it; or choose another name"
        raise AlreadyRunning(f"a pool named {spec.name!r} exists already", remedy=remedy) from err
    except RPCError as err:
        raise from_rpc(err, client.service_client.config.target_host) from err
    return handle.first_execution_run_id or handle.result_run_id or ""


async def running(client: Client) -> tuple[PoolStatus, ...]:
    """Every pool that exists, by name."""
    try:
        found = sorted([each.id async for each in client.list_workflows(_RUNNING)])
    except RPCError as err:
        raise from_rpc(err, client.service_client.config.target_host) from err
    return tuple([await status(client, each.removeprefix(names.pool_id(""))) for each in found])


async def status(client: Client, name: str) -> PoolStatus:
    """What a pool has and does, also after its end while the server remembers it.

    Raises:
        UnknownPool, NoWorker.
    """
    try:
        told: PoolStatus = await _handle(client, name).query("status", result_type=PoolStatus, rpc_timeout=TAKEN_WITHIN)
    except WorkflowQueryFailedError as err:
        raise OperationFailed(f"the pool {name!r} cannot answer: {err}") from err
    except RPCError as err:
        raise await _explained(client, name, err) from err
    return told


async def order(client: Client, name: str, update: str, *args: Any) -> PoolStatus:
    """Send an update; answers as soon as the pool has taken it up.

    Raises:
        UnknownPool: there is none, or it has ended.
        InvalidState: it refuses.
        NoWorker: nobody took the order in time.
    """
    handle = _handle(client, name)
    try:
        return await send(handle, name, update, PoolStatus, args, explain=lambda err: _explained(client, name, err))
    except InvalidState as err:
        raise InvalidState(str(err), remedy=f"`holdfast pool show {name}` shows what it has") from err


def _handle(client: Client, name: str) -> WorkflowHandle[Any, Any]:
    if not re.fullmatch(POOL_PATTERN, name):
        raise UnknownPool(f"there is no pool {shortened(name)!r}")
    return client.get_workflow_handle(names.pool_id(name))


async def _explained(client: Client, name: str, err: RPCError) -> HoldfastError:
    if is_timeout(err):
        return NoWorker(f"no worker answered for the pool {name!r} in time")
    if err.status is RPCStatusCode.NOT_FOUND and "amespace" not in err.message:
        return await _gone(client, name)
    return from_rpc(err, client.service_client.config.target_host)


async def _gone(client: Client, name: str) -> HoldfastError:
    try:
        found = await client.get_workflow_handle(names.pool_id(name)).describe()
    except RPCError:
        return UnknownPool(f"there is no pool {name!r}")
    if found.status is WorkflowExecutionStatus.RUNNING:
        return NoWorker(f"no worker answers for the pool {name!r}")
    return InvalidState(f"the pool {name!r} has ended", remedy="`holdfast pool create FILE` starts it anew")
