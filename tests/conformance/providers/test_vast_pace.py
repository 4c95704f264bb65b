"""The production pace of the Vast.ai driver against the market's own minimum intervals, in real time.

When calls leave is for tests/unit/providers/test_pacing.py to say: a busy computer may bunch them on their way.
"""

import asyncio
from pathlib import Path

from pydantic import SecretStr

from holdfast.contracts.machines import InstanceState
from holdfast.providers.vast.config import VastConfig
from holdfast.providers.vast.driver import connect
from tests.simmarket import run_market


async def test_callers_at_the_same_time_are_all_answered_however_strict_the_market_is(tmp_path: Path) -> None:
    with run_market(tmp_path / "sim", threshold_scale=1) as market:
        provider = connect(VastConfig(api_key=SecretStr(market.api_key), base_url=market.base_url))
        words = await asyncio.gather(*(provider.inspect("4711") for _ in range(3)), provider.list_owned())
        assert [word.state for word in words[:3]] == [InstanceState.GONE] * 3
        assert words[3] == []
        await provider.close()
