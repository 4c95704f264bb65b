"""What a worker says, and with which exit code it ends, when it cannot start."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from holdfast.cli.errors import row_for
from holdfast.records import schema
from holdfast.workers.complaints import EXIT_CODES
from holdfast.workers.roles import Role, parse_roles
from holdfast.workers.stack.plan import find_program
from tests.temporal_servers import started

NOBODY = "127.0.0.1:1"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server() -> AsyncIterator[str]:
    """The address of a Temporal server."""
    async with await started(
        lambda: WorkflowEnvironment.start_local(dev_server_existing_path=find_program("temporal"))
    ) as environment:
        yield environment.client.service_client.config.target_host


def start(folder: Path, role: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A worker process with this environment and no other settings; it must end by itself."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "TEMPORAL_"))}
    told = inherited | {"HOLDFAST_DATA_DIR": str(folder)} | environment
    command = [sys.executable, "-m", "holdfast.workers.main", "--role", role]
    return subprocess.run(command, env=told, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_every_exit_code_is_the_one_of_the_command_line() -> None:
    for kind, code in EXIT_CODES.items():
        row = row_for(kind("what happened"))
        assert row is not None and row.code == code, kind


def test_without_a_server_it_says_so_and_what_to_do(tmp_path: Path) -> None:
    ended = start(tmp_path, "analysis", TEMPORAL_ADDRESS=NOBODY)
    assert ended.returncode == 8
    assert f"no Temporal server answers at {NOBODY}" in ended.stderr
    assert "TEMPORAL_ADDRESS" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_a_missing_namespace_is_named(tmp_path: Path, server: str) -> None:
    ended = start(tmp_path, "analysis", TEMPORAL_ADDRESS=server, TEMPORAL_NAMESPACE="elsewhere")
    assert ended.returncode == 8
    assert "no namespace 'elsewhere'" in ended.stderr
    assert "temporal operator namespace create" in ended.stderr


async def test_records_that_were_never_set_up_are_not_used(tmp_path: Path, server: str) -> None:
    ended = start(tmp_path, "control", TEMPORAL_ADDRESS=server)
    assert ended.returncode == 14
    assert "holdfast records migrate" in ended.stderr


async def test_records_that_do_not_answer_are_named_without_their_password(tmp_path: Path, server: str) -> None:
    url = f"postgresql://holdfast:a-password@{NOBODY}/holdfast"
    ended = start(tmp_path, "control", TEMPORAL_ADDRESS=server, HOLDFAST_RECORDS_URL=url)
    assert ended.returncode == 14
    assert "HOLDFAST_RECORDS_URL" in ended.stderr
    assert "a-password" not in ended.stderr


async def test_a_provider_worker_without_a_provider_says_how_to_name_one(tmp_path: Path, server: str) -> None:
    ended = start(tmp_path, "provider", TEMPORAL_ADDRESS=server)
    assert ended.returncode == 18
    assert "HOLDFAST_PROVIDERS__" in ended.stderr


async def test_a_provider_that_nobody_knows_is_a_wrong_setting(tmp_path: Path, server: str) -> None:
    ended = start(tmp_path, "provider", TEMPORAL_ADDRESS=server, HOLDFAST_PROVIDERS__VASTT__API_KEY="key")
    assert ended.returncode == 78
    assert "HOLDFAST_PROVIDERS__VASTT" in ended.stderr
    assert "there are: gcp, tensordock, vast" in ended.stderr


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    ended = start(tmp_path, "host", HOLDFAST_STORE__KIND="floppy")
    assert ended.returncode == 78
    assert "HOLDFAST_STORE__KIND" in ended.stderr


async def test_a_port_that_is_taken_is_named(tmp_path: Path, server: str) -> None:
    schema.migrate(f"sqlite:///{tmp_path / 'records.db'}")
    port = server.rpartition(":")[2]
    for variable in ("HOLDFAST_TELEMETRY__PORT", "HOLDFAST_TELEMETRY__SDK_PORT"):
        ended = start(tmp_path, "analysis", TEMPORAL_ADDRESS=server, **{variable: port})
        assert ended.returncode == 78, ended.stderr
        assert variable in ended.stderr
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("role", "unneeded"),
    [
        ("control", ("asyncssh", "boto3", "httpx", "alembic")),
        ("provider", ("sqlalchemy", "boto3")),
        ("host", ("sqlalchemy", "httpx")),
        ("analysis", ("sqlalchemy", "httpx")),
        ("gateway", ("sqlalchemy", "boto3", "httpx")),
    ],
)
def test_a_worker_loads_nothing_that_its_role_does_not_use(role: str, unneeded: tuple[str, ...]) -> None:
    code = f"import sys, holdfast.workers.main, holdfast.workers.crews.{role}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(unneeded) & set(loaded)


async def test_a_gateways_port_that_is_taken_is_named(tmp_path: Path, server: str) -> None:
    port = server.rpartition(":")[2]
    ended = start(tmp_path, "gateway", TEMPORAL_ADDRESS=server, HOLDFAST_GATEWAY__PORT=port)
    assert ended.returncode == 78, ended.stderr
    assert "HOLDFAST_GATEWAY__PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_gateway_runs_only_where_it_is_asked_for() -> None:
    assert Role.GATEWAY not in parse_roles([])
    assert Role.GATEWAY not in parse_roles(["all"])
    assert parse_roles(["all,gateway"]) == frozenset(Role)
    assert parse_roles(["gateway"]) == {Role.GATEWAY}
    with pytest.raises(ValueError, match="no such role"):
        parse_roles(["all", "gate"])
