"""Listing, showing and changing the account's instances.

A body may come slowly, and the instance be changed or destroyed meanwhile: it is read before the instance is looked at.
"""

import base64
from datetime import datetime
from decimal import Decimal
from typing import Any

from starlette.requests import Request

from holdfast.simcloud.errors import GpuTaken, NoSuchInstance
from holdfast.simcloud.model import Instance, Wish
from holdfast.simcloud.sim import Sim
from holdfast.simcloud.vast.bodies import number, read_body, read_parameter, whole_number
from holdfast.simcloud.vast.callers import Caller
from holdfast.simcloud.vast.envelopes import WireError, no_such_instance
from holdfast.simcloud.vast.queries import Row, matching, ordered
from holdfast.simcloud.vast.rows import instance_row

_PAGE = 25
_PAGE_OF_NONSENSE = 5
_COMPUTED = ("dph_total", "num_gpus", "duration", "uptime_mins", "ports")
_BIDS = (Decimal("0.001"), Decimal(32))


async def list_instances(sim: Sim, caller: Caller, request: Request) -> Row:
    """One page of the visible instances. A new one may not be visible yet."""
    caller.require(None)
    now = sim.clock.now()
    rows = [_row(sim, instance, now) for instance in sim.store.instances() if instance.visible_at <= now]
    filters = read_parameter(request, "select_filters", {})
    if computed := [field for field in _COMPUTED if isinstance(filters, dict) and field in filters]:
        raise WireError(400, "invalid_request", f"cannot filter by computed column {computed[0]}")
    found = ordered(matching(rows, filters), _order(request))
    start, limit = _window(request)
    page, rest = found[start : start + limit], found[start + limit :]
    return {
        "success": True,
        "instances_found": len(found),
        "total_instances": len(rows),
        "label_counts": _label_counts(rows),
        "next_token": _token(start + limit) if rest else None,
        "instances": page,
    }


async def deprecated_list(_sim: Sim, caller: Caller, _request: Request) -> Row:
    """The old listing is retired."""
    caller.require(None)
    raise WireError(410, "deprecated_endpoint", "This endpoint is deprecated. Use /api/v1/instances/.")


async def show(sim: Sim, caller: Caller, request: Request) -> Row:
    """One instance, or null when it does not exist."""
    number = int(request.path_params["instance"])
    caller.require(number)
    found = sim.store.instance(number)
    return {"instances": None if found is None else _row(sim, found, sim.clock.now())}


async def change(sim: Sim, caller: Caller, request: Request) -> Row:
    """Start, stop or label."""
    body = await read_body(request)
    instance = _instance(sim, caller, request)
    if "label" in body:
        _label(sim, instance, body["label"])
    if "state" in body:
        await _state(sim, instance, body["state"])
    if not body.keys() & {"label", "state"}:
        raise WireError(400, "invalid_args", "error 400/2100: nothing to change")
    return {"success": True}


async def destroy(sim: Sim, caller: Caller, request: Request) -> Row:
    """End an instance; when this answers, nothing of it is left."""
    instance = _instance(sim, caller, request)
    sim.market.destroy(instance.id)
    await sim.conductor.follow()
    return {"success": True, "msg": f"Instance {instance.id} destroyed."}


async def change_bid(sim: Sim, caller: Caller, request: Request) -> Row:
    """Raise or lower a bid."""
    caller.require(None)
    price = (await read_body(request)).get("price")
    instance = _instance(sim, caller, request)
    if not instance.interruptible:
        raise WireError(400, "invalid_args", "error 400/2201: not an interruptible instance")
    bid = None if price is None else number(price, "price")
    gpus = sim.market.slot(instance.slot_id).hardware.gpus
    if bid is not None and not _BIDS[0] <= bid <= _BIDS[1] * gpus:
        raise WireError(400, "invalid_args", "error 400/2202: price out of range")
    sim.market.change_bid(instance.id, bid)
    await sim.conductor.follow()
    return {"success": True}


async def reboot(sim: Sim, caller: Caller, request: Request) -> Row:
    """Stop and start the container; it keeps its GPUs."""
    instance = _running(sim, caller, request)
    sim.market.reboot(instance.id)
    await sim.conductor.follow()
    return {"success": True}


async def recycle(sim: Sim, caller: Caller, request: Request) -> Row:
    """Make the container anew; it keeps its GPUs and loses what was on its disk."""
    caller.require(None)
    instance = _running(sim, caller, request)
    sim.market.reboot(instance.id, wipe=True)
    await sim.conductor.follow()
    return {"success": True}


def _running(sim: Sim, caller: Caller, request: Request) -> Instance:
    instance = _instance(sim, caller, request)
    if not instance.granted:
        raise WireError(400, "invalid_args", "error 400/2301: instance is not running")
    return instance


def _instance(sim: Sim, caller: Caller, request: Request) -> Instance:
    number = int(request.path_params["instance"])
    caller.require(number)
    try:
        return sim.market.instance(number)
    except NoSuchInstance as missing:
        raise no_such_instance(number) from missing


def _label(sim: Sim, instance: Instance, label: Any) -> None:
    if not isinstance(label, str) or len(label) > 1024:
        raise WireError(400, "label_too_long", "label is limited to 1024 characters")
    instance.label = label
    sim.market.change(instance)


async def _state(sim: Sim, instance: Instance, state: Any) -> None:
    if state not in ("running", "stopped"):
        raise WireError(400, "invalid_args", f"error 400/2101: unknown state {state}")
    try:
        if Wish(state) is Wish.RUNNING:
            sim.market.start(instance.id)
        else:
            sim.market.halt(instance.id)
    except GpuTaken as taken:
        message = "Required resources are currently unavailable, state change queued."
        raise WireError(200, "resources_unavailable", message) from taken
    finally:
        await sim.conductor.follow()


def _row(sim: Sim, instance: Instance, now: datetime) -> Row:
    slot = sim.market.slot(instance.slot_id)
    return instance_row(instance, slot, outbid_fields=sim.profile.outbid_fields, now=now)


def _order(request: Request) -> list[tuple[str, str]]:
    keys = read_parameter(request, "order_by", [{"col": "id", "dir": "asc"}])
    if not isinstance(keys, list) or not all(isinstance(key, dict) and "col" in key for key in keys):
        raise WireError(400, "invalid_request", "order_by must be a list of objects with col and dir")
    return [(str(key["col"]), str(key.get("dir", "asc"))) for key in keys]


def _window(request: Request) -> tuple[int, int]:
    limit = whole_number(request.query_params.get("limit", _PAGE), "limit")
    token = request.query_params.get("after_token")
    try:
        start = 0 if token is None else int(base64.urlsafe_b64decode(token))
    except ValueError as broken:
        raise WireError(400, "invalid_token", "after_token is not valid") from broken
    if start < 0:
        raise WireError(400, "invalid_token", "after_token is not valid")
    return start, _PAGE_OF_NONSENSE if limit <= 0 else min(limit, _PAGE)


def _token(start: int) -> str:
    return base64.urlsafe_b64encode(str(start).encode()).decode()


def _label_counts(rows: list[Row]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        if row["label"] is not None:
            counts[row["label"]] = counts.get(row["label"], 0) + 1
    return counts
