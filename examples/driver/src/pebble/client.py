"""Pebble's HTTP API for one account: paced, and every failure is told apart here and nowhere else."""

from datetime import timedelta
from typing import Any

import httpx

from holdfast.providers.errors import (
    CredentialsRefused,
    OutOfCredit,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from holdfast.providers.wrappers.pacing import Pace, Pacer
from holdfast.settings import ProviderSettings

PUBLIC_URL = "https://api.pebble.example"
_LANE = "calls"
_PACE = Pace(per=timedelta(seconds=1), calls=20)


class NotSent(ProviderUnavailable):
    """The request never reached Pebble: whatever it asked for has not happened."""


class NotFound(RequestRejected):
    """Pebble does not know what the path names."""


class Conflict(RequestRejected):
    """The offer is gone, or the name is taken."""


class PebbleClient:
    """Sends calls in their turn. Safe for concurrent use in one event loop."""

    def __init__(self, settings: ProviderSettings, *, timeout: timedelta) -> None:
        pace = Pace(per=_PACE.per * settings.pace, calls=_PACE.calls)
        self._pacer = Pacer({_LANE: pace})
        self._http = httpx.AsyncClient(
            base_url=settings.base_url or PUBLIC_URL,
            headers={"X-Pebble-Key": _usable(settings.api_key.get_secret_value())},
            timeout=timeout.total_seconds(),
        )

    async def call(self, method: str, path: str, *, repeatable: bool = True, **request: Any) -> Any:
        """The JSON object of one answer. A call that may be repeated waits when Pebble asks to slow down.

        Raises:
            NotSent, ProviderUnavailable, RateLimited, CredentialsRefused, OutOfCredit, NotFound, Conflict,
            RequestRejected: as the answer says.
        """
        while True:
            await self._pacer.turn(_LANE)
            reply = await self._send(method, path, request)
            if reply.status_code != httpx.codes.TOO_MANY_REQUESTS:
                self._pacer.accepted(_LANE)
                return _body_of(reply)
            pause = self._pacer.refused(_LANE, threshold=None)
            if not repeatable:
                raise RateLimited("Pebble asks us to order less often", retry_after=pause)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response:
        try:
            return await self._http.request(method, path, **request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as failure:
            raise NotSent(f"Pebble cannot be reached: {type(failure).__name__}") from failure
        except httpx.HTTPError as failure:
            raise ProviderUnavailable(f"Pebble did not answer: {type(failure).__name__}") from failure


def _usable(key: str) -> str:
    """The key as a header can carry it; one that has odd characters is as good as none, and must not be told."""
    key = key.strip()
    return key if key.isascii() and key.isprintable() else ""


def _body_of(reply: httpx.Response) -> Any:
    try:
        body = reply.json()
    except ValueError:
        body = None
    said = str(body.get("error", "")) if isinstance(body, dict) else ""
    words = f"HTTP {reply.status_code} {said}".strip()
    match reply.status_code:
        case 401 | 403:
            raise CredentialsRefused(f"Pebble refused the key: {words}")
        case 402:
            raise OutOfCredit(f"the Pebble account cannot pay: {words}")
        # A proxy answers 404, too. Only what Pebble itself says counts.
        case 404 if said:
            raise NotFound(words)
        case 409 | 410 if said:
            raise Conflict(words)
        case 400 | 422 if said:
            raise RequestRejected(f"Pebble rejected the request: {words}")
    if not reply.is_success or not isinstance(body, dict) or said:
        raise ProviderUnavailable(f"Pebble sent no usable answer: {words}")
    return body
