"""Access tokens from a service account's key, by Google's own library. They live for an hour and are never kept."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx
from google.auth import exceptions, transport
from google.oauth2 import service_account

from holdfast.providers.errors import CredentialsRefused, ProviderError, ProviderUnavailable
from holdfast.providers.gcp.config import GcpConfig
from holdfast.providers.wrappers.web import is_loopback

SCOPES = ("https://www.googleapis.com/auth/compute", "https://www.googleapis.com/auth/cloud-billing.readonly")
_WHOSE = "Google"


class Tokens:
    """Gives out the present token. Safe for concurrent use in one event loop."""

    def __init__(self, config: GcpConfig) -> None:
        self._config = config
        self._credentials: Any = None
        self._turn = asyncio.Lock()

    async def project(self) -> str:
        """The project that calls are about. Raises as `headers`."""
        if self._config.project:
            return self._config.project
        named = (await self._loaded()).project_id
        if not named:
            raise CredentialsRefused("the service account's key names no project: set HOLDFAST_PROVIDERS__GCP__PROJECT")
        return str(named)

    async def headers(self) -> Mapping[str, str]:
        """What makes a call ours.

        Raises:
            CredentialsRefused: no key, one that is none, or one that Google does not accept. The key is not told.
            ProviderUnavailable: no token for now.
        """
        credentials = await self._loaded()
        async with self._turn:
            if not credentials.valid:
                await self._renew(credentials)
        return {"Authorization": f"Bearer {credentials.token}"}

    def forget(self) -> None:
        """The present token was refused: read the key anew, and fetch another."""
        self._credentials = None

    async def _loaded(self) -> Any:
        if self._credentials is None:
            self._credentials = await asyncio.to_thread(_read, self._config)
        return self._credentials

    async def _renew(self, credentials: Any) -> None:
        try:
            await asyncio.to_thread(credentials.refresh, _Transport(self._config))
        except exceptions.GoogleAuthError as failure:
            raise _meaning(failure) from None  # the library's words may hold what was sent


class _Transport(transport.Request):
    """google-auth's way out, over httpx."""

    def __init__(self, config: GcpConfig) -> None:
        self._timeout = httpx.Timeout(
            config.answer_timeout.total_seconds(), connect=config.connect_timeout.total_seconds()
        )

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_more: Any,
    ) -> "_Answer":
        try:
            reply = httpx.request(
                method, url, content=body, headers=headers, timeout=self._timeout, trust_env=not is_loopback(url)
            )
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            raise exceptions.TransportError(type(failure).__name__) from failure  # type: ignore[no-untyped-call]
        return _Answer(reply)


class _Answer(transport.Response):
    def __init__(self, reply: httpx.Response) -> None:
        self._reply = reply

    @property
    def status(self) -> int:
        return self._reply.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._reply.headers

    @property
    def data(self) -> bytes:
        return self._reply.content


def _read(config: GcpConfig) -> Any:
    text = config.key.get_secret_value().strip()
    where = "HOLDFAST_PROVIDERS__GCP__API_KEY"
    if not text:
        if config.key_file is None:
            raise CredentialsRefused("no key for Google is set: name a service account's key file (docs/providers.md)")
        where = str(config.key_file)
        try:
            text = config.key_file.read_text()
        except (OSError, UnicodeDecodeError) as failure:
            raise CredentialsRefused(f"the key file {where} cannot be read: {type(failure).__name__}") from failure
    try:
        found = json.loads(text)
        return service_account.Credentials.from_service_account_info(found, scopes=SCOPES)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, AttributeError, exceptions.GoogleAuthError):
        raise CredentialsRefused(f"{where} does not hold the key file of a service account") from None


def _meaning(failure: exceptions.GoogleAuthError) -> ProviderError:
    if isinstance(failure, exceptions.TransportError) or getattr(failure, "retryable", False):
        return ProviderUnavailable(f"{_WHOSE} gave no access token: {type(failure).__name__}")
    told = failure.args[1] if len(failure.args) > 1 else None
    if isinstance(told, dict) and "error" in told:
        words = " ".join(str(told.get(name, "")) for name in ("error", "error_description")).strip()
        return CredentialsRefused(f"{_WHOSE} does not accept the service account's key: {words[:200]}")
    return ProviderUnavailable(f"{_WHOSE} gave no access token: {type(failure).__name__}")
