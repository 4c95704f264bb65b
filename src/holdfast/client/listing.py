"""List workloads from the server's visibility store.

On purpose without `temporalio.client` and pydantic: this is what `holdfast ps` waits for, and their import takes
longer than the question to the server.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest
from temporalio.service import RPCError, ServiceClient

from holdfast.client.connection import unavailable

PAGE_SIZE = 200
# The wire names of `contracts/names`, which drags in the SDK; tests/unit/client holds the two together.
WORKLOAD_TYPE = "workload"
WORKLOAD, STATE, PROVIDER = "HoldfastWorkload", "HoldfastState", "HoldfastProvider"
GPU, EPOCH, HOURLY_USD = "HoldfastGpu", "HoldfastEpoch", "HoldfastHourlyUsd"


@dataclass(frozen=True, kw_only=True)
class WorkloadLine:
    """One workload as the server's listing shows it: a moment old at most."""

    name: str
    phase: str  # the workload's own word; for one that was ended from outside, the server's ("terminated")
    running: bool
    provider: str | None
    gpu: str | None
    epoch: int | None
    hourly: Decimal | None  # USD per hour of the machine it has now
    started_at: datetime
    closed_at: datetime | None


async def list_workloads(
    service: ServiceClient, namespace: str, *, include_closed: bool = False
) -> tuple[WorkloadLine, ...]:
    """Running workloads, newest first; with `include_closed` also those the server still remembers, by name once.

    Raises:
        TemporalUnavailable: the server does not answer.
    """
    query = f"WorkflowType = '{WORKLOAD_TYPE}'"
    if not include_closed:
        query += " AND ExecutionStatus = 'Running'"
    newest: dict[str, WorkloadLine] = {}
    token = b""
    while True:
        request = ListWorkflowExecutionsRequest(
            namespace=namespace, page_size=PAGE_SIZE, next_page_token=token, query=query
        )
        try:
            page = await service.workflow_service.list_workflow_executions(request, retry=True)
        except RPCError as err:
            raise unavailable(service.config.target_host, err) from err
        for info in page.executions:
            line = _line(info)
            newest.setdefault(line.name, line)  # the server lists the newest run of an id first
        token = page.next_page_token
        if not token:
            return tuple(newest.values())


def _line(info: WorkflowExecutionInfo) -> WorkloadLine:
    facts = {key: json.loads(payload.data) for key, payload in info.search_attributes.indexed_fields.items()}
    ended = info.HasField("close_time")
    hourly = facts.get(HOURLY_USD)
    return WorkloadLine(
        name=facts.get(WORKLOAD) or info.execution.workflow_id.partition("/")[2],
        phase=_phase(info, facts),
        running=not ended,
        provider=facts.get(PROVIDER),
        gpu=facts.get(GPU),
        epoch=facts.get(EPOCH),
        hourly=None if hourly is None else Decimal(str(hourly)),
        started_at=_moment(info.start_time),
        closed_at=_moment(info.close_time) if ended else None,
    )


def _phase(info: WorkflowExecutionInfo, facts: Mapping[str, Any]) -> str:
    """A workflow that was terminated or timed out could not say so itself: its last own word is stale."""
    told = WorkflowExecutionStatus.Name(info.status).removeprefix("WORKFLOW_EXECUTION_STATUS_").lower()
    if told in ("terminated", "timed_out", "canceled"):
        return told
    return str(facts.get(STATE) or told)


def _moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)
