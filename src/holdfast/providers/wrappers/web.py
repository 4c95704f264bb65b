"""What every HTTP client of a provider has in common: keys that can travel, time-outs, whether a request ever left."""

import ipaddress
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx

from holdfast.providers.errors import ProviderUnavailable

_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_KEEPALIVE = 4.0


class NotSent(ProviderUnavailable):
    """The request never reached the provider: whatever it asked for has not happened."""


def flaw_of(key: str, whose: str) -> str:
    """Why no request can carry this key, "" when one can; the key is not told itself."""
    if not key:
        return f"no API key for {whose} is set"
    return "" if key.isascii() and key.isprintable() else f"the API key for {whose} has characters that no key has"


def web_client(
    base_url: str,
    headers: Mapping[str, str],
    *,
    connect_timeout: timedelta,
    answer_timeout: timedelta,
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """A client for one provider's API. Opens no connection yet."""
    return httpx.AsyncClient(
        base_url=base_url,
        headers={"Accept": "application/json", **headers},
        timeout=httpx.Timeout(answer_timeout.total_seconds(), connect=connect_timeout.total_seconds()),
        # Shorter than servers keep theirs: an order sent into a closing connection looks like a lost answer.
        limits=httpx.Limits(keepalive_expiry=_KEEPALIVE),
        # A redirected order may be repeated as something else.
        follow_redirects=False,
        # A proxy that the environment names is for the outside world.
        trust_env=not is_loopback(base_url),
        transport=transport,
    )


async def answer_to(
    http: httpx.AsyncClient, method: str, path: str, *, call: str, whose: str, **request: Any
) -> httpx.Response:
    """Whatever the provider answers.

    Raises:
        NotSent: no connection; nothing has happened at the other end.
        ProviderUnavailable: no answer; what was asked for may have happened.
    """
    try:
        return await http.request(method, path, **request)
    except _NEVER_LEFT as failure:
        raise NotSent(f"{whose} cannot be reached for {call}: {_name(failure)}") from failure
    except httpx.HTTPError as failure:
        raise ProviderUnavailable(f"{whose} did not answer {call}: {_name(failure)}") from failure


def _name(failure: httpx.HTTPError) -> str:
    return " ".join(part for part in (type(failure).__name__, str(failure)) if part)


def is_loopback(url: str) -> bool:
    """Whether an address leads to this very computer."""
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
