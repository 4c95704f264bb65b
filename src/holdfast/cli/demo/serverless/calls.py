"""Real requests through the gateway, as OpenAI's clients send them."""

import asyncio
import json
import time
from dataclasses import dataclass

import httpx

from holdfast.cli.demo.findings import DemoFailed

PATIENCE = 90.0  # seconds for one answer, its wake included
LOOK_EVERY = 0.25


@dataclass(frozen=True)
class Streamed:
    """What came of a stream."""

    text: str
    whole: bool  # it ended as the server ends it
    took: float  # seconds, from its first event on


class Caller:
    """Calls one endpoint."""

    def __init__(self, http: httpx.AsyncClient, endpoint: str, token: str) -> None:
        self._http = http
        self._endpoint = endpoint
        self._headers = {"Authorization": f"Bearer {token}"}

    async def is_known(self) -> None:
        """Wait until the gateway knows the endpoint; asking for the list of models wakes nobody."""
        while True:
            answer = await self._http.get("/v1/models", headers=self._headers)
            if answer.is_success and any(each["id"] == self._endpoint for each in answer.json()["data"]):
                return
            await asyncio.sleep(LOOK_EVERY)

    async def complete(self, prompt: str, count: int, seed: int) -> str:
        """Raises DemoFailed for any answer but a completion."""
        asked = self._asked(prompt, count, seed)
        answer = await self._http.post("/v1/completions", json=asked, headers=self._headers)
        _require(answer, answer.text)
        return str(answer.json()["choices"][0]["text"])

    async def stream(self, prompt: str, count: int, seed: int, *, begun: asyncio.Event) -> Streamed:
        """The same as server-sent events; `begun` is set with the first."""
        asked = self._asked(prompt, count, seed) | {"stream": True}
        began, text, whole = 0.0, "", False
        async with self._http.stream("POST", "/v1/completions", json=asked, headers=self._headers) as answer:
            _require(answer, "no stream")
            async for line in answer.aiter_lines():
                if not (data := line.removeprefix("data: ")):
                    continue
                if not begun.is_set():
                    began = time.monotonic()
                    begun.set()
                if data == "[DONE]":
                    whole = True
                else:
                    text += json.loads(data)["choices"][0]["text"]
        return Streamed(text, whole, time.monotonic() - began)

    async def completions_so_far(self) -> int:
        """How many it has answered in all its life, as the file in its workspace says."""
        answer = await self._http.get(f"/{self._endpoint}/stats", headers=self._headers)
        _require(answer, answer.text)
        return int(answer.json()["completions"])

    def _asked(self, prompt: str, count: int, seed: int) -> dict[str, object]:
        return {"model": self._endpoint, "prompt": prompt, "max_tokens": count, "seed": seed}


def _require(answer: httpx.Response, text: str) -> None:
    if answer.status_code != httpx.codes.OK:
        raise DemoFailed(f"the gateway answered {answer.status_code}: {text}")
