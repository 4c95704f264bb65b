"""The real servers: ready when they say so, and everything kept across kills and restarts."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import S3Store

from holdfast.contracts.names import SEARCH_ATTRIBUTE_TYPES
from holdfast.embedded import start_time
from holdfast.settings import Settings, load_settings
from holdfast.workers.stack import probes
from holdfast.workers.stack.commands import down
from holdfast.workers.stack.plan import find_program
from holdfast.workers.stack.state import Home
from tests.unit.stack.conftest import Stack, eventually

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("real_market_and_records")


@pytest.fixture
def real_market_and_records(stack: Stack) -> None:
    assert stack.up(detach=True).wait(60) == 0, stack.said()


def settings_of(stack: Stack) -> Settings:
    return load_settings(data_dir=stack.data_dir)


def bucket(stack: Stack) -> S3Store:
    found = settings_of(stack).store
    assert found.bucket and found.access_key_id and found.secret_access_key
    return S3Store(
        found.bucket,
        endpoint=found.endpoint,
        region=found.region,
        access_key_id=found.access_key_id.get_secret_value(),
        secret_access_key=found.secret_access_key.get_secret_value(),
        client_options={"allow_http": True},
    )


def port(stack: Stack, name: str) -> int:
    state = Home(stack.data_dir).read()
    assert state is not None
    return int(state.plan["ports"][name])


def temporal(stack: Stack, *arguments: str) -> Any:
    address = settings_of(stack).embedded_temporal
    assert address is not None
    command = [find_program("temporal"), *arguments, "--address", address.address, "--output", "json"]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def test_the_store_and_the_server_keep_what_they_were_given(stack: Stack) -> None:
    assert probes.search_attributes(port(stack, "temporal-http"), "default") == set(SEARCH_ATTRIBUTE_TYPES)
    bucket(stack).put("kept", b"bytes")
    started = temporal(stack, "workflow", "start", "--type", "waits", "--task-queue", "nobody", "--workflow-id", "kept")

    for name in ("store", "temporal"):
        stack.kill(stack.pid(name))
        eventually(lambda name=name: stack.lives(name, restarts=1))
    # Ready again is later than alive again.
    eventually(lambda: probes.answers(port(stack, "temporal-http"), "/api/v1/namespaces/default"))
    eventually(lambda: probes.answers(port(stack, "s3"), "/healthz"))
    pids = [each.pid for each in stack.status().processes]
    down(stack.data_dir, lambda _: None)
    assert not any(start_time(pid) for pid in pids)

    stack.up(detach=True)
    assert obstore.get(bucket(stack), "kept").bytes() == b"bytes"
    found = temporal(stack, "workflow", "describe", "--workflow-id", "kept")
    assert found["workflowExecutionInfo"]["execution"]["runId"] == started["runId"]


def test_the_namespace_job_of_the_deployment_runs_against_a_real_server_and_may_be_repeated(stack: Stack) -> None:
    address = settings_of(stack).embedded_temporal
    assert address is not None
    path = f"{Path(find_program('temporal')).parent}:{os.environ['PATH']}"
    environ = os.environ | {"PATH": path, "TEMPORAL_ADDRESS": address.address, "TEMPORAL_NAMESPACE": "deployed"}
    for _ in range(2):
        subprocess.run(["sh", ROOT / "deploy/temporal/namespace.sh"], env=environ, check=True)
    registered = probes.search_attributes(port(stack, "temporal-http"), "deployed")
    assert registered is not None
    assert set(SEARCH_ATTRIBUTE_TYPES) <= registered
