"""Record golden histories of surveys: `python -m tests.replay.record_surveys`. The rules are those of `record`."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from temporalio.testing import WorkflowEnvironment

from holdfast.client.payloads import PAYLOADS
from holdfast.contracts import names
from holdfast.contracts.market import SurveyInput
from tests.replay.record import keep
from tests.workflows.test_survey import Chronicler, Exchange, serving


async def main() -> None:
    with TemporaryDirectory() as folder:
        async with (
            await WorkflowEnvironment.start_local(
                dev_server_existing_path=str(Path(sys.executable).parent / "temporal"),
                dev_server_log_level="error",
                data_converter=PAYLOADS,
                search_attributes=list(names.SEARCH_ATTRIBUTES),
            ) as environment,
            serving(environment, Path(folder)) as exchange,
        ):
            await _keep(exchange, "surveyed", pause=timedelta(milliseconds=10))
            exchange.open.silent_about = {"RTX 4090"}
            exchange.shy.silent_about = {"all"}
            await _keep(exchange, "silent")


async def _keep(exchange: Exchange, story: str, *, pause: timedelta = timedelta()) -> None:
    assert isinstance(exchange.shy, Chronicler)
    order = SurveyInput(
        providers=(exchange.open.name, exchange.shy.name),
        gpus=("L4", "RTX 4090"),
        every=timedelta(seconds=1),
        pause=pause,
    )
    workflow_id = f"{names.SURVEY}/{story}"
    await exchange.client.execute_workflow(names.SURVEY, order, id=workflow_id, task_queue=names.CONTROL_QUEUE)
    await keep(exchange.client, story, workflow_id)


if __name__ == "__main__":
    asyncio.run(main())
