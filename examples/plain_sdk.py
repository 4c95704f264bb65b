"""Start a workload from any Temporal SDK: a workflow's name and plain JSON, without Holdfast installed.

    python examples/plain_sdk.py my-run

Needs only `pip install temporalio`. The address and namespace come from Temporal's own TEMPORAL_* variables and
profiles. Nothing is checked before the start here, as `holdfast run` would: the workload itself refuses a wrong spec.
"""

import asyncio
import sys
from typing import Any

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.envconfig import ClientConfig

SPEC = {
    "name": "my-run",
    "command": "for i in $(seq 1 30); do echo tick $i; sleep 1; done",
    "price": {"max_hourly": "0.50"},
    "checkpoint": {"every": "PT1M"},  # ISO 8601, or as in YAML: "1m"
}


async def start(client: Client, spec: dict[str, Any]) -> str:
    """Start the workload; its id is a lock, so that a name never runs twice. Returns the run id."""
    handle = await client.start_workflow(
        "workload",
        {"spec": spec},
        id=f"workload/{spec['name']}",
        task_queue="holdfast",
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
        static_summary=f"{spec['name']}: started from plain SDK code",
    )
    return handle.first_execution_run_id or ""


async def status(client: Client, name: str) -> dict[str, Any]:
    """Ask the workload what it is doing: the query `status` answers with plain JSON."""
    answer: dict[str, Any] = await client.get_workflow_handle(f"workload/{name}").query("status")
    return answer


async def stop(client: Client, name: str) -> dict[str, Any]:
    """End it: the update `stop` answers when the workload has taken it up."""
    handle = client.get_workflow_handle(f"workload/{name}")
    answer: dict[str, Any] = await handle.execute_update("stop", {"reason": "example over", "save": False})
    return answer


async def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else SPEC["name"]
    connection = ClientConfig.load_client_connect_config()
    connection.setdefault("target_host", "localhost:7233")
    client = await Client.connect(**connection)
    print("run", await start(client, {**SPEC, "name": name}))
    print("status", await status(client, name))


if __name__ == "__main__":
    asyncio.run(main())
