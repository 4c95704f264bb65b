"""Hundreds of workloads under one worker process, and many of their machines lost at once.

make chaos ARGS=tests/chaos/money/test_many.py
HOLDFAST_CHAOS_WORKLOADS=100 make chaos ARGS=tests/chaos/money/test_many.py
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from temporalio.client import WorkflowHandle

from holdfast.contracts import names
from holdfast.contracts.activities import ReportInput
from holdfast.contracts.incidents import Incident
from holdfast.contracts.workload import Phase, WorkloadStatus
from tests.chaos.money.yard import PATIENCE, Lane, a_lane, a_yard

pytestmark = pytest.mark.chaos

WORKLOADS = int(os.environ.get("HOLDFAST_CHAOS_WORKLOADS") or 500)
SPARE = 1.15  # machines for each workload
ONE_IN = 20
WITHIN = 60.0  # seconds
AT_ONCE = 6
FOR_EVER = 10.0**7  # seconds of work

Handle = WorkflowHandle[Any, Any]
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


async def test_many_machines_lost_in_a_minute_are_all_replaced_and_none_twice(tmp_path: Path) -> None:
    machines = [
        {"gpu": "RTX 4090", "price": 0.30, "bid": 0.15, "machine": 100 + n, "host": 9000 + n, "region": "Sweden, SE"}
        for n in range(round(WORKLOADS * SPARE) + 10)
    ]
    async with a_yard(tmp_path, 1, machines=machines, glance=0.5, patient=True) as free, a_lane(free) as lane:
        lane.stand_by()
        all_of_them = [f"m{number:04d}" for number in range(WORKLOADS)]
        began = time.monotonic()
        handles = dict(zip(all_of_them, await _each(all_of_them, lambda name: _begun(lane, name)), strict=True))
        placed_in = time.monotonic() - began

        lost = all_of_them[::ONE_IN]
        before = {name: await _events(lane, name) for name in lost}
        epochs = {name: (await _status(lane, handles[name])).epoch for name in lost}
        began = time.monotonic()
        for number, name in enumerate(lost):
            await asyncio.sleep(max(0.0, began + WITHIN * number / len(lost) - time.monotonic()))
            status = await _status(lane, handles[name])
            assert status.lease is not None
            await asyncio.to_thread(lane.control.outbid, int(status.lease.instance_id))
        await _each(lost, lambda name: _reaches(lane, handles[name], epoch=epochs[name] + 1))
        around = sorted([await _events(lane, name) - before[name] for name in lost])
        climbs = sorted([await _length(lane, names.failover_id(name, epochs[name])) for name in lost])

        states = await _each(all_of_them, lambda name: _status(lane, handles[name]))
        assert {state.phase for state in states} == {Phase.RUNNING}
        assert {state.name: state.incidents for state in states if state.incidents} == dict.fromkeys(lost, 1)
        assert lane.foreign <= {each["id"] for each in lane.control.instances()}
        await _until_one_machine_each(lane, all_of_them)
        assert lane.overdrawn == set()
        found = [each.recovery_time for name in lost for each in _incidents(lane, name)]
        took = sorted(each.total_seconds() for each in found if each is not None)
        assert len(took) == len(lost)
        print(  # noqa: T201 - what `make chaos` tells
            f"{WORKLOADS} workloads placed in {placed_in:.0f} s; {len(lost)} machines lost in {WITHIN:g} s, all "
            f"replaced, recovery p50 {took[len(took) // 2]:.1f} s, max {took[-1]:.1f} s; events of a failover "
            f"{climbs[len(climbs) // 2]} (p50), of all that is around it {around[len(around) // 2]}"
        )


async def _begun(lane: Lane, name: str) -> Handle:
    handle = await lane.run(name, seconds=FOR_EVER)
    await _reaches(lane, handle, epoch=1)
    return handle


async def _status(lane: Lane, handle: Handle) -> WorkloadStatus:
    while (status := await lane.status(handle)) is None:
        await asyncio.sleep(0.5)
    return status


async def _reaches(lane: Lane, handle: Handle, *, epoch: int) -> None:
    """The work runs, at this epoch or a later one."""
    async with asyncio.timeout(PATIENCE):
        while (status := await _status(lane, handle)).phase is not Phase.RUNNING or status.epoch < epoch:
            await asyncio.sleep(0.5)


async def _until_one_machine_each(lane: Lane, workloads: list[str]) -> None:
    """The machines that were lost are ended a little later; nobody ever has two that are paid for in the end."""
    async with asyncio.timeout(PATIENCE):
        while (held := _held(lane)) != dict.fromkeys(workloads, 1):
            await asyncio.sleep(1)
    assert sum(held.values()) == len(workloads)


def _held(lane: Lane) -> dict[str, int]:
    labels = (
        names.parse_label(each["label"] or "") for each in lane.control.instances() if each["id"] not in lane.foreign
    )
    return dict(Counter(parsed[0] for parsed in labels if parsed))


def _incidents(lane: Lane, name: str) -> list[Incident]:
    report = lane.records.report_workload(ReportInput(workload=name))
    assert report is not None
    return list(report.incidents)


async def _events(lane: Lane, name: str) -> int:
    """In the histories of all workflows of a workload."""
    total = 0
    async for run in lane.client.list_workflows(f"HoldfastWorkload = '{name}'"):
        total += await _length(lane, run.id, run.run_id)
    return total


async def _length(lane: Lane, workflow_id: str, run_id: str | None = None) -> int:
    return (await lane.client.get_workflow_handle(workflow_id, run_id=run_id).describe()).history_length


async def _each(given: Iterable[Asked], ask: Callable[[Asked], Awaitable[Answer]]) -> list[Answer]:
    """The answers in order; a few are asked at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(each: Asked) -> Answer:
        async with gate:
            return await ask(each)

    return list(await asyncio.gather(*(one(each) for each in given)))
