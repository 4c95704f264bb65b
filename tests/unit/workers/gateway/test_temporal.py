"""The contract over a real Temporal server, and the gateway as a process of its own."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from holdfast.client.payloads import PAYLOADS
from holdfast.contracts import names
from holdfast.contracts.endpoints import (
    EndpointCard,
    EndpointPhase,
    IdleNotice,
    Pass,
    Route,
    WakeRequest,
)
from holdfast.workers.gateway.doorkeeper import Away
from holdfast.workers.gateway.temporal import TemporalDoorkeeper
from holdfast.workers.stack.plan import find_program
from tests.temporal_servers import started
from tests.unit.workers.gateway.backend import Backend
from tests.unit.workers.gateway.desk import TOKEN, card, route

NOTICE = IdleNotice(gateway="gateway-1", quiet_for=timedelta(seconds=5))
ASK = WakeRequest(gateway="gateway-1", waiting=3, in_flight={"chat-r0": 2}, broken=("chat-r0.e1",))


@workflow.defn(name=names.ENDPOINT)
class Endpoint:
    """An endpoint that is awake, and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @workflow.run
    async def run(self, routes: list[Route]) -> None:
        self.routes = routes
        await workflow.wait_condition(lambda: False)

    @workflow.signal
    def called(self, request: WakeRequest) -> None:
        self.told.append(f"{request.waiting} {dict(request.in_flight)} {request.broken}")

    @workflow.query
    def pass_now(self) -> Pass:
        if not self.routes:
            return Pass(phase=EndpointPhase.WAKING, reason="no budget is left")
        return Pass(phase=EndpointPhase.READY, routes=tuple(self.routes))

    @workflow.signal
    def idle(self, notice: IdleNotice) -> None:
        self.told.append(f"idle {notice.quiet_for}")

    @workflow.query
    def heard(self) -> list[str]:
        return self.told


@activity.defn(name="list_endpoints")
async def list_endpoints() -> list[EndpointCard]:
    return [card(models=("llama-3",))]


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Client]:
    program = find_program("temporal")
    async with await started(
        lambda: WorkflowEnvironment.start_local(dev_server_existing_path=program, data_converter=PAYLOADS)
    ) as environment:
        yield environment.client


@asynccontextmanager
async def endpoint(client: Client, routes: list[Route]) -> AsyncIterator[None]:
    async with Worker(
        client,
        task_queue=names.CONTROL_QUEUE,
        workflows=[Endpoint],
        activities=[list_endpoints],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        handle = await client.start_workflow(
            Endpoint.run, routes, id=names.endpoint_id("chat"), task_queue=names.CONTROL_QUEUE
        )
        try:
            yield
        finally:
            await handle.terminate()


async def test_the_doorkeeper_reads_the_directory_and_asks_and_tells_the_workflow(server: Client) -> None:
    doorkeeper = TemporalDoorkeeper(server)
    there = route(8000)
    async with endpoint(server, [there]):
        assert await doorkeeper.cards() == (card(models=("llama-3",)),)
        assert await doorkeeper.wake("chat", ASK) == Pass(phase=EndpointPhase.READY, routes=(there,))
        await doorkeeper.idle("chat", NOTICE)
        heard = await server.get_workflow_handle(names.endpoint_id("chat")).query(Endpoint.heard)
        assert heard == ["3 {'chat-r0': 2} ('chat-r0.e1',)", "idle 0:00:05"]


async def test_who_is_not_awake_in_time_says_why(server: Client) -> None:
    async with endpoint(server, []):
        briefly = WakeRequest(gateway="gateway-1", waiting=1, answer_within=timedelta(milliseconds=300))
        given = await TemporalDoorkeeper(server).wake("chat", briefly)
        assert (given.routes, given.reason) == ((), "no budget is left")


async def test_an_endpoint_that_does_not_run_is_said_to_be_stopped(server: Client) -> None:
    with pytest.raises(Away, match="stopped, or was never started"):
        await TemporalDoorkeeper(server).wake("nobody", ASK)


async def test_the_gateway_runs_as_a_worker_and_ends_when_told(
    server: Client, backend: Backend, tmp_path: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "TEMPORAL_"))}
    environment |= {
        "HOLDFAST_DATA_DIR": str(tmp_path),
        "TEMPORAL_ADDRESS": server.service_client.config.target_host,
        "TEMPORAL_NAMESPACE": server.namespace,
    }
    async with endpoint(server, []):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "holdfast.workers.main", "--role", "gateway"),
            env=environment,
            cwd=tmp_path,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        try:
            url = await _announced(process.stderr)
            headers = {"authorization": f"Bearer {TOKEN}"}
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as http:
                assert (await http.get("/healthz")).status_code == 200
                listed = [each["id"] for each in (await http.get("/v1/models")).json()["data"]]
                assert listed == ["llama-3", "chat"]
            process.send_signal(signal.SIGTERM)
            rest = (await process.stderr.read()).decode()
            assert await process.wait() == 0
            assert 'path="/v1/models" status=200' in rest
            assert TOKEN not in rest
        finally:
            if process.returncode is None:
                process.kill()


async def _announced(log: asyncio.StreamReader) -> str:
    while line := (await log.readline()).decode():
        if found := re.search(r"gateway at (http://127\.0\.0\.1:\d+)", line):
            return found[1]
    raise AssertionError("it ended without a word")
