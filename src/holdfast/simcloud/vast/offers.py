"""Searching and renting offers."""

from decimal import Decimal
from typing import Any

from starlette.requests import Request

from holdfast.simcloud.errors import BidTooLow, DiskTooLarge, Gone, NoCredit, OfferGone
from holdfast.simcloud.model import Order, Wish
from holdfast.simcloud.sim import Sim
from holdfast.simcloud.vast.bodies import number, read_body, text_or_none, whole_number
from holdfast.simcloud.vast.callers import Caller
from holdfast.simcloud.vast.envelopes import WireError
from holdfast.simcloud.vast.queries import Row, matching, ordered, version_number
from holdfast.simcloud.vast.rows import offer_row

_PAGE = 64
_SWITCHES = ("order", "type", "limit", "allocated_storage", "disable_bundling", "extra_ids", "select_cols")
_DEFAULT_STORAGE = 5
_MARKETS = {"ondemand": False, "on-demand": False, "reserved": False, "bid": True}
_BIDS = (Decimal("0.001"), Decimal(128))


async def search(sim: Sim, caller: Caller, request: Request) -> Row:
    """At most 64 offers, however many are asked for."""
    caller.require(None)
    return _found(sim, await read_body(request))


async def search_asks(sim: Sim, caller: Caller, request: Request) -> Row:
    """The same search in its newer form: the query is one field of the body."""
    caller.require(None)
    query = (await read_body(request)).get("q", {})
    if not isinstance(query, dict):
        raise WireError(400, "invalid_request", "error 400/3018: q must be an object")
    return _found(sim, query)


async def rent(sim: Sim, caller: Caller, request: Request) -> Row:
    """Accept an order. A bid that does not win is answered with false and creates a stopped instance nevertheless."""
    caller.require(None)
    ask_id = int(request.path_params["ask"])
    order = _order(await read_body(request), ask_id)
    try:
        instance = sim.market.rent(ask_id, order)
    except OfferGone as gone:
        raise _refusal(gone) from gone
    except DiskTooLarge as large:
        raise _invalid(str(large), ask_id) from large
    except NoCredit as broke:
        raise WireError(400, "insufficient_credit", str(broke), ask_id=ask_id) from broke
    except BidTooLow as low:
        message = "bid is below the current minimum"
        raise WireError(200, "invalid_price", message, new_contract=low.instance.id) from low
    sim.conductor.wake()
    return {"success": True, "new_contract": instance.id, "instance_api_key": instance.api_key}


def _found(sim: Sim, query: Row) -> Row:
    kind = query.get("type", "on-demand")
    if not isinstance(kind, str) or kind not in _MARKETS:
        raise WireError(400, "invalid_request", f"error 400/3010: unknown type {kind}")
    storage = number(query.get("allocated_storage", _DEFAULT_STORAGE), "allocated_storage")
    if storage < 0:
        raise WireError(400, "invalid_args", "error 400/3019: allocated_storage is below zero")
    filters = {field: tests for field, tests in query.items() if field not in _SWITCHES}
    rows = _rows(sim, interruptible=_MARKETS[kind], storage=storage)
    found = ordered(matching((_filterable(row) for row in rows), filters), _sorting(query))
    limit = whole_number(query.get("limit") or _PAGE, "limit")
    return {"offers": [_shown(row) for row in found[: max(0, min(limit, _PAGE))]]}


def _rows(sim: Sim, *, interruptible: bool, storage: Decimal) -> list[Row]:
    now = sim.clock.now()
    return [
        offer_row(slot, price, interruptible=interruptible, storage=storage, now=now)
        for slot, price in sim.market.counter.offers(interruptible=interruptible)
    ]


def _sorting(query: Row) -> list[tuple[str, str]]:
    keys = query.get("order", [["score", "desc"]])
    if not isinstance(keys, list) or not all(isinstance(key, list) and len(key) == 2 for key in keys):
        raise WireError(400, "invalid_request", "error 400/3015: order must be a list of [column, direction]")
    return [(str(column), str(direction)) for column, direction in keys]


def _filterable(row: Row) -> Row:
    """Some fields can be filtered by but mean something else in a row, and a filter on ``id`` matches nothing."""
    changed = {
        "id": None,
        "verified": row["verification"] == "verified",
        "datacenter": row["hosting_type"] > 0,
        "geolocation": row["geolocation"].rpartition(",")[2].strip(),
        "driver_version": version_number(row["driver_version"]),
    }
    return row | changed | {"_row": row}


def _shown(row: Row) -> Row:
    shown: Row = row["_row"]
    return shown


def _order(body: Row, ask_id: int) -> Order:
    image = body.get("image")
    if not isinstance(image, str) or not 0 < len(image) <= 1024:
        raise _invalid("image is required", ask_id)
    disk = number(body.get("disk") or 10, "disk")
    if disk < 8:
        raise _invalid("disk must be at least 8", ask_id)
    label = text_or_none(body.get("label"), "label")
    if len(label or "") > 256:
        raise WireError(400, "label_too_long", "label is limited to 256 characters", ask_id=ask_id)
    if (wish := body.get("target_state") or "running") not in list(Wish):
        raise _invalid(f"unknown target_state {wish}", ask_id)
    return Order(
        image=image,
        disk=disk,
        label=label,
        bid=_bid(body.get("price"), ask_id),
        environment=_environment(body.get("env")),
        onstart=text_or_none(body.get("onstart"), "onstart", longest=4096),
        runtype=text_or_none(body.get("runtype"), "runtype") or "ssh",
        wish=Wish(wish),
    )


def _bid(price: Any, ask_id: int) -> Decimal | None:
    if price is None:
        return None
    bid = number(price, "price")
    if not _BIDS[0] <= bid <= _BIDS[1]:
        raise WireError(400, "invalid_price", f"price must be between {_BIDS[0]} and {_BIDS[1]}", ask_id=ask_id)
    return bid


def _environment(env: Any) -> dict[str, str]:
    if not isinstance(env, dict):  # a string of docker flags is accepted and has no effect
        return {}
    return {str(name): str(value) for name, value in env.items()}


def _invalid(what: str, ask_id: int) -> WireError:
    return WireError(400, "invalid_args", f"error 400/3405: {what}", ask_id=ask_id)


def _refusal(gone: OfferGone) -> WireError:
    """The three ways in which the provider says that an offer is gone."""
    if gone.why is Gone.HELD:
        return WireError(
            410, "no_such_ask", f"error 410/3907: no_such_ask Instance {gone.ask_id} is no longer available."
        )
    if gone.why is Gone.WITHDRAWN:
        return WireError(400, "invalid_args", f"error 400/3603: no_such_ask {gone.ask_id}")
    message = f"error 404/3603: no_such_ask Instance type by id {gone.ask_id} is not available."
    return WireError(404, "invalid_args", message)
