"""Build every dependency once, for the roles that this process plays. Nothing is constructed anywhere else.

Each role is a module in `crews/`, loaded only by the processes that play it: a provider's worker has no use for a
database client, and most of a worker's start is loading such things.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import Any

from temporalio.client import Client

from holdfast.settings import Settings
from holdfast.telemetry.health import Check
from holdfast.telemetry.metrics import Metrics
from holdfast.workers.roles import Role
from holdfast.workers.shop import Shop

Service = AbstractAsyncContextManager[Any]
"""Works while it is entered: a Temporal worker, or a gateway."""
Crew = Callable[[Shop], Awaitable[Sequence[Service]]]


@asynccontextmanager
async def build_workers(
    settings: Settings, client: Client, roles: Iterable[Role], metrics: Metrics
) -> AsyncIterator[tuple[list[Service], dict[str, Check]]]:
    """The workers and servers for these roles, not yet running, and what must answer for them to be ready.

    Leaving the context closes what they hold.

    Raises:
        RecordsError: the records cannot be used by the control worker.
        NoProvider: a provider worker without a provider.
        SettingsError: a provider is named that nobody knows.
    """
    async with AsyncExitStack() as stack:
        shop = Shop(settings, client, metrics, stack)
        workers: list[Service] = []
        for crew in load_crews(roles):
            workers += await crew(shop)
        yield workers, shop.needs


def load_crews(roles: Iterable[Role]) -> list[Crew]:
    """Import what these roles need; the second time it costs nothing."""
    return [import_module(f"holdfast.workers.crews.{role}").crew for role in sorted(roles)]
