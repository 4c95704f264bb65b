"""Lists, page by page. An empty list has no `items`."""

import base64
from collections.abc import Set
from typing import Any

from starlette.requests import Request

from holdfast.simcloud.gcp.envelopes import Row, invalid, no_answer
from holdfast.simcloud.gcp.names import link, path, whole

_MOST = 500


def page(request: Request, kind: str, resource: str, rows: list[Row]) -> Row:
    """A page of a list. Raises WireError (400)."""
    found: Row = {"kind": kind, "id": resource, "selfLink": link(resource)}
    shown, token = _cut(request, rows)
    if shown:
        found["items"] = shown
    return found if token is None else found | {"nextPageToken": token}


def aggregated(
    request: Request, kind: str, name: str, zones: list[str], rows: list[Row], *, silent: Set[str] = frozenset()
) -> Row:
    """A page of what lies in all zones: by zone, which has a warning where nothing is.

    Silent zones have a warning as well, for callers who take a part for a success. Raises WireError (400 or 503).
    """
    if silent and request.query_params.get("returnPartialSuccess") != "true":
        raise no_answer(min(silent))
    known = [row for row in rows if row["zone"].rsplit("/", 1)[-1] not in silent]
    (shown, token), resource = _cut(request, known), path("aggregated", name)
    items: dict[str, Any] = {}
    for zone in zones:
        here = [row for row in shown if row["zone"].endswith(f"/{zone}") or row["zone"] == zone]
        warning = _silent(zone) if zone in silent else _nothing(zone)
        items[f"zones/{zone}"] = {name: here} if here else {"warning": warning}
    found = {"kind": kind, "id": resource, "selfLink": link(resource), "items": items}
    return found if token is None else found | {"nextPageToken": token}


def _cut(request: Request, rows: list[Row]) -> tuple[list[Row], str | None]:
    most = whole(request.query_params.get("maxResults", "500"), "maxResults", least=0, most=_MOST) or _MOST
    start = _start(request.query_params.get("pageToken"))
    left = len(rows) > start + most
    return rows[start : start + most], _token(start + most) if left else None


def _token(start: int) -> str:
    return base64.urlsafe_b64encode(f"from:{start}".encode()).decode().rstrip("=")


def _start(token: str | None) -> int:
    if not token:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode().partition(":")
        start = int(number)
    except ValueError as broken:
        raise invalid("pageToken", f"'{token}'. The page token is not valid") from broken
    if word != "from" or start < 0:
        raise invalid("pageToken", f"'{token}'. The page token is not valid")
    return start


def _silent(zone: str) -> Row:
    return {
        "code": "UNREACHABLE",
        "message": f"The zone '{zone}' is unreachable. The list is incomplete.",
        "data": [{"key": "scope", "value": f"zones/{zone}"}],
    }


def _nothing(zone: str) -> Row:
    return {
        "code": "NO_RESULTS_ON_PAGE",
        "message": f"There are no results for scope 'zones/{zone}' on this page.",
        "data": [{"key": "scope", "value": f"zones/{zone}"}],
    }
