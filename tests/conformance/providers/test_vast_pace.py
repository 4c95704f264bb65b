"""The production pace of the Vast.ai driver against the market's own minimum intervals, in real time."""

import asyncio
from pathlib import Path

import httpx
from pydantic import SecretStr

from holdfast.contracts.machines import InstanceState
from holdfast.providers.vast.config import VastConfig
from holdfast.providers.vast.driver import connect
from tests.simmarket import run_market


class Counting(httpx.AsyncHTTPTransport):
    """Counts answers by their status."""

    def __init__(self) -> None:
        super().__init__()
        self.statuses: list[int] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        self.statuses.append(response.status_code)
        return response


async def test_callers_at_the_same_time_are_all_answered_however_strict_the_market_is(tmp_path: Path) -> None:
    with run_market(tmp_path / "sim", threshold_scale=1) as market:
        transport = Counting()
        provider = connect(VastConfig(api_key=SecretStr(market.api_key), base_url=market.base_url), transport=transport)
        words = await asyncio.gather(*(provider.inspect("4711") for _ in range(3)), provider.list_owned())
        assert [word.state for word in words[:3]] == [InstanceState.GONE] * 3
        assert words[3] == []
        # A busy computer may bunch calls together on their way, so how many the market minded is not for a test to say
        # (tests/unit/providers/test_pacing.py says when they leave); each of them was sent once more and no oftener.
        assert len(transport.statuses) - transport.statuses.count(429) == len(words)
        await provider.close()
