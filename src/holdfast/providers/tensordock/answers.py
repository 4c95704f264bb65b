"""What an answer of TensorDock's API means.

An error may come with status 200 and its own status in the body, so the body is read before the status. A page is
never the API's word, whatever its status: it comes from something in front of it.
"""

import re
from typing import Any

import httpx

from holdfast.providers.errors import (
    CredentialsRefused,
    OutOfCredit,
    ProviderError,
    ProviderUnavailable,
    RequestRejected,
)

_NO_MONEY = re.compile(r"\bbalance\b|insufficient (funds|credit)|need at least \$|add (funds|credit)", re.IGNORECASE)
_NO_ENTRY = re.compile(r"(invalid|wrong|incorrect|missing|expired).*\b(key|token|credential)|unauthori[sz]ed", re.I)
_NO_SUCH_CALL = re.compile(r"\b(route|endpoint|url|path)\b", re.IGNORECASE)
_LONGEST_QUOTE = 200


class Refused(RequestRejected):
    """TensorDock said no, in words that the driver can tell apart."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class NotFound(Refused):
    """TensorDock does not know what the path names."""


def is_too_frequent(reply: httpx.Response) -> bool:
    """Whether TensorDock did nothing but ask us to slow down."""
    return _status(reply, _json(reply)) == httpx.codes.TOO_MANY_REQUESTS


def body_of(reply: httpx.Response) -> Any:
    """The JSON of an answer of v2 that is one; None for an answer without content.

    Raises:
        CredentialsRefused, OutOfCredit, ProviderUnavailable: as the answer says.
        Refused, NotFound: it says no for another reason.
    """
    body = _json(reply)
    status, words = _status(reply, body), _words(reply, body)
    if failure := _failure(reply, body, status, words):
        raise failure
    return body


def legacy_body_of(reply: httpx.Response) -> Any:
    """The JSON of an answer of v0 that says that it succeeded.

    Raises:
        CredentialsRefused, OutOfCredit, ProviderUnavailable: as the answer says.
        Refused: it says no for another reason, or v0 is not served any more.
    """
    body = _json(reply)
    words = _words(reply, body)
    if reply.status_code in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
        raise Refused(f"TensorDock does not serve this call of its older API: {words}", status=reply.status_code)
    told = body.get("success") if isinstance(body, dict) else None
    if told is False and _NO_ENTRY.search(words):
        raise CredentialsRefused(f"TensorDock refused the credentials of its older API: {words}")
    if told is False and _NO_MONEY.search(words):
        raise OutOfCredit(f"the TensorDock account cannot pay: {words}")
    if told is False and reply.status_code < 500:
        raise Refused(words, status=reply.status_code)
    if told is not True or not reply.is_success:
        raise _failure(reply, body, _status(reply, body), words) or ProviderUnavailable(
            f"TensorDock sent no usable answer: {words}"
        )
    return body


def _failure(reply: httpx.Response, body: Any, status: int, words: str) -> ProviderError | None:
    if status == httpx.codes.UNAUTHORIZED or (status == httpx.codes.FORBIDDEN and not _is_page(reply)):
        return CredentialsRefused(f"TensorDock refused the API key: {words}")
    if _is_page(reply) or status >= 500 or status == httpx.codes.REQUEST_TIMEOUT:
        return ProviderUnavailable(f"TensorDock failed: {words}")
    if status == httpx.codes.PAYMENT_REQUIRED or (status >= 400 and _NO_MONEY.search(words)):
        return OutOfCredit(f"the TensorDock account cannot pay: {words}")
    if status == httpx.codes.NOT_FOUND:
        if isinstance(body, dict) and not _NO_SUCH_CALL.search(_said(body)):
            return NotFound(words, status=status)
        return ProviderUnavailable(f"TensorDock does not have the call that was made: {words}")
    if status >= 400:
        return Refused(words, status=status)
    if status >= 300 or (body is None and status != httpx.codes.NO_CONTENT):
        return ProviderUnavailable(f"TensorDock sent no usable answer: {words}")
    return None


def _status(reply: httpx.Response, body: Any) -> int:
    """The status that counts: that of the body where it tells an error with a success's status."""
    if not reply.is_success or not isinstance(body, dict):
        return reply.status_code
    told = body.get("status")
    if isinstance(told, int) and not isinstance(told, bool) and told >= 400:
        return told
    return httpx.codes.BAD_REQUEST if body.get("error") or body.get("errors") else reply.status_code


def _said(body: Any) -> str:
    """The words of an error, wherever they are."""
    if isinstance(body, str):
        return body.strip()
    if isinstance(body, list):
        return next(filter(None, map(_said, body)), "")
    if not isinstance(body, dict):
        return ""
    names = ("error", "errors", "message", "detail", "title")
    return next(filter(None, (_said(body.get(name)) for name in names)), "")


def _json(reply: httpx.Response) -> Any:
    try:
        return reply.json()
    except ValueError:
        return None


def _is_page(reply: httpx.Response) -> bool:
    return reply.text.lstrip().startswith("<")


def _words(reply: httpx.Response, body: Any) -> str:
    said = _said(body)
    if body is None and not _is_page(reply):
        said = reply.text.strip()
    return ", ".join(part for part in (f"HTTP {reply.status_code}", said[:_LONGEST_QUOTE]) if part)
