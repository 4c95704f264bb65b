"""Every history ever recorded replays on today's workflows, with no server at hand."""

import re
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from holdfast.workers.durable import SANDBOX, WORKFLOWS

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))

WHAT_TO_DO = """
{name} was recorded from workflows like those that run at users' this minute, and today's code would tell them another
story: their workers would fail each of their workflow tasks until the old code comes back.

Guard the change with `workflow.patched("what-changed")` so that both stories replay, and record a new history beside
the old one. Do not re-record this one.
"""


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_replays(path: Path):
    replayer = Replayer(workflows=WORKFLOWS, data_converter=pydantic_data_converter, workflow_runner=SANDBOX)
    history = WorkflowHistory.from_json(f"golden/{path.stem}", path.read_text())  # noqa: ASYNC240 (nobody waits)
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    assert result.replay_failure is None, f"{WHAT_TO_DO.format(name=path.name)}\n{result.replay_failure}"


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
