"""Google's HTTP APIs for one project: paced, with every failure told apart."""

from typing import Any

import httpx

from holdfast.providers.errors import ProviderUnavailable
from holdfast.providers.gcp.answers import body_of, is_too_frequent, is_unauthorized
from holdfast.providers.gcp.config import GcpConfig
from holdfast.providers.gcp.endpoints import Endpoint
from holdfast.providers.gcp.tokens import Tokens
from holdfast.providers.wrappers.pacing import Pacer
from holdfast.providers.wrappers.web import answer_to, web_client

_WHOSE = "Google"
_COMPUTE = "/compute/v1/projects/{project}{path}"
_SKUS = "/v1/services/6F81-5844-456A/skus"  # Compute Engine, in the price list of all services
_PAGES = 200


class GcpClient:
    """Sends calls in their turn. Safe for concurrent use in one event loop."""

    def __init__(self, config: GcpConfig, pacer: Pacer, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._pacer = pacer
        self._tokens = Tokens(config)
        self._compute, self._catalog = (
            web_client(
                url,
                {},
                connect_timeout=config.connect_timeout,
                answer_timeout=config.answer_timeout,
                transport=transport,
            )
            for url in (config.compute_url, config.catalog_url)
        )

    async def call(
        self, endpoint: Endpoint, *, zone: str = "", name: str = "", params: Any = None, body: Any = None
    ) -> dict[str, Any]:
        """Send one call of Compute Engine; the JSON object of its answer. Waits for its turn, and again if asked to.

        Raises:
            NotSent: no connection; nothing has happened at the other end.
            ProviderUnavailable: no usable answer; what was asked for may have happened.
            RateLimited: the next turn is too far away; nothing has happened.
            NotFound, NameTaken, NoQuota, Refused, CredentialsRefused, OutOfCredit: the answer is no.
        """
        project = await self._tokens.project()
        path = _COMPUTE.format(project=project, path=endpoint.path.format(zone=zone, name=name))
        request = {"params": params} if params else {}
        request |= {"json": body} if body is not None else {}
        return body_of(await self._sent(self._compute, endpoint, path, request))

    async def project(self) -> str:
        """The project that all calls are about. Raises CredentialsRefused where no settings name one."""
        return await self._tokens.project()

    async def pages(self, endpoint: Endpoint, **params: Any) -> list[dict[str, Any]]:
        """Every page of a list, all or none. Raises as `call`."""
        found, token = [], ""
        for _ in range(_PAGES):
            body = await self.call(endpoint, params={**params, **({"pageToken": token} if token else {})})
            found.append(body)
            token = str(body.get("nextPageToken") or "")
            if not token:
                return found
        raise ProviderUnavailable(f"{_WHOSE}'s list of {endpoint.name} has no end")

    async def price_list(self) -> list[Any]:
        """Every line of the price list of Compute Engine. Raises as `call`."""
        lines: list[Any] = []
        endpoint = Endpoint(name="skus", method="GET", path=_SKUS)
        token = ""
        for _ in range(_PAGES):
            request = {"params": {"pageSize": "5000"} | ({"pageToken": token} if token else {})}
            body = body_of(await self._sent(self._catalog, endpoint, _SKUS, request))
            page = body.get("skus")
            if not isinstance(page, list):
                raise ProviderUnavailable(f"{_WHOSE}'s price list is no list")
            lines += page
            token = str(body.get("nextPageToken") or "")
            if not token:
                return lines
        raise ProviderUnavailable(f"{_WHOSE}'s price list has no end")

    async def close(self) -> None:
        """Close the connections."""
        await self._compute.aclose()
        await self._catalog.aclose()

    async def _sent(
        self, http: httpx.AsyncClient, endpoint: Endpoint, path: str, request: dict[str, Any]
    ) -> httpx.Response:
        renewed = False
        while True:
            await self._pacer.turn(endpoint.lane)
            headers = await self._tokens.headers()
            reply = await answer_to(
                http, endpoint.method, path, call=endpoint.name, whose=_WHOSE, headers=headers, **request
            )
            if is_unauthorized(reply) and not renewed:
                renewed = True
                self._tokens.forget()
            elif is_too_frequent(reply):
                self._pacer.refused(endpoint.lane, threshold=None)
            else:
                self._pacer.accepted(endpoint.lane)
                return reply
