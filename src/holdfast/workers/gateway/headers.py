"""Headers on their way through: what belongs to one connection only stays behind, and so do our own tokens."""

import re
from collections.abc import Iterable
from uuid import uuid4

Headers = list[tuple[bytes, bytes]]

_OF_ONE_CONNECTION = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization"),
        *(b"te", b"trailer", b"transfer-encoding", b"upgrade"),
    )
)  # RFC 9110, section 7.6.1, and the older names
_OURS = frozenset(
    (
        b"host",
        b"content-length",
        b"expect",
        b"x-request-id",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-forwarded-prefix",
    )
)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


def first(headers: Headers, wanted: bytes) -> bytes | None:
    """The first header of this name, which is in small letters."""
    return next((value for name, value in headers if name == wanted), None)


def bearer(headers: Headers) -> str | None:
    """The token of `Authorization: Bearer …`."""
    kind, _, token = (first(headers, b"authorization") or b"").partition(b" ")
    return token.strip().decode("latin-1") if kind.lower() == b"bearer" and token.strip() else None


def request_id(headers: Headers) -> str:
    """The caller's own, if it is fit for a log; else a new one."""
    given = first(headers, b"x-request-id") or b""
    return given.decode() if _REQUEST_ID.fullmatch(given) else uuid4().hex


def for_replica(
    headers: Headers, *, caller: str, scheme: str, prefix: str, request_id: str, keep_token: bool, length: int | None
) -> Headers:
    """What a replica is sent, but for `Host`. `length` is the body's, None when it will tell at its end."""
    dropped = _dropped(headers) | _OURS
    if not keep_token:
        dropped |= {b"authorization"}
    kept = [(name, value) for name, value in headers if name not in dropped]
    chain = [value for name, value in headers if name == b"x-forwarded-for"]
    came_for = first(headers, b"host") or b""
    kept += [
        (b"x-request-id", request_id.encode()),
        (b"x-forwarded-for", b", ".join([*chain, caller.encode()])),
        (b"x-forwarded-proto", first(headers, b"x-forwarded-proto") or scheme.encode()),
        (b"x-forwarded-host", first(headers, b"x-forwarded-host") or came_for),
    ]
    if prefix:
        kept.append((b"x-forwarded-prefix", prefix.encode()))
    if length is None:
        kept.append((b"transfer-encoding", b"chunked"))
    elif length or first(headers, b"content-length"):
        kept.append((b"content-length", str(length).encode()))
    return kept


def for_caller(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> Headers:
    """What a caller is sent of a replica's headers."""
    lower = [(name.lower(), value) for name, value in headers]
    dropped = _dropped(lower) | {b"x-request-id"}
    if first(lower, b"transfer-encoding") is not None:
        dropped |= {b"content-length"}  # the encoding counts, and a length beside it may be anything
    return [each for each in lower if each[0] not in dropped] + [(b"x-request-id", request_id.encode())]


def _dropped(headers: Headers) -> frozenset[bytes]:
    named = {
        word.strip().lower() for name, value in headers if name == b"connection" for word in value.split(b",") if word
    }
    return _OF_ONE_CONNECTION | (named - {b"content-length"})
