"""The `filter` of a list: what clients of Compute Engine really write, and a refusal for everything else.

`labels.a=b AND status=RUNNING`, `(name = "x") (zone:"y")`, `status != TERMINATED`, `labels.a:*`, and the older form
`name eq <regular expression>`, which is for the whole value.
"""

import re
from typing import Any

from starlette.requests import Request

from holdfast.simcloud.gcp.envelopes import Row, WireError

_LEXER = re.compile(
    r"""\s*(?:(?P<open>\()|(?P<close>\))|(?P<operator>!=|<=|>=|=|<|>|:)|(?P<quoted>"(?:[^"\\]|\\.)*"|'[^']*')"""
    r"""|(?P<word>[^\s()=!<>:"]+))"""
)
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_OLDER = re.compile(r"\s*\(?\s*(?P<field>[A-Za-z_][\w.-]*)\s+(?P<operator>eq|ne)\s+(?P<pattern>[^()]+?|.+?)\s*\)?\s*")
_LONGEST = 2048


def matching(request: Request, rows: list[Row]) -> list[Row]:
    """The rows that a request's filter lets through. Raises WireError (400)."""
    text = request.query_params.get("filter", "").strip()
    if not text:
        return rows
    if len(text) > _LONGEST:
        raise _refused(text)
    if older := _OLDER.fullmatch(text):
        return [row for row in rows if _matches_pattern(row, older)]
    wanted = _Reader(text).whole()
    return [row for row in rows if _holds(wanted, row)]


Term = tuple[str, Any, Any]


class _Reader:
    """Reads terms joined by AND or OR; side by side means AND. A NOT or a minus turns a term round."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))

    def whole(self) -> Term:
        """The whole filter."""
        found = self._either()
        if self._tokens:
            raise _refused(self._text)
        return found

    def _either(self) -> Term:
        found = self._both()
        while self._next_is("word", "OR"):
            self._tokens.pop(0)
            found = ("or", found, self._both())
        return found

    def _both(self) -> Term:
        found = self._one()
        while self._tokens and self._tokens[0][0] != "close" and not self._next_is("word", "OR"):
            if self._next_is("word", "AND"):
                self._tokens.pop(0)
            found = ("and", found, self._one())
        return found

    def _one(self) -> Term:
        if self._next_is("word", "NOT"):
            self._tokens.pop(0)
            return ("not", self._one(), None)
        if self._tokens and self._tokens[0][0] == "open":
            self._tokens.pop(0)
            found = self._either()
            self._take("close")
            return found
        field, operator = self._take("word"), self._take("operator")
        if not _PATH.fullmatch(field):
            raise _refused(self._text)
        return (operator, field, self._value())

    def _value(self) -> str:
        if self._tokens and self._tokens[0][0] == "quoted":
            return re.sub(r"\\(.)", r"\1", self._tokens.pop(0)[1][1:-1])
        return self._take("word")

    def _take(self, kind: str) -> str:
        if not self._tokens or self._tokens[0][0] != kind:
            raise _refused(self._text)
        return self._tokens.pop(0)[1]

    def _next_is(self, kind: str, text: str) -> bool:
        return bool(self._tokens) and self._tokens[0] == (kind, text)


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(text.rstrip()):
        match = _LEXER.match(text, at)
        if match is None or match.lastgroup is None:
            raise _refused(text)
        found.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return found


def _holds(term: Term, row: Row) -> bool:
    operator, one, other = term
    if operator == "and":
        return _holds(one, row) and _holds(other, row)
    if operator == "or":
        return _holds(one, row) or _holds(other, row)
    if operator == "not":
        return not _holds(one, row)
    return _compares(operator, _field(row, one), str(other))


def _compares(operator: str, found: Any, wanted: str) -> bool:
    if operator == ":":
        return found is not None and (wanted == "*" or wanted.rstrip("*").lower() in _told(found).lower())
    if operator in ("=", "!="):
        return _equals(found, wanted) == (operator == "=")
    if found is None:
        return False
    left, right = _ordered(found, wanted)
    return bool({"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[operator])


def _ordered(found: Any, wanted: str) -> tuple[Any, Any]:
    try:
        return float(found), float(wanted)
    except (TypeError, ValueError):
        return _told(found), wanted


def _equals(found: Any, wanted: str) -> bool:
    told = _told(found)
    if wanted.endswith("*"):
        return found is not None and told.startswith(wanted[:-1])
    # A reference is an address; it is equal to its last part as well.
    return told == wanted or (told.startswith("https://") and told.endswith(f"/{wanted}"))


def _matches_pattern(row: Row, older: "re.Match[str]") -> bool:
    pattern = older["pattern"].strip().strip("\"'")
    try:
        equal = re.fullmatch(pattern, _told(_field(row, older["field"]))) is not None
    except re.error as broken:
        raise _refused(older.string) from broken
    return equal == (older["operator"] == "eq")


def _field(row: Row, name: str) -> Any:
    found: Any = row
    for part in name.split("."):
        if isinstance(found, list):
            found = found[0] if found else None
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _refused(text: str) -> WireError:
    return WireError(400, "invalid", f"Invalid value for field 'filter': '{text}'. Invalid list filter expression.")
