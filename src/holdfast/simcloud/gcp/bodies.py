"""Reading what callers send."""

import json
from typing import Any

from starlette.requests import Request

from holdfast.simcloud.gcp.envelopes import Row, WireError, invalid


async def body(request: Request) -> Row:
    """The JSON object that was sent; empty where nothing was. Raises WireError (400)."""
    raw = await request.body()
    try:
        found = json.loads(raw) if raw.strip() else {}
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is JSON, but no text that can be kept
    except (ValueError, RecursionError) as broken:
        raise WireError(400, "parseError", "Invalid JSON payload received.") from broken
    if not isinstance(found, dict):
        raise WireError(400, "parseError", "Invalid JSON payload received. Expected an object.")
    return found


def child(value: Any, field: str) -> Row:
    """An object inside the body; empty where there is none. Raises WireError (400)."""
    if value is not None and not isinstance(value, dict):
        raise invalid(field, "must be an object")
    return value or {}


def children(value: Any, field: str) -> list[Row]:
    """A list of objects inside the body; empty where there is none. Raises WireError (400)."""
    if value is not None and (not isinstance(value, list) or not all(isinstance(one, dict) for one in value)):
        raise invalid(field, "must be a list of objects")
    return value or []


def flag(value: Any, field: str, *, default: bool = False) -> bool:
    """A yes or no. Raises WireError (400)."""
    if value is None:
        return default
    if not isinstance(value, bool):
        raise invalid(field, f"'{value}'. Must be true or false")
    return value
