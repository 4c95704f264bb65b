"""Vast.ai's HTTP API for one account: paced, with every failure told apart."""

import ipaddress
from typing import Any

import httpx

from holdfast.providers.errors import CredentialsRefused, ProviderUnavailable, RateLimited
from holdfast.providers.vast.answers import body_of, is_too_frequent, threshold_of
from holdfast.providers.vast.config import VastConfig
from holdfast.providers.vast.endpoints import Endpoint
from holdfast.providers.wrappers.pacing import Pacer

_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_KEEPALIVE = 4.0


class NotSent(ProviderUnavailable):
    """The request never reached Vast.ai: whatever it asked for has not happened."""


class VastClient:
    """Sends calls in their turn. Safe for concurrent use in one event loop."""

    def __init__(self, config: VastConfig, pacer: Pacer, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._pacer = pacer
        key = config.api_key.get_secret_value().strip()
        self._flaw = _flaw_of(key)
        self._http = httpx.AsyncClient(
            base_url=config.base_url,
            headers={"Authorization": "" if self._flaw else f"Bearer {key}", "Accept": "application/json"},
            timeout=httpx.Timeout(
                config.answer_timeout.total_seconds(), connect=config.connect_timeout.total_seconds()
            ),
            # Shorter than servers keep theirs: an order sent into a closing connection looks like a lost answer.
            limits=httpx.Limits(keepalive_expiry=_KEEPALIVE),
            # A redirected PUT may be repeated as something else.
            follow_redirects=False,
            # A proxy that the environment names is for the outside world.
            trust_env=not _is_loopback(config.base_url),
            transport=transport,
        )

    async def call(
        self, endpoint: Endpoint, *, number: int = 0, body: Any = None, params: dict[str, str] | None = None
    ) -> Any:
        """Send one call and return the JSON of its answer. Waits for its turn, and again when asked to slow down.

        Raises:
            NotSent: no connection; nothing has happened at the other end.
            ProviderUnavailable: no usable answer; what was asked for may have happened.
            RateLimited: the next turn is too far away; nothing has happened.
            Refused, CredentialsRefused, Unpaid: the answer is no. Without a key there is nothing to ask.
        """
        if self._flaw:
            raise CredentialsRefused(self._flaw)
        while True:
            await self._pacer.turn(endpoint.name)
            reply = await self._send(endpoint, endpoint.path.format(number=number), body, params)
            if not is_too_frequent(reply):
                self._pacer.accepted(endpoint.name)
                return body_of(reply)
            pause = self._pacer.refused(endpoint.name, threshold=threshold_of(reply))
            if not endpoint.repeatable:
                raise RateLimited(f"Vast.ai asks us to call {endpoint.name} less often", retry_after=pause)

    def soonest(self, *endpoints: Endpoint) -> Endpoint:
        """The one that may be called first; on a tie, the one named first."""
        return min(endpoints, key=lambda endpoint: self._pacer.wait(endpoint.name))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, endpoint: Endpoint, path: str, body: Any, params: dict[str, str] | None) -> httpx.Response:
        try:
            return await self._http.request(endpoint.method, path, json=body, params=params)
        except _NEVER_LEFT as failure:
            raise NotSent(f"Vast.ai cannot be reached for {endpoint.name}: {_name(failure)}") from failure
        except httpx.HTTPError as failure:
            raise ProviderUnavailable(f"Vast.ai did not answer {endpoint.name}: {_name(failure)}") from failure


def _flaw_of(key: str) -> str:
    """Why no request can carry this key; it is not told itself."""
    if not key:
        return "no API key for Vast.ai is set"
    return "" if key.isascii() and key.isprintable() else "the API key for Vast.ai has characters that no key has"


def _name(failure: httpx.HTTPError) -> str:
    return " ".join(part for part in (type(failure).__name__, str(failure)) if part)


def _is_loopback(url: str) -> bool:
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
