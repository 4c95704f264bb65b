"""TensorDock's HTTP APIs for one account: paced, with every failure told apart."""

from typing import Any

import httpx

from holdfast.providers.errors import CredentialsRefused, RateLimited
from holdfast.providers.tensordock.answers import body_of, is_too_frequent, legacy_body_of
from holdfast.providers.tensordock.config import TensorDockConfig
from holdfast.providers.tensordock.endpoints import ACCOUNT, LEGACY, Endpoint
from holdfast.providers.wrappers.pacing import Pacer
from holdfast.providers.wrappers.web import answer_to, flaw_of, web_client

_WHOSE = "TensorDock"


class TensorDockClient:
    """Sends calls in their turn. Safe for concurrent use in one event loop."""

    def __init__(
        self, config: TensorDockConfig, pacer: Pacer, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._pacer = pacer
        key = config.api_key.get_secret_value().strip()
        self._flaw = flaw_of(key, _WHOSE)
        self._legacy = {
            "api_key": config.legacy_key.get_secret_value().strip(),
            "api_token": config.legacy_token.get_secret_value().strip(),
        }
        self._headers = {"Authorization": "" if self._flaw else f"Bearer {key}"}
        self._http = web_client(
            config.base_url,
            {},
            connect_timeout=config.connect_timeout,
            answer_timeout=config.answer_timeout,
            transport=transport,
        )

    async def call(self, endpoint: Endpoint, *, about: str = "", body: Any = None) -> Any:
        """Send one call of v2 and return the JSON of its answer. Waits for its turn, and again if asked to slow down.

        Raises:
            NotSent: no connection; nothing has happened at the other end.
            ProviderUnavailable: no usable answer; what was asked for may have happened.
            RateLimited: the next turn is too far away; nothing has happened.
            NotFound, Refused, CredentialsRefused, OutOfCredit: the answer is no.
        """
        if self._flaw:
            raise CredentialsRefused(self._flaw)
        request = {"json": body} if body is not None else {}
        return body_of(await self._paced(ACCOUNT, endpoint, about, headers=self._headers, **request))

    async def call_legacy(self, endpoint: Endpoint, **fields: str) -> Any:
        """Send one call of v0, a form with both credentials. Raises as `call`, but never NotFound."""
        return legacy_body_of(await self._paced(LEGACY, endpoint, "", data=self._legacy | fields))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _paced(self, lane: str, endpoint: Endpoint, about: str, **request: Any) -> httpx.Response:
        while True:
            await self._pacer.turn(lane)
            reply = await answer_to(
                self._http,
                endpoint.method,
                endpoint.path.format(id=about),
                call=endpoint.name,
                whose=_WHOSE,
                **request,
            )
            if not is_too_frequent(reply):
                self._pacer.accepted(lane)
                return reply
            pause = self._pacer.refused(lane, threshold=None)
            if not endpoint.repeatable:
                raise RateLimited(f"{_WHOSE} asks us to make fewer calls", retry_after=pause)
