"""The worker that decides, in a process of its own, so that it can be killed."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client

from holdfast.client.payloads import PAYLOADS
from holdfast.workers.marking import MarkingRunner
from tests.workflows.stage import deciding_worker

ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def a_decider(client: Client) -> AsyncIterator[asyncio.subprocess.Process]:
    """The process decides until it is killed, by the test or at the end of the block. It has no time to say goodbye."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.workflows.decider"),
        *(client.service_client.config.target_host, client.namespace),
        stdin=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def decide(address: str, namespace: str) -> None:
    """Until nobody holds the other end of our standard input, so that no decider outlives its test."""
    client = await Client.connect(address, namespace=namespace, data_converter=PAYLOADS)
    async with deciding_worker(client, MarkingRunner()):
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(decide(*sys.argv[1:]))
