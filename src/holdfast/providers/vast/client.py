"""Vast.ai's HTTP API for one account: paced, with every failure told apart."""

from datetime import timedelta
from typing import Any

import httpx

from holdfast.providers.errors import CredentialsRefused, RateLimited
from holdfast.providers.vast.answers import body_of, is_too_frequent, threshold_of
from holdfast.providers.vast.config import VastConfig
from holdfast.providers.vast.endpoints import Endpoint
from holdfast.providers.wrappers.pacing import Pacer
from holdfast.providers.wrappers.web import answer_to, flaw_of, web_client

_WHOSE = "Vast.ai"


class VastClient:
    """Sends calls in their turn. Safe for concurrent use in one event loop."""

    def __init__(self, config: VastConfig, pacer: Pacer, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._pacer = pacer
        key = config.api_key.get_secret_value().strip()
        self._flaw = flaw_of(key, _WHOSE)
        self._http = web_client(
            config.base_url,
            {"Authorization": "" if self._flaw else f"Bearer {key}"},
            connect_timeout=config.connect_timeout,
            answer_timeout=config.answer_timeout,
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

    def wait(self, endpoint: Endpoint) -> timedelta:
        """How long a call would have to wait if it came now."""
        return self._pacer.wait(endpoint.name)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, endpoint: Endpoint, path: str, body: Any, params: dict[str, str] | None) -> httpx.Response:
        return await answer_to(
            self._http, endpoint.method, path, call=endpoint.name, whose=_WHOSE, json=body, params=params
        )
