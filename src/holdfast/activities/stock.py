"""What is owned, by the records and by the workloads that run; and what becomes of machines that are not."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.client import Client

from holdfast.activities.running import runs
from holdfast.activities.translation import translated
from holdfast.contracts import names
from holdfast.contracts.machines import OpenLease
from holdfast.contracts.reports import LeaseLine
from holdfast.contracts.sweeping import Finding, JudgeInput, Ruling, Stock
from holdfast.records.store import Records
from holdfast.telemetry.metrics import Metrics

_RUNNING = f"WorkflowType IN ('{names.WORKLOAD}', '{names.WARM_POOL}') AND ExecutionStatus = 'Running'"
_OWNED = (
    f"WorkflowType IN ('{names.WORKLOAD}', '{names.ENDPOINT}') AND ExecutionStatus = 'Running' AND ("
    + " OR ".join(
        f"ParentWorkflowId STARTS_WITH '{each('')}'" for each in (names.endpoint_id, names.job_id, names.deployment_id)
    )
    + ")"
)
"""What would wait for ever for the word of a workflow that was ended by force."""
_ASKED_AT_ONCE = 20
FRESH = timedelta(minutes=5)
"""More than any provider's listing is known to lag behind."""
ABANDONED_TOLD = 500
"""In one answer, oldest first, so that no message grows too big; the next sweep is told of others."""


class StockActivities:
    """The sweep's questions to the records and to the server."""

    def __init__(self, records: Records, client: Client, *, metrics: Metrics) -> None:
        self._records = records
        self._client = client
        self._metrics = metrics

    @activity.defn
    async def take_stock(self, provider: str) -> Stock:
        with translated():
            lines = await asyncio.to_thread(self._records.open_leases, provider)
            mark = await asyncio.to_thread(self._records.mark)
            copies = await asyncio.to_thread(self._records.open_disk_copies_at, provider)
        running = await self._running({_workload_of(line) for line in lines} | {copy.workload for copy in copies})
        kept = [copy.name for copy in copies if copy.current and copy.workload in running]
        owned = [line for line in lines if _workload_of(line) in running]
        abandoned = [line for line in lines if _workload_of(line) not in running]
        return Stock(
            owned=tuple(line.instance_id for line in owned if line.instance_id),
            fresh=tuple(line.instance_id for line in owned if line.instance_id and _is_fresh(line)),
            launching=tuple(line.label for line in owned if not line.instance_id),
            abandoned=tuple(
                OpenLease(provider=line.provider, label=line.label, instance_id=line.instance_id)
                for line in abandoned[:ABANDONED_TOLD]
            ),
            mark=mark,
            copies=tuple(kept),
            left_copies=tuple(copy.name for copy in copies if copy.name not in kept)[:ABANDONED_TOLD],
            orphans=tuple(await self._orphans())[:ABANDONED_TOLD],
        )

    @activity.defn
    async def judge_strangers(self, order: JudgeInput) -> list[Finding]:
        with translated():
            findings = await asyncio.to_thread(self._records.judge_strangers, order)
        self._metrics.strangers(order.provider, {ruling: _count(findings, ruling) for ruling in Ruling})
        return findings

    async def _running(self, workloads: set[str]) -> set[str]:
        """Those that have a run. The server's list may lag, so one that is not in it is asked for by name."""
        listed = {execution.id async for execution in self._client.list_workflows(_RUNNING)} if workloads else set()
        found = {name for name in workloads if names.owner_id(name) in listed}
        unlisted = sorted(workloads - found)
        for start in range(0, len(unlisted), _ASKED_AT_ONCE):
            some = unlisted[start : start + _ASKED_AT_ONCE]
            activity.heartbeat(start)
            answers = await asyncio.gather(*(self._is_running(name) for name in some))
            found.update(name for name, runs in zip(some, answers, strict=True) if runs)
        return found

    async def _orphans(self) -> list[str]:
        """Replicas, attempts and releases whose owner was ended by force: nobody would ever put them to sleep."""
        owners: dict[str, list[str]] = {}
        async for execution in self._client.list_workflows(_OWNED):
            owners.setdefault(execution.parent_id or "", []).append(execution.id)
        gone = [owner for owner in sorted(owners) if owner and not await runs(self._client, owner)]
        return sorted(orphan for owner in gone for orphan in owners[owner])

    async def _is_running(self, workload: str) -> bool:
        return await runs(self._client, names.owner_id(workload))


def _is_fresh(line: LeaseLine) -> bool:
    return line.launched_at is not None and datetime.now(UTC) - line.launched_at < FRESH


def _workload_of(line: LeaseLine) -> str:
    parsed = names.parse_label(line.label)
    return parsed[0] if parsed else line.label


def _count(findings: Iterable[Finding], ruling: Ruling) -> int:
    return sum(1 for finding in findings if finding.ruling is ruling)
