"""The account's bill, line by line: one for each instance that was charged for on the days that are asked for."""

import base64
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from holdfast.simcloud.bill import Line
from holdfast.simcloud.sim import Sim
from holdfast.simcloud.vast.bodies import number, read_parameter, whole_number
from holdfast.simcloud.vast.callers import Caller
from holdfast.simcloud.vast.envelopes import WireError
from holdfast.simcloud.vast.queries import Row
from holdfast.simcloud.vast.rows import money

_PAGE, _LARGEST_PAGE = 100, 500


async def charges(sim: Sim, caller: Caller, request: Request) -> Row:
    """One page. Both bounds of the days are required, in seconds since 1970."""
    caller.require(None)
    begin, end = _days(request)
    now = sim.clock.now()
    lines = [line for line in sim.market.bill.lines(now) if _overlaps(line, begin, end, now)]
    start, limit = _window(request)
    page = lines[start : start + limit]
    more = start + limit < len(lines)
    return {
        "success": True,
        "count": len(page),
        "total": len(lines),
        "next_token": base64.urlsafe_b64encode(str(start + limit).encode()).decode() if more else None,
        "results": [_row(line, now) for line in page],
    }


def _row(line: Line, now: datetime) -> Row:
    return {
        "start": line.existed_from.timestamp(),
        "end": (line.existed_until or now).timestamp(),
        "type": "instance",
        "source": f"instance-{line.instance_id}",
        "description": f"Instance {line.instance_id}",
        "amount": money(line.total),
        "metadata": {"label": line.label},
        "items": [
            {"type": "gpu", "amount": money(line.gpu)},
            {"type": "disk", "amount": money(line.storage)},
        ],
    }


def _days(request: Request) -> tuple[datetime, datetime]:
    filters = read_parameter(request, "select_filters", {})
    days: Any = filters.get("day") if isinstance(filters, dict) else None
    if not isinstance(days, dict) or not {"gte", "lte"} <= days.keys():
        raise WireError(400, "invalid_args", "error 400/2501: both bounds of the day are required")
    try:
        begin, end = (datetime.fromtimestamp(float(number(days[bound], bound)), UTC) for bound in ("gte", "lte"))
    except (ValueError, OverflowError) as nonsense:
        raise WireError(400, "invalid_args", "error 400/2502: no such day") from nonsense
    return begin, end


def _overlaps(line: Line, begin: datetime, end: datetime, now: datetime) -> bool:
    return line.existed_from <= end and (line.existed_until or now) >= begin


def _window(request: Request) -> tuple[int, int]:
    limit = whole_number(request.query_params.get("limit", _PAGE), "limit")
    token = request.query_params.get("after_token")
    try:
        start = 0 if token is None else int(base64.urlsafe_b64decode(token))
    except ValueError as broken:
        raise WireError(400, "invalid_token", "after_token is not valid") from broken
    return max(start, 0), min(max(limit, 1), _LARGEST_PAGE)
