"""One worker process: connect, build the roles, serve metrics and health, work until told to stop.

Also runs as `python -m holdfast.workers.main --role …`, which is how the embedded stack and containers start it. Exit
codes are those of `holdfast worker`: 0 told to stop, 2 wrong arguments, and `complaints.EXIT_CODES`.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import NoReturn

from temporalio.client import Client
from temporalio.service import RPCError

from holdfast.settings import Settings, SettingsError, load_settings, variable
from holdfast.telemetry.health import Check, HealthServer
from holdfast.telemetry.metrics import Metrics
from holdfast.telemetry.runtime import sdk_runtime
from holdfast.workers.complaints import EXPECTED, complain
from holdfast.workers.connecting import connect
from holdfast.workers.roles import ALL, Role, parse_roles
from holdfast.workers.standing import ensure_mirrored, ensure_standing
from holdfast.workers.wiring import build_workers

log = logging.getLogger("holdfast.worker")


async def run(settings: Settings, roles: frozenset[Role]) -> None:
    """Work until SIGINT or SIGTERM, then drain."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with _blaming("telemetry", "sdk_port"):
        runtime, sdk_url = sdk_runtime(bind=settings.telemetry.bind, port=settings.telemetry.sdk_port)
    client = await connect(settings, runtime)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        workers, needs = await stack.enter_async_context(build_workers(settings, client, roles, metrics))
        for worker in workers:
            await stack.enter_async_context(worker)
        health = HealthServer(
            registry=metrics.registry,
            checks={"temporal": _temporal_check(client)} | needs,
            bind=settings.telemetry.bind,
            port=settings.telemetry.port,
        )
        with _blaming("telemetry", "port"):
            await stack.enter_async_context(health)
        if Role.CONTROL in roles:
            await ensure_standing(client, settings)
        if Role.HOST in roles:
            await ensure_mirrored(client, settings)
        log.info("ready: %s; health %s, SDK metrics %s", ", ".join(sorted(roles)), health.url, sdk_url)
        await stop.wait()
        log.info("draining")


@contextmanager
def _blaming(*setting: str) -> Iterator[None]:
    """An address that cannot be listened on is a wrong setting."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as err:
        raise SettingsError(f"{variable(*setting)}: {err}; choose another port, or 0 for a free one") from err


def _temporal_check(client: Client) -> Check:
    async def check() -> str | None:
        try:
            healthy = await client.service_client.check_health()
        except RPCError as err:
            return f"Temporal does not answer: {err.message}"
        return None if healthy else "Temporal says that it is not healthy"

    return check


def roles_of(argv: list[str] | None) -> frozenset[Role]:
    """The roles that a command line asks for. Ends the process, as wrong arguments do, for what is none."""
    parser = argparse.ArgumentParser(prog="python -m holdfast.workers.main", description=__doc__)
    parser.add_argument("--role", action="append", default=[], help=f"{', '.join(Role)} or {ALL}; may be repeated")
    try:
        return parse_roles(parser.parse_args(argv).role)
    except ValueError as err:
        parser.error(str(err))


def main(argv: list[str] | None = None) -> int:
    roles = roles_of(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    try:
        asyncio.run(run(load_settings(), roles))
    except EXPECTED as err:
        return complain(err)
    return 0


def end(code: int) -> NoReturn:
    """End the process with this exit code, whatever the SDK's native threads do.

    They may abort a Python that tears itself down (sdk-python issue 300), when everything is done already.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    end(main())
