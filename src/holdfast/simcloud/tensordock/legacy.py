"""The older API, v0: forms with a key and a token in each, and `success` instead of a status.

It can what v2 cannot: give the GPUs back at a stop, and tell the balance. The market's key is both key and token.
"""

import hmac
from collections.abc import Awaitable, Callable
from decimal import Decimal

from starlette.requests import Request

from holdfast.simcloud.model import Instance
from holdfast.simcloud.sim import Sim
from holdfast.simcloud.tensordock.bodies import form
from holdfast.simcloud.tensordock.envelopes import Row, WireError
from holdfast.simcloud.tensordock.instances import DISASSOCIATED, begin, find, full_row, is_up, money, status_of

Fields = dict[str, str]
Handler = Callable[[Sim, Fields], Awaitable[Row]]


def refusal(words: str) -> Row:
    """No, with status 200."""
    return {"success": False, "error": words}


async def call(handler: Handler, sim: Sim, request: Request) -> Row:
    """A call of v0: its credentials stand in the form, and every answer has status 200."""
    fields = await form(request)
    if not all(_is_ours(sim, fields.get(name, "")) for name in ("api_key", "api_token")):
        return refusal("Invalid API key or token")
    try:
        return {"success": True} | await handler(sim, fields)
    except WireError as refused:
        return refusal(refused.words)


async def auth_test(_sim: Sim, _fields: Fields) -> Row:
    """Whether the credentials are good."""
    return {}


async def balance(sim: Sim, _fields: Fields) -> Row:
    """What is left, and what an hour costs at present."""
    hourly = sum((one.storage_rate + one.gpu_rate * one.granted for one in sim.store.instances()), Decimal(0))
    return {"balance": float(round(sim.market.credit(), 4)), "hourly_cost": money(hourly)}


async def every(sim: Sim, _fields: Fields) -> Row:
    """All machines, by their ids."""
    now = sim.clock.now()
    seen = [one for one in sim.store.instances() if one.visible_at <= now]
    return {"virtualmachines": {one.alias: _row(sim, one) for one in seen}}


async def show(sim: Sim, fields: Fields) -> Row:
    """One machine."""
    return {"virtualmachine": _row(sim, _server(sim, fields))}


async def start(sim: Sim, fields: Fields) -> Row:
    """Start one."""
    await begin(sim, _server(sim, fields))
    return {}


async def stop(sim: Sim, fields: Fields) -> Row:
    """Shut one down; with `disassociate_resources` its GPUs go back, and only its disk is paid for."""
    instance = _server(sim, fields)
    if not instance.granted:
        raise WireError(400, "The virtual machine is stoppeddisassociated and cannot be stopped")
    if fields.get("disassociate_resources", "").lower() == "true":
        sim.market.halt(instance.id)
    elif is_up(instance):
        sim.market.rest(instance.id)
    await sim.conductor.follow()
    return {}


async def delete(sim: Sim, fields: Fields) -> Row:
    """End one."""
    sim.market.destroy(_server(sim, fields).id)
    await sim.conductor.follow()
    return {}


def _is_ours(sim: Sim, given: str) -> bool:
    return hmac.compare_digest(given.encode(), sim.tenant_key.encode())


def _server(sim: Sim, fields: Fields) -> Instance:
    return find(sim, fields.get("server") or fields.get("server_id") or "")


def _row(sim: Sim, instance: Instance) -> Row:
    row = full_row(sim, instance)
    slot = sim.market.slot(instance.slot_id)
    status = status_of(instance, slot, sim.clock.now())
    return {
        "name": instance.label,
        "status": status if status == DISASSOCIATED else status.capitalize(),
        "ip": row["ipAddress"],
        "port_forwards": {str(each["external_port"]): str(each["internal_port"]) for each in row["portForwards"]},
        "operating_system": instance.order.image,
        "specs": row["resources"],
        "cost": row["rateHourly"],
        "timestamp_creation": int(instance.created_at.timestamp()),
        "type": "ondemand",
    }
