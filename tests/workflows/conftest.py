"""One dev server for all stories; each test gets a world and a worker of its own, on its own names."""

import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment

from holdfast.client.asking import AskingAgain
from holdfast.client.payloads import PAYLOADS
from holdfast.contracts import names
from holdfast.records.store import Records
from tests.temporal_servers import started
from tests.unit.records.makers import on_record
from tests.workflows.stage import Stage
from tests.workflows.stories import SUGGESTS_CONTINUE_AS_NEW, Story, run_stage, told_on

DYNAMIC_CONFIG = [
    "history.timerProcessorMaxPollRPS=1000",
    "history.transferProcessorMaxPollRPS=1000",
    "frontend.WorkerCommandsEnabled=true",  # prompt cancellation of activities
    "system.enableCancelActivityWorkerCommand=true",
    "frontend.WorkflowPauseEnabled=true",  # an operator's means, which must not look like an end
    f"limit.historyCount.suggestContinueAsNew={SUGGESTS_CONTINUE_AS_NEW}",  # reach continue-as-new within a test
]


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def temporal() -> AsyncIterator[WorkflowEnvironment]:
    binary = Path(sys.executable).parent / "temporal"
    flags = [flag for value in DYNAMIC_CONFIG for flag in ("--dynamic-config-value", value)]
    async with await started(
        lambda: WorkflowEnvironment.start_local(
            dev_server_existing_path=str(binary) if binary.exists() else shutil.which("temporal"),
            dev_server_log_level="error",
            data_converter=PAYLOADS,
            interceptors=[AskingAgain()],
            search_attributes=list(names.SEARCH_ATTRIBUTES),
            dev_server_extra_args=flags,
        )
    ) as environment:
        yield environment


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A server whose clocks tests move by hand: for stories that wait for minutes or hours."""
    binary = Path(sys.executable).parent / "temporal"
    values = [
        *DYNAMIC_CONFIG[:-1],
        "limit.historyCount.suggestContinueAsNew=60",
        "frontend.WorkflowTimeSkippingEnabled=true",
        'history.timerProcessorMaxTimeShift="1ms"',
    ]
    flags = [flag for value in values for flag in ("--dynamic-config-value", value)]
    async with await started(
        lambda: WorkflowEnvironment.start_time_skipping_v2(
            ts_config=TimeSkippingConfig(enabled=False),
            dev_server_existing_path=str(binary) if binary.exists() else shutil.which("temporal"),
            dev_server_log_level="error",
            data_converter=PAYLOADS,
            interceptors=[AskingAgain()],
            search_attributes=list(names.SEARCH_ATTRIBUTES),
            dev_server_extra_args=flags,
        )
    ) as environment:
        yield environment


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(temporal: WorkflowEnvironment) -> AsyncIterator[Stage]:
    """One for each file: its workers try all workflows in their sandbox, which takes longer than most stories."""
    async with run_stage(temporal.client) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def long_stage(skipping: WorkflowEnvironment) -> AsyncIterator[Stage]:
    """As `stage`, on the server whose clocks tests move."""
    async with run_stage(skipping.client) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def story(temporal: WorkflowEnvironment, stage: Stage) -> AsyncIterator[Story]:
    """A workload named after nobody else's, in a world of its own."""
    async with told_on(stage, temporal.client) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def long_story(skipping: WorkflowEnvironment, long_stage: Stage) -> AsyncIterator[Story]:
    """As `story`, on the server whose clocks tests move."""
    async with told_on(long_stage, skipping.client) as running:
        yield running


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    with on_record(tmp_path) as opened:
        yield opened
