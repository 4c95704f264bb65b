"""Reading host nodes: one, or all with their places."""

from dataclasses import dataclass

from holdfast.providers.errors import ProviderUnavailable
from holdfast.providers.tensordock.answers import NotFound
from holdfast.providers.tensordock.client import TensorDockClient
from holdfast.providers.tensordock.endpoints import HOSTNODE, HOSTNODES, LOCATIONS
from holdfast.providers.tensordock.wire import HostnodeRow, Location, LocationRow, many_of, one_of, read


@dataclass(frozen=True, kw_only=True)
class Node:
    """A host node, and where it is as far as anybody tells."""

    row: HostnodeRow
    place: Location


async def every(client: TensorDockClient) -> list[Node]:
    """All nodes that can be read. Places are asked for only where the nodes do not tell theirs.

    Raises:
        ProviderUnavailable: no list, or one of which nothing can be read.
    """
    things = many_of(await client.call(HOSTNODES), "hostnodes")
    rows = [row for row in (read(HostnodeRow, thing) for thing in things) if row is not None]
    if things and not rows:
        raise ProviderUnavailable(f"none of {len(things)} host nodes of TensorDock could be read")
    places = await _places(client) if any(row.location is None and row.location_id for row in rows) else {}
    nowhere = Location()
    return [Node(row=row, place=row.location or places.get(row.location_id or "", nowhere)) for row in rows]


async def one(client: TensorDockClient, number: str) -> HostnodeRow | None:
    """A node as it is now; None when TensorDock does not know it (any more)."""
    try:
        body = await client.call(HOSTNODE, about=number)
    except NotFound:
        return None
    row = read(HostnodeRow, one_of(body))
    if row is None:
        raise ProviderUnavailable(f"TensorDock described host node {number} in a way that we cannot read")
    return row


async def _places(client: TensorDockClient) -> dict[str, Location]:
    things = many_of(await client.call(LOCATIONS), "locations")
    return {row.id: row for row in (read(LocationRow, thing) for thing in things) if row is not None}
