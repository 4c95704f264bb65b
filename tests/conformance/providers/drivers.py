"""The drivers under test, and how the suite opens an account with each."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import SecretStr

from holdfast.providers.base import Provider
from holdfast.providers.vast.config import VastConfig
from holdfast.providers.vast.driver import connect
from holdfast.providers.vast.endpoints import PACES
from holdfast.providers.wrappers.metered import metered
from holdfast.providers.wrappers.pacing import Pacer
from holdfast.telemetry.metrics import Metrics

LAG = timedelta(seconds=1)
"""The listing lag that every driver under test is told to expect."""


@dataclass
class QuickTime:
    """A clock that jumps when somebody sleeps: minimum intervals cost no real time."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Driver:
    """One driver: how to open an account with it, by base URL and key."""

    name: str
    open: Callable[[str, str], Provider]


def _vast(url: str, key: str) -> Provider:
    time = QuickTime()
    config = VastConfig(api_key=SecretStr(key), base_url=url, listing_lag=LAG, answer_timeout=timedelta(seconds=1.5))
    pacer = Pacer(PACES, patience=timedelta(hours=1), clock=time.clock, sleep=time.sleep)
    # Metered as in production: the suite holds for the wrapper, too.
    return metered(connect(config, pacer=pacer), Metrics())


DRIVERS = (Driver("vast", _vast),)
