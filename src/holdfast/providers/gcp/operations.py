"""Operations: a change is accepted long before it is carried out, and may still come to nothing.

An accepted call answers with status 200 and an operation; only when that is done, and has no error in it, has anything
happened.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from holdfast.providers.gcp.answers import NotFound
from holdfast.providers.gcp.client import GcpClient
from holdfast.providers.gcp.endpoints import WAIT
from holdfast.providers.gcp.wire import OperationError, OperationRow, read_operation

Sleep = Callable[[float], Awaitable[None]]
_POLL = 0.5
NO_ROOM = ("ZONE_RESOURCE_POOL_EXHAUSTED", "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS")
"""The zone has no such machine left."""
NO_QUOTA = "QUOTA_EXCEEDED"
TAKEN = "RESOURCE_ALREADY_EXISTS"


class Operations:
    """Follows operations to their end."""

    def __init__(
        self, client: GcpClient, *, patience: float, clock: Callable[[], float], sleep: Sleep = asyncio.sleep
    ) -> None:
        self._client = client
        self._patience = patience
        self._clock = clock
        self._sleep = sleep

    async def followed(self, zone: str, answer: dict[str, Any]) -> OperationRow:
        """The operation of an accepted call, when it is done or our patience is. Raises as `GcpClient.call`.

        `wait` may come back too early, and forgets old operations: one that is forgotten was done.
        """
        row = read_operation(answer)
        until = self._clock() + self._patience
        while not row.done and self._clock() < until:
            try:
                row = read_operation(await self._client.call(WAIT, zone=zone, name=row.name))
            except NotFound:
                return row.model_copy(update={"status": "DONE"})
            if not row.done:
                await self._sleep(_POLL)
        return row


def errors_of(row: OperationRow) -> list[OperationError]:
    """Why an operation came to nothing; empty when it did not."""
    return row.error.errors if row.error else []


def words_of(errors: list[OperationError]) -> str:
    """The reasons, for people, with the zones that have room where Google names some."""
    found = [": ".join(part for part in (each.code, each.message) if part) for each in errors]
    hints = [hint for each in errors if (hint := _zones_available(each.error_details))]
    return "; ".join(found + [f"there is room in {hint}" for hint in hints])[:500]


def _zones_available(details: Any) -> str:
    for each in details if isinstance(details, list) else []:
        info = each.get("errorInfo") if isinstance(each, dict) else None
        metadata = info.get("metadatas") if isinstance(info, dict) else None
        if isinstance(metadata, dict) and metadata.get("zonesAvailable"):
            return str(metadata["zonesAvailable"])
    return ""
