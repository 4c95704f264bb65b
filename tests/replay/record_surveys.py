"""Record golden histories of surveys: `python -m tests.replay.record_surveys [STORY …]`.

The rules are those of `record`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from temporalio.testing import WorkflowEnvironment

from holdfast.client.payloads import PAYLOADS
from holdfast.contracts import names
from holdfast.contracts.market import SurveyInput
from tests.replay.record import keep
from tests.workflows.test_survey import Chronicler, Exchange, serving


async def surveyed(story: str) -> None:
    async with _exchange() as exchange:
        await _keep(exchange, story, pause=timedelta(milliseconds=10))


async def silent(story: str) -> None:
    async with _exchange() as exchange:
        exchange.open.silent_about = {"RTX 4090"}
        exchange.shy.silent_about = {"all"}
        await _keep(exchange, story)


async def refitted(story: str) -> None:
    """Of two series one is forecast, and one cannot be."""
    async with _exchange() as exchange:
        await _with_a_past(exchange, story)


async def unfitted(story: str) -> None:
    """Nobody forecasts."""
    async with _exchange(analysis=False) as exchange:
        await _with_a_past(exchange, story)


STORIES: dict[str, Callable[[str], Awaitable[None]]] = {
    each.__name__: each for each in (surveyed, silent, refitted, unfitted)
}


@asynccontextmanager
async def _exchange(*, analysis: bool = True) -> AsyncIterator[Exchange]:
    with TemporaryDirectory() as folder:
        async with (
            await WorkflowEnvironment.start_local(
                dev_server_existing_path=str(Path(sys.executable).parent / "temporal"),
                dev_server_log_level="error",
                data_converter=PAYLOADS,
                search_attributes=list(names.SEARCH_ATTRIBUTES),
            ) as environment,
            serving(environment, Path(folder), analysis=analysis) as exchange,
        ):
            yield exchange


async def _with_a_past(exchange: Exchange, story: str) -> None:
    for gpu in ("L4", "RTX 4090"):
        exchange.remember(gpu, exchange.open.name)
    exchange.unfit = {"RTX 4090"}
    await _keep(exchange, story)


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


async def main(chosen: list[str]) -> None:
    for name in chosen or STORIES:
        await STORIES[name](name)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
