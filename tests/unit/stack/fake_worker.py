"""A worker with nothing to do: it serves its health, and ends on SIGTERM. With `--broken` it fails at once."""

import asyncio
import signal
import sys

from prometheus_client import CollectorRegistry

from holdfast.settings import load_settings
from holdfast.telemetry.health import HealthServer


async def run() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with HealthServer(registry=CollectorRegistry(), checks={}, port=load_settings().telemetry.port):
        await stop.wait()


if __name__ == "__main__":
    if "--broken" in sys.argv:
        sys.exit("the worker is broken on purpose")
    asyncio.run(run())
