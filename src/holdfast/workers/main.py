"""One worker process: connect, build the roles, serve metrics and health, work until told to stop.

Also runs as `python -m holdfast.workers.main --role …`, which is how the embedded stack and containers start it.
"""

import argparse
import asyncio
import logging
import signal
import sys
from contextlib import AsyncExitStack

from temporalio.client import Client
from temporalio.service import RPCError

from holdfast.settings import Settings, load_settings
from holdfast.telemetry.health import Check, HealthServer
from holdfast.telemetry.metrics import Metrics
from holdfast.telemetry.runtime import sdk_runtime
from holdfast.workers.connecting import connect
from holdfast.workers.roles import ALL, Role, parse_roles
from holdfast.workers.standing import ensure_standing
from holdfast.workers.wiring import build_workers

log = logging.getLogger("holdfast.worker")


async def run(settings: Settings, roles: frozenset[Role]) -> None:
    """Work until SIGINT or SIGTERM, then drain."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runtime, sdk_url = sdk_runtime(bind=settings.telemetry.bind, port=settings.telemetry.sdk_port)
    client = await connect(settings, runtime)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        health = HealthServer(
            registry=metrics.registry,
            checks={"temporal": _temporal_check(client)},
            bind=settings.telemetry.bind,
            port=settings.telemetry.port,
        )
        workers = await stack.enter_async_context(build_workers(settings, client, roles, metrics))
        for worker in workers:
            await stack.enter_async_context(worker)
        await stack.enter_async_context(health)
        if Role.CONTROL in roles:
            await ensure_standing(client, settings)
        log.info("ready: %s; health %s, SDK metrics %s", ", ".join(sorted(roles)), health.url, sdk_url)
        await stop.wait()
        log.info("draining")


def _temporal_check(client: Client) -> Check:
    async def check() -> str | None:
        try:
            healthy = await client.service_client.check_health()
        except RPCError as err:
            return f"Temporal does not answer: {err.message}"
        return None if healthy else "Temporal says that it is not healthy"

    return check


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m holdfast.workers.main", description=__doc__)
    parser.add_argument("--role", action="append", default=[], help=f"{', '.join(Role)} or {ALL}; may be repeated")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    try:
        roles = parse_roles(arguments.role)
    except ValueError as err:
        parser.error(str(err))
    asyncio.run(run(load_settings(), roles))
    return 0


if __name__ == "__main__":
    sys.exit(main())
