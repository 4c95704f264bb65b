"""The shapes in which TensorDock answers: never quite the same, and an error may come with status 200.

Clients have met each of these shapes. The market takes them in turn, so that whoever relies on one is found out.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from starlette.responses import HTMLResponse, JSONResponse, Response

Row = dict[str, Any]
Shape = TypeVar("Shape")
_GATEWAY = "<html><head><title>{0}</title></head><body><h1>Error {0}</h1><p>dashboard</p></body></html>"
_IDENTITY = ("type", "id")


class WireError(Exception):
    """A refusal. With `as_ok` it is told with status 200, and the status stands in the body."""

    def __init__(self, status: int, words: str, *, as_ok: bool = False) -> None:
        super().__init__(words)
        self.status = status
        self.words = words
        self.as_ok = as_ok

    def response(self) -> Response:
        """The refusal as it goes over the wire."""
        if self.as_ok:
            return JSONResponse({"error": self.words, "status": self.status})
        # Both words for it have been seen.
        name = "message" if self.status == 404 else "error"
        return JSONResponse({name: self.words}, status_code=self.status)


def unavailable() -> WireError:
    """The node cannot take the machine. Nothing was made."""
    return WireError(400, "Hostnode unavailable", as_ok=True)


class Turns:
    """Which shape is next, call by call."""

    def __init__(self) -> None:
        self._told: Counter[str] = Counter()

    def one(self, call: str, row: Row) -> Row:
        """One thing: flat, under `data`, or with its `attributes` apart."""
        return self.pick(call, (_flat, _under_data, _with_attributes))(row)

    def many(self, call: str, name: str, rows: list[Row]) -> Row:
        """A list: named under `data`, bare under `data`, or among the attributes of a list."""
        shapes: tuple[Callable[[], Row], ...] = (
            lambda: {"data": {name: rows}},
            lambda: {"data": rows},
            lambda: {"data": {"type": "list", "id": name, "attributes": {name: list(map(_apart, rows))}}},
        )
        return self.pick(call, shapes)()

    def word(self, status: str) -> str:
        """A status, in one of the spellings that clients have met."""
        spellings = (status.lower(), status, status.upper())
        return self.pick(f"word/{status}", spellings)

    def pick(self, call: str, shapes: Sequence[Shape]) -> Shape:
        """The next of several shapes."""
        self._told[call] += 1
        return shapes[(self._told[call] - 1) % len(shapes)]


def gateway_error(status: int) -> Response:
    """What stands in front of the API answers: a page, not JSON."""
    return HTMLResponse(_GATEWAY.format(status), status_code=status)


def other_shape() -> Response:
    """JSON that answers no question of ours."""
    return JSONResponse({"answer": [42]})


def failed_as_ok() -> Response:
    """A failure with the status of a success."""
    return JSONResponse({"error": "Something went wrong, please try again", "status": 500})


def too_frequent() -> Response:
    """More than a hundred calls in a minute."""
    return JSONResponse({"error": "Too many requests"}, status_code=429)


def _flat(row: Row) -> Row:
    return row


def _under_data(row: Row) -> Row:
    return {"data": row}


def _with_attributes(row: Row) -> Row:
    return {"data": _apart(row)}


def _apart(row: Row) -> Row:
    identity = {name: row[name] for name in _IDENTITY if name in row}
    return identity | {"attributes": {name: value for name, value in row.items() if name not in _IDENTITY}}
