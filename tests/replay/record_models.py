"""Record golden histories of registrations: `python -m tests.replay.record_models`. The rules are those of `record`."""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from temporalio.testing import WorkflowEnvironment

from holdfast.client.payloads import PAYLOADS
from holdfast.contracts import names
from tests import hub as hubs
from tests import tiny_model
from tests.replay.record import keep
from tests.workflows.registry import Registry


async def main() -> None:
    with TemporaryDirectory() as folder, hubs.running() as hub:
        hub.models["org/tiny"] = hubs.Shelf(files=tiny_model.files())
        async with await WorkflowEnvironment.start_local(
            dev_server_existing_path=str(Path(sys.executable).parent / "temporal"),
            dev_server_log_level="error",
            data_converter=PAYLOADS,
            search_attributes=list(names.SEARCH_ATTRIBUTES),
        ) as environment:
            registry = Registry(environment.client, Path(folder), hub)
            async with registry.serving():
                await registry.register("tiny")
                await keep(environment.client, "registered", names.model_id("tiny"))
                await registry.register("other")
                await registry.register("other")  # known: nothing is fetched
                await keep(environment.client, "known", names.model_id("other"))
            registry.records.close()


if __name__ == "__main__":
    asyncio.run(main())
