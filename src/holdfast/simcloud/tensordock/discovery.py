"""Looking at what can be deployed: by place, or node by node. Nothing is filtered or ordered here."""

from starlette.requests import Request

from holdfast.simcloud.sim import Sim
from holdfast.simcloud.tensordock.envelopes import Row, WireError
from holdfast.simcloud.tensordock.nodes import location_rows, node_row, nodes


async def locations(sim: Sim, _request: Request) -> Row:
    """Every place where something is free."""
    return {"data": {"locations": [row for row in location_rows(nodes(sim)) if row["gpus"]]}}


async def hostnodes(sim: Sim, _request: Request) -> Row:
    """Every node, with what is free on it."""
    return {"data": {"hostnodes": [node_row(node) for node in nodes(sim) if node.models()]}}


async def hostnode(sim: Sim, request: Request) -> Row:
    """One node."""
    number = request.path_params["node"]
    found = next((node for node in nodes(sim) if node.id == number and node.models()), None)
    if found is None:
        raise WireError(404, "Hostnode not found")
    return {"data": node_row(found)}
