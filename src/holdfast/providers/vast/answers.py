"""What an answer of Vast.ai's API means. Its status alone says little: see `body_of`."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx

from holdfast.providers.errors import (
    CredentialsRefused,
    OutOfCredit,
    ProviderError,
    ProviderUnavailable,
    RequestRejected,
)

_NO_MONEY = ("insufficient_credit", "spend_rate_limit", "missing_billing")
_NO_INSTANCE = ("no_such_instance", "not_found")
_LONGEST_QUOTE = 200


class Refused(RequestRejected):
    """Vast.ai said no, in words that the driver can tell apart."""

    def __init__(self, message: str, *, status: int, code: str, body: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.body = body

    @property
    def no_such_instance(self) -> bool:
        """Vast.ai does not know the instance. A bare 404 would not mean that: a wrong address gives one, too."""
        return self.code in _NO_INSTANCE

    @property
    def no_such_offer(self) -> bool:
        """The offer is gone. The code is often another one; the text names it."""
        return self.status == httpx.codes.GONE or "no_such_ask" in f"{self.code} {self}"


def is_too_frequent(reply: httpx.Response) -> bool:
    """Whether Vast.ai did nothing but ask us to slow down."""
    return reply.status_code == httpx.codes.TOO_MANY_REQUESTS or _field(_json(reply), "error") == "rate_limit_exceeded"


def threshold_of(reply: httpx.Response) -> timedelta | None:
    """The least interval that a refusal for haste names, if it does."""
    named = re.search(r"threshold=([0-9]+(?:\.[0-9]+)?)", reply.text)
    return timedelta(seconds=float(named[1])) if named else None


def body_of(reply: httpx.Response) -> Any:
    """The JSON of an answer that is one.

    A wrong key answers 404, a refusal often answers 200: so the envelope is read before the status.

    Raises:
        CredentialsRefused, OutOfCredit, ProviderUnavailable: as the answer says.
        Refused: it says no for another reason.
    """
    body = _json(reply)
    code, status = _field(body, "error"), reply.status_code
    words = _words(reply, body, code)
    if failure := _failure(status, code, words):
        raise failure
    if body is None and (reply.is_success or reply.is_redirect or _is_page(reply)):
        raise ProviderUnavailable(f"Vast.ai sent no usable answer: {words}")
    if not reply.is_success or _is_no(body):
        raise Refused(words, status=status, code=code, body=body if isinstance(body, dict) else {})
    return body


def _failure(status: int, code: str, words: str) -> ProviderError | None:
    if code == "auth_error" or status == httpx.codes.UNAUTHORIZED or code == "not_authorized":
        return CredentialsRefused(f"Vast.ai refused the API key: {words}")
    if code in _NO_MONEY or status == httpx.codes.PAYMENT_REQUIRED:
        return OutOfCredit(f"the Vast.ai account cannot pay: {words}")
    if status >= 500 or status == httpx.codes.REQUEST_TIMEOUT:
        return ProviderUnavailable(f"Vast.ai failed: {words}")
    if code == "deprecated_endpoint":
        return ProviderUnavailable(f"Vast.ai has retired a call that this version uses: {words}")
    return None


def _is_no(body: Any) -> bool:
    if not isinstance(body, dict):
        return False
    success = body.get("success")
    return success is False or (success is None and bool(_field(body, "error")))


def _json(reply: httpx.Response) -> Any:
    try:
        return reply.json()
    except ValueError:
        return None


def _field(body: Any, name: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    return value if isinstance(value, str) else ""


def _is_page(reply: httpx.Response) -> bool:
    return reply.text.lstrip().startswith("<")


def _words(reply: httpx.Response, body: Any, code: str) -> str:
    said = _field(body, "msg") or _field(body, "message") or _field(body, "detail")
    if body is None and not _is_page(reply):
        said = reply.text.strip()
    parts = [f"HTTP {reply.status_code}", code, said[:_LONGEST_QUOTE]]
    return ", ".join(part for part in parts if part)
