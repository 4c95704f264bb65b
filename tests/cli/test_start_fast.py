"""What the quick commands must not import. Modules are counted, never seconds."""

import json
import subprocess
import sys

import pytest
from temporalio.client import Client

HEAVY = (
    "temporalio",
    "pydantic",
    "pydantic_settings",
    "rich",
    "asyncssh",
    "boto3",
    "obstore",
    "sqlmodel",
    "yaml",
    "httpx",
    "matplotlib",
    "numpy",
    "pandas",
    "scipy",
    "statsmodels",
)
SHOW = """
import json, os, sys
from holdfast.cli import app
code = app.run(sys.argv[1:])
print("\\n" + json.dumps([code, sorted(sys.modules)]), flush=True)
os._exit(0)  # as the real entry point does: the SDK's threads may abort an interpreter that is being torn down
"""


def loaded_by(*argv: str, **environment: str) -> tuple[int, set[str]]:
    ran = subprocess.run(
        [sys.executable, "-c", SHOW, *argv], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    code, modules = json.loads(ran.stdout.splitlines()[-1])
    return code, set(modules)


@pytest.mark.parametrize(
    "argv",
    [("--help",), (), ("ps", "--help"), ("version", "--help"), ("simulate", "--help"), ("market", "--help"), ("nope",)],
)
def test_help_imports_nothing_heavy(argv: tuple[str, ...]) -> None:
    _, modules = loaded_by(*argv)
    heavy = set(HEAVY) - {"temporalio"} if argv[:1] == ("ps",) else set(HEAVY)
    assert not heavy & modules


@pytest.mark.parametrize("command", ["run", "status", "logs", "offers", "report", "why", "pause", "stop", "checkpoint"])
def test_a_command_s_help_does_not_wait_for_the_sdk(command: str) -> None:
    _, modules = loaded_by(command, "--help")
    assert not {"temporalio", "pydantic_settings", "rich", "asyncssh", "boto3", "sqlmodel"} & modules


async def test_ps_asks_the_server_without_the_client_half_of_the_sdk(server: Client) -> None:
    code, modules = loaded_by("ps", TEMPORAL_ADDRESS=server.service_client.config.target_host)
    assert code == 0
    assert "temporalio.service" in modules
    unwanted = {
        "temporalio.client",
        "temporalio.converter",
        "pydantic",
        "pydantic_settings",
        "rich",
    }
    assert not (unwanted | set(HEAVY) - {"temporalio"}) & modules
