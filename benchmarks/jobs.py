"""A thousand jobs of one tenant in its queue: how many a second, and is it fair?

    python benchmarks/jobs.py                           # a thousand jobs of three keys, 32 at a time
    python benchmarks/jobs.py --jobs 300 --takes 0.1    # how many a second, where jobs take next to nothing

The workflows of jobs and their queue are the real ones, on a real Temporal server, with the real records; both are in
SQLite, on disk as `holdfast up` has them. In the place of workloads there are stand-ins that rent nothing and take
between half of `--takes` and half as much again: what is measured is the orchestrator, not machines.

1. Submit all jobs, a key after the other: whoever is served as they come would give the last key nothing for long.
   Until all are there one runs at a time.
2. Let as many run as may, and wait until all have succeeded.
3. Shares are the running time that each key had while all keys had jobs waiting; they should be equal.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from job_parts import TAKES, StandIn
from stack import say
from temporalio.client import Client, WorkflowHandle
from temporalio.common import Priority
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import PollerBehaviorAutoscaling, Worker

from holdfast.activities.job_records import JobRecords
from holdfast.client.payloads import PAYLOADS
from holdfast.contracts import names
from holdfast.contracts.jobs import FIRST, JobInput, JobPhase, JobSpec, JobStatus, QueueInput, QueueSpec, QueueStatus
from holdfast.contracts.spec import PriceSpec
from holdfast.records.schema import migrate
from holdfast.records.store import Records
from holdfast.settings import ControlSettings
from holdfast.workers.bytecode import keep_bytecode
from holdfast.workers.durable import SANDBOX
from holdfast.workers.main import end
from holdfast.workers.stack.services import DYNAMIC_CONFIG, SQLITE_PRAGMAS
from holdfast.workflows.job import JobWorkflow
from holdfast.workflows.job_queue import JobQueueWorkflow

KEYS = ("red", "green", "blue")
TENANT = "bench"
AT_A_TIME = 10  # submissions under way together, as of an array
THREADS = 8
WORKER = ControlSettings()  # as it is where nobody has said anything


@dataclass(frozen=True, kw_only=True)
class Found:
    jobs: int
    at_once: int
    takes: float
    load: float
    submitted_per_second: float
    seconds: float  # from the first submission to the last end
    jobs_per_second: float
    shares: dict[str, float]  # of the running time while all keys waited; a third each is fair
    off: float  # the largest distance from that, in parts of it
    longest_wait: float  # seconds
    busy: float  # of the places, while jobs waited


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--jobs", type=int, default=1000)
    options.add_argument("--at-once", type=int, default=32)
    options.add_argument("--takes", type=float, default=8.0, help="seconds, in the mean")
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    found = asyncio.run(measured(chosen.jobs, chosen.at_once, chosen.takes))
    tell(found)
    if chosen.json:
        chosen.json.write_text(json.dumps(asdict(found), indent=2) + "\n")


async def measured(jobs: int, at_once: int, takes: float) -> Found:
    load = os.getloadavg()[0]
    binary = Path(sys.executable).parent / "temporal"
    with tempfile.TemporaryDirectory() as folder:
        keep_bytecode(Path(folder))
        url = f"sqlite:///{folder}/records.db"
        migrate(url)
        records = Records.open(url)
        async with await WorkflowEnvironment.start_local(
            dev_server_existing_path=str(binary) if binary.exists() else shutil.which("temporal"),
            dev_server_log_level="error",
            data_converter=PAYLOADS,
            search_attributes=list(names.SEARCH_ATTRIBUTES),
            dev_server_database_filename=f"{folder}/temporal.db",
            dev_server_extra_args=[
                *(each for value in DYNAMIC_CONFIG for each in ("--dynamic-config-value", value)),
                *(each for value in SQLITE_PRAGMAS for each in ("--sqlite-pragma", value)),
            ],
        ) as server:
            with ThreadPoolExecutor(THREADS) as threads:
                async with worker(server.client, records, threads):
                    return await run(server.client, jobs, at_once, takes, load)


def worker(client: Client, records: Records, threads: ThreadPoolExecutor) -> Worker:
    return Worker(
        client,
        task_queue=names.CONTROL_QUEUE,
        workflows=[JobWorkflow, JobQueueWorkflow, StandIn],
        workflow_runner=SANDBOX,
        activities=JobRecords(records, client).all(),
        activity_executor=threads,
        max_concurrent_activities=THREADS,
        max_cached_workflows=WORKER.cached_workflows,
        max_concurrent_workflow_tasks=WORKER.workflow_tasks,
        activity_task_poller_behavior=PollerBehaviorAutoscaling(),
    )


async def run(client: Client, jobs: int, at_once: int, takes: float, load: float) -> Found:
    queue = await client.start_workflow(
        names.JOB_QUEUE,
        QueueInput(tenant=TENANT),
        id=names.job_queue_id(TENANT),
        task_queue=names.CONTROL_QUEUE,
        priority=Priority(priority_key=FIRST),
    )
    await queue.execute_update("set_limit", 1, result_type=QueueStatus)
    numbers = random.Random(7)
    orders = [
        (KEYS[number * len(KEYS) // jobs], number, numbers.uniform(takes / 2, takes * 1.5)) for number in range(jobs)
    ]
    slots = asyncio.Semaphore(AT_A_TIME)
    began = time.monotonic()
    handles = await asyncio.gather(*(submitted(client, slots, *order) for order in orders))
    submitting = time.monotonic() - began
    say(f"{jobs} jobs submitted in {submitting:.1f} s")
    while await _seen(queue) < jobs:  # noqa: ASYNC110 (a server tells)
        await asyncio.sleep(2)
    all_wait_at = datetime.now(UTC)
    say(f"all wait after {time.monotonic() - began:.1f} s")
    await queue.execute_update("set_limit", at_once, result_type=QueueStatus)
    ended = [await each.result() for each in handles]  # one after the other: a thousand open requests are load, too
    took = time.monotonic() - began
    assert all(each.phase is JobPhase.SUCCEEDED for each in ended), Counter(each.phase for each in ended)
    return judged(ended, all_wait_at, at_once, takes=takes, load=load, submitting=submitting, took=took)


async def _seen(queue: WorkflowHandle[Any, Any]) -> int:
    """How many jobs have asked for a place. Where nobody answers in time, it is asked again."""
    try:
        status: QueueStatus = await queue.query("status", result_type=QueueStatus)
    except RPCError:
        return 0
    return status.waits + len(status.running) + status.done


async def submitted(
    client: Client, slots: asyncio.Semaphore, key: str, number: int, takes: float
) -> WorkflowHandle[Any, JobStatus]:
    spec = JobSpec(
        name=f"{key}-{number}",
        command="true",
        price=PriceSpec(max_hourly=Decimal(1)),
        tenant=TENANT,
        queue=QueueSpec(fairness_key=key),
        environment={TAKES: f"{takes:.3f}"},
    )
    async with slots:
        return await client.start_workflow(
            names.JOB,
            JobInput(spec=spec),
            id=names.job_id(spec.name),
            task_queue=names.CONTROL_QUEUE,
            result_type=JobStatus,
        )


def judged(
    ended: list[JobStatus],
    all_wait_at: datetime,
    at_once: int,
    *,
    takes: float,
    load: float,
    submitting: float,
    took: float,
) -> Found:
    """While all keys had jobs waiting: from when all were there until the first key had none left."""
    dry = min(max(_began(each) for each in ended if each.fairness_key == key) for key in KEYS)
    had: Counter[str] = Counter()
    for each in ended:
        had[each.fairness_key] += _overlap(_began(each), _over(each), all_wait_at, dry)
    whole = sum(had.values())
    shares = {key: had[key] / whole for key in KEYS}
    return Found(
        jobs=len(ended),
        at_once=at_once,
        takes=takes,
        load=load,
        submitted_per_second=len(ended) / submitting,
        seconds=took,
        jobs_per_second=len(ended) / took,
        shares=shares,
        off=max(abs(share * len(KEYS) - 1) for share in shares.values()),
        longest_wait=max((_began(each) - each.submitted_at).total_seconds() for each in ended),
        busy=whole / ((dry - all_wait_at).total_seconds() * at_once),
    )


def _began(status: JobStatus) -> datetime:
    return status.attempts[0].began_at


def _over(status: JobStatus) -> datetime:
    return status.ended_at or status.since


def _overlap(began: datetime, ended: datetime, first: datetime, last: datetime) -> float:
    return max((min(ended, last) - max(began, first)) / timedelta(seconds=1), 0.0)


def tell(found: Found) -> None:
    print(
        f"{found.jobs} jobs of {found.takes:g} s, {found.at_once} at a time, load average {found.load:.1f} at the start"
    )
    print(f"submitted       {found.submitted_per_second:8.1f} a second")
    print(f"run             {found.jobs_per_second:8.1f} a second, {found.seconds:.0f} s in all")
    print(f"places in use   {found.busy:8.1%} while all keys waited")
    print(f"longest wait    {found.longest_wait:8.1f} s")
    for key, share in found.shares.items():
        print(f"share of {key:6} {share:8.2%}")
    print(f"off by          {found.off:8.2%} of a fair share")


if __name__ == "__main__":
    main()
    end(0)
