"""What an answer of Vast.ai's API means. Its status alone says little: see `body_of`."""

import re
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

_NO_ENTRY = ("auth_error", "not_authorized")
_NO_MONEY = ("insufficient_credit", "spend_rate_limit", "missing_billing")
_NO_INSTANCE = ("no_such_instance", "not_found")
_TOLD_NO_INSTANCE = re.compile(r"\bno_such_instance\b")
_LONGEST_QUOTE = 200


class Unpaid(OutOfCredit):
    """The account cannot pay. `contract` is the machine that exists nevertheless, if the answer names one."""

    def __init__(self, message: str, *, contract: int | None) -> None:
        super().__init__(message)
        self.contract = contract


class Refused(RequestRejected):
    """Vast.ai said no, in words that the driver can tell apart. `contract` is what exists nevertheless, if named."""

    def __init__(self, message: str, *, status: int, code: str, contract: int | None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.contract = contract

    @property
    def no_such_instance(self) -> bool:
        """Vast.ai does not know the instance: its code says so, or its text where the code is another one.

        A bare 404 would not mean that, for a wrong address gives one, too; nor does whatever a key may not see.
        """
        told = self.code in _NO_INSTANCE or _TOLD_NO_INSTANCE.search(str(self)) is not None
        return told and self.status != httpx.codes.FORBIDDEN

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
        CredentialsRefused, Unpaid, ProviderUnavailable: as the answer says.
        Refused: it says no for another reason.
    """
    body = _json(reply)
    code, status = _field(body, "error"), reply.status_code
    words, contract = _words(reply, body, code), contract_of(body)
    if failure := _failure(status, code, words, contract):
        raise failure
    if body is None and (reply.is_success or reply.is_redirect or _is_page(reply)):
        raise ProviderUnavailable(f"Vast.ai sent no usable answer: {words}")
    if not reply.is_success or _is_no(body):
        raise Refused(words, status=status, code=code, contract=contract)
    return body


def contract_of(body: Any) -> int | None:
    """The instance that an answer to an order names, as a number or in digits."""
    named = str(body.get("new_contract", "")) if isinstance(body, dict) else ""
    return int(named) if named.isdecimal() else None


def _failure(status: int, code: str, words: str, contract: int | None) -> ProviderError | None:
    if status == httpx.codes.UNAUTHORIZED or code in _NO_ENTRY or (not code and "auth_error" in words):
        return CredentialsRefused(f"Vast.ai refused the API key: {words}")
    if code in _NO_MONEY or status == httpx.codes.PAYMENT_REQUIRED:
        return Unpaid(f"the Vast.ai account cannot pay: {words}", contract=contract)
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
