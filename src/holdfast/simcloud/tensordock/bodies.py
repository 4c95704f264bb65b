"""Reading what callers send."""

import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from holdfast.simcloud.tensordock.envelopes import WireError


async def attributes(request: Request, kind: str) -> dict[str, Any]:
    """The attributes of the one thing in the body. Raises WireError (400)."""
    try:
        body = json.loads(await request.body())
        json.dumps(body, ensure_ascii=False).encode()  # half a surrogate pair is JSON, but no text that can be kept
    except (ValueError, RecursionError) as broken:
        raise WireError(400, "Request body is not valid JSON") from broken
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, dict) or data.get("type") != kind or not isinstance(data.get("attributes"), dict):
        raise WireError(400, f"data.type must be {kind} and data.attributes an object")
    found: dict[str, Any] = data["attributes"]
    return found


async def form(request: Request) -> dict[str, str]:
    """The fields of a form, whatever its declared type. Raises WireError (400)."""
    try:
        return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
    except ValueError as broken:
        raise WireError(400, "Request body is not a form") from broken


def text(value: Any, what: str, *, longest: int = 256) -> str:
    """A value that must be text and not empty. Raises WireError (400)."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise WireError(400, f"{what} is required and is limited to {longest} characters")
    return value


def whole(value: Any, what: str, *, least: int = 1, most: int = 100_000) -> int:
    """A value that must be a whole number within bounds. Raises WireError (400)."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise WireError(400, f"{what} must be a whole number of at least {least}")
    return value
