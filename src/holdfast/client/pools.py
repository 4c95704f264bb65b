"""Warm pools, for other services: start one, ask it, resize it, let it go."""

from typing import Any

from temporalio.client import Client
from temporalio.common import SearchAttributePair

from holdfast.client.errors import UnknownPool
from holdfast.client.operations import Kind, Operations
from holdfast.contracts import names
from holdfast.contracts.pools import POOL_PATTERN, PoolInput, PoolPhase, PoolSpec, PoolStatus

_POOL = Kind(
    word="pool",
    article="a",
    pattern=POOL_PATTERN,
    prefix=names.pool_id(""),
    workflow=names.WARM_POOL,
    unknown=UnknownPool,
    show="holdfast pool show",
    end="holdfast pool rm",
    begin="holdfast pool create FILE",
)


async def create(client: Client, spec: PoolSpec) -> str:
    """Start a pool and return its run id; it fills by itself.

    Raises:
        AlreadyRunning: there is a pool of this name.
    """
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(names.SA_WORKLOAD, names.pool_record(spec.name)),
        SearchAttributePair(names.SA_STATE, PoolPhase.FILLING.value),
    ]
    summary = f"pool {spec.name}: {spec.target} x {spec.resources.gpu or 'any GPU'}"
    return await _pools(client).start(spec.name, PoolInput(spec=spec), summary=summary, attributes=pairs)


async def running(client: Client) -> tuple[PoolStatus, ...]:
    """Every pool that exists, by name."""
    return tuple([await status(client, each) for each in await _pools(client).running()])


async def status(client: Client, name: str) -> PoolStatus:
    """What a pool has and does, also after its end while the server remembers it.

    Raises:
        UnknownPool, NoWorker.
    """
    return await _pools(client).ask(name, "status", PoolStatus)


async def order(client: Client, name: str, update: str, *args: Any) -> PoolStatus:
    """Send an update; answers as soon as the pool has taken it up.

    Raises:
        UnknownPool: there is none, or it has ended.
        InvalidState: it refuses.
        NoWorker: nobody took the order in time.
    """
    return await _pools(client).order(name, update, PoolStatus, *args)


def _pools(client: Client) -> Operations:
    return Operations(client, _POOL)
