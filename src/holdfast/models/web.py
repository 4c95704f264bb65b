"""One file from the web, by HTTP. What it is called is the last part of its address."""

from collections.abc import AsyncIterator
from urllib.parse import unquote, urlsplit

import httpx

from holdfast.contracts.models import ModelFile, ModelPlan
from holdfast.models.errors import SourceRefused, SourceUnavailable
from holdfast.providers.wrappers.web import flaw_of, is_loopback

_SILENCE, _CONNECT = 30.0, 10.0  # seconds
_RETRY_LATER = (408, 425, 429)


class WebSource:
    """A file at an address. Raises SourceRefused for a token that cannot travel."""

    def __init__(self, url: str, *, token: str | None) -> None:
        if token and (flaw := flaw_of(token, "the source")):
            raise SourceRefused(f"the secret for {_shown(url)} is of no use: {flaw}")
        self._url = url
        # The client leaves the token out when a redirect leads to another host.
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"} if token else {},
            follow_redirects=True,
            timeout=httpx.Timeout(_SILENCE, connect=_CONNECT),
            trust_env=not is_loopback(url),
        )

    async def plan(self) -> ModelPlan:
        """Its size, and its mark where the server gives one, so that a change under our hands is another revision."""
        try:
            async with self._http.stream("GET", self._url, headers={"Accept-Encoding": "identity"}) as answer:
                self._refuse(answer)
                size, mark = answer.headers.get("content-length", ""), answer.headers.get("etag", "")
        except httpx.HTTPError as err:
            raise self._unreachable(err) from err
        if not size.isdecimal():
            raise SourceRefused(f"{_shown(self._url)} does not say how long it is")
        file = ModelFile(path=name_in(self._url), size=int(size))
        return ModelPlan(source=_shown(self._url), revision=mark.strip('"'), files=(file,))

    async def read(self, plan: ModelPlan, file: ModelFile, start: int) -> AsyncIterator[bytes]:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        try:
            async with self._http.stream("GET", self._url, headers=headers) as answer:
                self._refuse(answer)
                unwanted = 0 if answer.status_code == httpx.codes.PARTIAL_CONTENT else start
                async for piece in answer.aiter_raw():
                    kept, unwanted = piece[unwanted:], max(0, unwanted - len(piece))
                    if kept:
                        yield kept
        except httpx.HTTPError as err:
            raise self._unreachable(err) from err

    async def close(self) -> None:
        await self._http.aclose()

    def _unreachable(self, err: httpx.HTTPError) -> SourceUnavailable:
        return SourceUnavailable(f"{_shown(self._url)} does not answer: {type(err).__name__}")

    def _refuse(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if answer.is_success:
            return
        if status in _RETRY_LATER or status >= 500:
            raise SourceUnavailable(f"{_shown(self._url)} is answered with {status}")
        raise SourceRefused(f"{_shown(self._url)} is answered with {status}: it is not there, or needs a token")


def name_in(url: str) -> str:
    """What the file is called. Raises SourceRefused: the address names none."""
    parts = urlsplit(url)
    name = unquote(parts.path.rpartition("/")[2])
    if parts.scheme not in ("http", "https") or not parts.hostname or not name or "/" in name or "\0" in name:
        raise SourceRefused(f"{_shown(url)} is no address of a file")
    return name


def _shown(url: str) -> str:
    """Without what follows a question mark: it may be a signature."""
    return url.partition("?")[0].partition("#")[0][:300]
