"""Every history ever recorded replays on today's workflows, with no server at hand."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from holdfast.client.payloads import PAYLOADS
from holdfast.workers.durable import SANDBOX, WORKFLOWS

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))

WHAT_TO_DO = """
{name} was recorded from workflows like those that run at users' this minute, and today's code would tell them another
story: their workers would fail each of their workflow tasks until the old code comes back.

Guard the change with `workflow.patched("what-changed")` so that both stories replay, and record a new history beside
the old one. Do not re-record this one.
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def failures(request: pytest.FixtureRequest) -> dict[str, Exception | None]:
    """Of all histories that are to be replayed, by one replayer: to make one takes five times as long as a replay."""
    paths = {each.callspec.params.get("path") for each in request.session.items if hasattr(each, "callspec")}

    async def wanted() -> AsyncIterator[WorkflowHistory]:
        for path in HISTORIES:
            if path in paths:
                yield WorkflowHistory.from_json(path.stem, path.read_text())

    replayer = Replayer(workflows=WORKFLOWS, data_converter=PAYLOADS, workflow_runner=SANDBOX)
    async with replayer.workflow_replay_iterator(wanted()) as results:
        return {each.history.workflow_id: each.replay_failure async for each in results}


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_replays(failures: dict[str, Exception | None], path: Path):
    failure = failures[path.stem]
    assert failure is None, f"{WHAT_TO_DO.format(name=path.name)}\n{failure}"


def test_every_workflow_has_a_history():
    recorded = {re.sub(r"(-(e|run)\d+)*$", "", path.stem.split(".")[1]) for path in HISTORIES}
    assert recorded >= {
        "workload",
        "failover",
        "checkpoints",
        "release",
        "disk",
        "pool",
        "model",
        "endpoint",
        "deployment",
        "job",
        "fine-tune",
        "job-queue",
        "survey",
    }
