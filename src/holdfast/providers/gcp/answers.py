"""What an answer of Google's API means. A page is never the API's word, whatever its status."""

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

_HASTE = ("rateLimitExceeded", "userRateLimitExceeded")
_QUOTA = ("quotaExceeded",)
_UNPAID = ("accessNotConfigured", "billingNotEnabled", "SERVICE_DISABLED", "BILLING_DISABLED")
_LONGEST_QUOTE = 300
_NO_PROJECT = re.compile(r"resource 'projects/[^/']+' was not found")


class Refused(RequestRejected):
    """Google said no, with a reason that the driver can tell apart."""

    def __init__(self, message: str, *, status: int, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class NotFound(Refused):
    """Google does not know what the path names."""


class NameTaken(Refused):
    """Something of that name exists."""


class NoQuota(Refused):
    """The project may not have so much of it there."""


def is_too_frequent(reply: httpx.Response) -> bool:
    """Whether Google did nothing but ask us to slow down."""
    error = _error(_json(reply))
    return reply.status_code == httpx.codes.TOO_MANY_REQUESTS or bool(set(_reasons(error)) & set(_HASTE))


def is_unauthorized(reply: httpx.Response) -> bool:
    """Whether the token was refused: it may have expired."""
    return reply.status_code == httpx.codes.UNAUTHORIZED


def body_of(reply: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer that is one.

    Raises:
        CredentialsRefused, OutOfCredit, ProviderUnavailable: as the answer says.
        Refused, NotFound, NameTaken, NoQuota: it says no for another reason.
    """
    body = _json(reply)
    error = _error(body)
    if error is not None:
        raise _failure(error, reply)
    if not reply.is_success or not isinstance(body, dict):
        raise _of_status(reply)
    return body


def _failure(error: dict[str, Any], reply: httpx.Response) -> ProviderError:
    told = error.get("code")
    status = told if isinstance(told, int) and not isinstance(told, bool) else reply.status_code
    reasons = _reasons(error)
    words = f"HTTP {status}, {', '.join(reasons) or 'no reason'}: {str(error.get('message', ''))[:_LONGEST_QUOTE]}"
    reason = reasons[0] if reasons else ""
    if status >= 500 or status == httpx.codes.REQUEST_TIMEOUT or set(reasons) & set(_HASTE):
        return ProviderUnavailable(f"Google failed: {words}")
    if set(reasons) & set(_UNPAID):
        return OutOfCredit(f"the project cannot be used: is the API enabled, and billing? {words}")
    if set(reasons) & set(_QUOTA):
        return NoQuota(words, status=status, reason=reason)
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return CredentialsRefused(f"Google does not let the service account do this: {words}")
    if status == httpx.codes.NOT_FOUND and _NO_PROJECT.search(words):
        return CredentialsRefused(f"Google knows no such project, or none that this key may use: {words}")
    if status == httpx.codes.BAD_REQUEST and reason == "resourceNotReady":
        return ProviderUnavailable(f"Google is busy with it: {words}")
    kind = {404: NotFound, 409: NameTaken}.get(status, Refused)
    return kind(words, status=status, reason=reason)


def _of_status(reply: httpx.Response) -> ProviderError:
    """Without an error in Google's form: a page of whatever stands before the API, or not what was promised."""
    if reply.status_code == httpx.codes.UNAUTHORIZED:
        return CredentialsRefused("Google refused the access token")
    return ProviderUnavailable(f"Google sent no usable answer: HTTP {reply.status_code}")


def _error(body: Any) -> dict[str, Any] | None:
    """The error that an answer tells. An operation has one too, in another form: see `operations`."""
    found = body.get("error") if isinstance(body, dict) else None
    return found if isinstance(found, dict) and ("code" in found or "message" in found) else None


def _reasons(error: dict[str, Any] | None) -> list[str]:
    if error is None:
        return []
    rows = [error.get(name) for name in ("errors", "details")]
    every = [each for row in rows if isinstance(row, list) for each in row if isinstance(each, dict)]
    return [str(each["reason"]) for each in every if each.get("reason")]


def _json(reply: httpx.Response) -> Any:
    try:
        return reply.json()
    except ValueError:
        return None
