"""The account's API key: what surrounds it does not count, what cannot be one is refused without being told."""

import httpx
import pytest
from pydantic import SecretStr

from holdfast.contracts.machines import Requirements
from holdfast.providers.errors import CredentialsRefused
from holdfast.providers.vast.config import VastConfig
from holdfast.providers.vast.driver import VastProvider, connect
from tests.unit.providers.wire import KEY


def provider(key: str, asked: list[httpx.Request]) -> VastProvider:
    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"offers": []})

    config = VastConfig(api_key=SecretStr(key), base_url="http://127.0.0.1:9")
    return connect(config, transport=httpx.MockTransport(answer))


async def test_a_line_break_around_the_key_does_not_count() -> None:
    asked: list[httpx.Request] = []
    assert await provider(f" {KEY}\n", asked).search_offers(Requirements()) == []
    assert asked[0].headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("key", ["", "  ", f"{KEY}\n{KEY}", f"{KEY}\u2026"])
async def test_what_cannot_be_a_key_is_refused_before_anything_is_asked(key: str) -> None:
    asked: list[httpx.Request] = []
    with pytest.raises(CredentialsRefused) as refused:
        await provider(key, asked).search_offers(Requirements())
    assert asked == []
    assert KEY not in str(refused.value)
