"""Reading what callers send."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.requests import Request

from holdfast.simcloud.vast.envelopes import WireError

LARGEST = 2**63 - 1  # that a database's whole number holds


async def read_body(request: Request) -> dict[str, Any]:
    """The JSON object of a request; an empty body is an empty object. Raises WireError (400)."""
    raw = await request.body()
    try:
        body = json.loads(raw) if raw else {}
        json.dumps(body, ensure_ascii=False).encode()  # half a surrogate pair is JSON, but no text that can be kept
    except (ValueError, RecursionError) as broken:
        raise WireError(400, "invalid_request", "error 400/1001: body is not JSON") from broken
    if not isinstance(body, dict):
        raise WireError(400, "invalid_request", "error 400/1002: body is not an object")
    return body


def read_parameter(request: Request, name: str, default: Any) -> Any:
    """A query parameter that holds JSON text."""
    text = request.query_params.get(name)
    try:
        return default if text is None else json.loads(text)
    except (ValueError, RecursionError) as broken:
        raise WireError(400, "invalid_request", f"error 400/1003: {name} is not JSON") from broken


def number(value: Any, what: str) -> Decimal:
    """A value that must be a finite number, and not beyond reason. Raises WireError (400)."""
    try:
        found = Decimal(str(value))
    except InvalidOperation as broken:
        raise WireError(400, "invalid_args", f"error 400/1004: {what} is not a number") from broken
    if not found.is_finite() or not -LARGEST <= found <= LARGEST:
        raise WireError(400, "invalid_args", f"error 400/1006: {what} is out of range")
    return found


def text_or_none(value: Any, what: str, *, longest: int | None = None) -> str | None:
    """A value that must be text or missing. Raises WireError (400)."""
    if value is not None and not isinstance(value, str):
        raise WireError(400, "invalid_args", f"error 400/1007: {what} must be text")
    if longest is not None and len(value or "") > longest:
        raise WireError(400, "invalid_args", f"error 400/1009: {what} is limited to {longest} characters")
    return value


def whole_number(value: Any, what: str) -> int:
    """A value that must be a whole number. Raises WireError (400)."""
    found = number(value, what)
    if found != found.to_integral_value():
        raise WireError(400, "invalid_args", f"error 400/1005: {what} is not a whole number")
    return int(found)
