"""Models from the Hugging Face hub, or from whatever speaks its wire API.

Three requests are all that is needed, so this is a small client and not the hub's own library, which brings a native
transfer engine and a cache of its own. `GET /api/models/{id}/revision/{revision}?blobs=true` lists files, their sizes,
SHA-256 of the large ones, commit, licence and gate, to anybody; `GET /api/models/{id}/auth-check` says who is let
through the gate; `GET /{id}/resolve/{commit}/{path}` is a file, by redirect and by ranges.
Refusals carry their kind in the header `X-Error-Code` (hub documentation, "Hub API Endpoints"). At a gate 401 is said
to who is not known, 403 to who has not agreed to the terms.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from holdfast.contracts.models import ModelFile, ModelPlan
from holdfast.models.errors import SourceRefused, SourceUnavailable
from holdfast.models.sources import DATASETS, HUB, HubName
from holdfast.providers.wrappers.web import flaw_of, is_loopback

_SILENCE, _CONNECT = 30.0, 10.0  # seconds
_GATED = "GatedRepo"
_SECRET = "and put that account's token into the secret hf_token of the host workers, or the one of --token-secret"  # noqa: S105
_FINE_GRAINED = "a fine-grained token must also be allowed to read gated repositories"
_RETRY_LATER = (408, 425, 429)


class HubSource:
    """One model at one hub. Raises SourceRefused for a token that cannot travel."""

    def __init__(self, name: HubName, *, url: str, token: str | None) -> None:
        self._name = name
        self._api, self._files = ("datasets", "/datasets") if name.is_dataset else ("models", "")
        self._url = url.rstrip("/")
        if token and (flaw := flaw_of(token, "the hub")):
            raise SourceRefused(f"the secret with the hub's token is of no use: {flaw}")
        # The client leaves the token out when a redirect leads to another host.
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._known = token is not None
        self._http = httpx.AsyncClient(
            headers=headers,
            follow_redirects=True,
            timeout=httpx.Timeout(_SILENCE, connect=_CONNECT),
            trust_env=not is_loopback(url),  # a proxy that the environment names is for the outside world
        )

    async def plan(self) -> ModelPlan:
        path = f"/api/{self._api}/{self._name.model}/revision/{quote(self._name.revision, safe='')}"
        try:
            answer = await self._http.get(self._url + path, params={"blobs": "true"})
        except httpx.HTTPError as err:
            raise self._unreachable(err) from err
        self._refuse(answer, self._name.model)
        try:
            plan = _planned(self._name, answer.json())
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            raise SourceUnavailable(f"the hub's answer on {self._name.model} makes no sense: {err}") from err
        if plan.gated:
            await self._knock()
        return plan

    async def _knock(self) -> None:
        """The list of files is anybody's; whether we shall be given one is better known before anything is spent."""
        try:
            answer = await self._http.get(f"{self._url}/api/{self._api}/{self._name.model}/auth-check")
        except httpx.HTTPError as err:
            raise self._unreachable(err) from err
        if answer.status_code != httpx.codes.NOT_FOUND:  # a hub that knows no such question tells with the first file
            self._refuse(answer, self._name.model)

    async def read(self, plan: ModelPlan, file: ModelFile, start: int) -> AsyncIterator[bytes]:
        path = f"{self._files}/{self._name.model}/resolve/{plan.revision}/{quote(file.path)}"
        headers = {"Range": f"bytes={start}-"} if start else {}
        try:
            async with self._http.stream("GET", self._url + path, headers=headers) as answer:
                self._refuse(answer, f"{self._name.model}/{file.path}")
                # A server that knows no ranges begins anew: what is on disk already is passed over.
                unwanted = 0 if answer.status_code == httpx.codes.PARTIAL_CONTENT else start
                async for piece in answer.aiter_bytes():  # as they come: a break costs none that came
                    kept, unwanted = piece[unwanted:], max(0, unwanted - len(piece))
                    if kept:
                        yield kept
        except httpx.HTTPError as err:
            raise self._unreachable(err) from err

    async def close(self) -> None:
        await self._http.aclose()

    def _unreachable(self, err: httpx.HTTPError) -> SourceUnavailable:
        return SourceUnavailable(f"the hub at {self._url} does not answer: {type(err).__name__}")

    def _refuse(self, answer: httpx.Response, what: str) -> None:
        """Raise for an answer that is none; the hub hides from strangers whether a private model exists."""
        status, code = answer.status_code, answer.headers.get("x-error-code", "")
        if answer.is_success:
            return
        if code == _GATED:
            raise self._at_the_gate(what, status)
        if status in (401, 403):
            whose = "the hub refuses the token for it" if self._known else "it does not exist, or needs a token"
            raise SourceRefused(f"{what}: {whose}")
        if status == httpx.codes.NOT_FOUND:
            raise SourceRefused(f"{what} is not at the hub ({code or 'not found'}), revision {self._name.revision}")
        if status in _RETRY_LATER or status >= 500:
            raise SourceUnavailable(f"the hub answers {status} for {what}")
        raise SourceRefused(f"the hub answers {status} for {what}")

    def _at_the_gate(self, what: str, status: int) -> SourceRefused:
        if not self._known:
            why, remedy = "no token was shown", f"agree to its terms at {self._url}/{self._name.model}, {_SECRET}"
        elif status == httpx.codes.UNAUTHORIZED:
            why, remedy = "the hub does not know the token that was shown", f"make a new one at the hub, {_SECRET}"
        else:
            why = "the account of the token has not agreed to its terms, or was not let in yet"
            remedy = f"agree to them at {self._url}/{self._name.model} with that account; {_FINE_GRAINED}"
        return SourceRefused(f"{what} is gated, and {why}", remedy=remedy)


def _planned(name: HubName, told: Mapping[str, Any]) -> ModelPlan:
    card = told.get("cardData") or {}
    stated = card.get("license")
    licence = (", ".join(stated) if isinstance(stated, list) else stated) or next(
        (tag.removeprefix("license:") for tag in told.get("tags") or () if tag.startswith("license:")), ""
    )
    return ModelPlan(
        source=f"{HUB}{DATASETS if name.is_dataset else ''}{name.model}",
        revision=str(told["sha"]),
        files=tuple(_file(each) for each in told["siblings"]),
        licence=str(card.get("license_name") or licence if licence == "other" else licence),
        gated=bool(told.get("gated")),
    )


def _file(told: Mapping[str, Any]) -> ModelFile:
    large = told.get("lfs") or {}
    return ModelFile(
        path=told["rfilename"],
        size=int(large.get("size") or told.get("size") or 0),
        sha256=str(large.get("sha256") or large.get("oid") or ""),
    )
