"""Who has a run, by the server's word: whatever is not over owns its machines."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.api.workflowservice.v1 import PauseWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment

from holdfast.activities import stock as activities_of_stock
from holdfast.activities.stock import StockActivities
from holdfast.contracts import names
from holdfast.contracts.activities import CommitCheckpointInput
from holdfast.contracts.disks import PlanCopyInput
from holdfast.contracts.pools import HandOverInput
from holdfast.contracts.sweeping import Stock
from holdfast.records.store import Records
from holdfast.telemetry.metrics import Metrics
from tests.unit.records.makers import MARK, checkpoint, claim, lease, opening


async def begins(client: Client, records: Records) -> WorkflowHandle[object, object]:
    """A workload with a machine, of which no worker takes care at the moment."""
    name = f"w{uuid.uuid4().hex[:10]}"
    records.open_workload(opening(name))
    records.claim_epoch(claim(1, name))
    records.record_lease(lease(1, name))
    return await client.start_workflow(names.WORKLOAD, id=names.workload_id(name), task_queue=f"nobody-{name}")


async def stock(client: Client, records: Records) -> Stock:
    return await ActivityEnvironment().run(StockActivities(records, client, metrics=Metrics()).take_stock, "vast")


async def test_a_workload_that_somebody_paused_at_the_server_keeps_its_machine(
    temporal: WorkflowEnvironment, records: Records
) -> None:
    client = temporal.client
    handle = await begins(client, records)
    await client.workflow_service.pause_workflow_execution(
        PauseWorkflowExecutionRequest(
            namespace=client.namespace, workflow_id=handle.id, run_id=handle.first_execution_run_id or ""
        )
    )
    assert (await stock(client, records)).owned == ("i-1",)
    await handle.terminate()
    assert [each.instance_id for each in (await stock(client, records)).abandoned] == ["i-1"]


async def test_a_workload_that_the_server_never_heard_of_has_abandoned_its_machine(
    temporal: WorkflowEnvironment, records: Records
) -> None:
    records.open_workload(opening("unheard"))
    records.claim_epoch(claim(1, "unheard"))
    taken = await stock(temporal.client, records)
    assert [each.label for each in taken.abandoned] == [f"unheard.e1.{MARK}"] and (taken.launching, taken.mark) == (
        (),
        MARK,
    )


async def test_very_many_abandoned_machines_are_told_some_at_a_time(
    temporal: WorkflowEnvironment, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activities_of_stock, "ABANDONED_TOLD", 2)
    records.open_workload(opening("unheard"))
    for epoch in (1, 2, 3):
        records.claim_epoch(claim(epoch, "unheard"))
    told = (await stock(temporal.client, records)).abandoned
    assert [each.label for each in told] == [f"unheard.e1.{MARK}", f"unheard.e2.{MARK}"]


async def test_what_was_rented_just_now_is_told_apart(temporal: WorkflowEnvironment, records: Records) -> None:
    handle = await begins(temporal.client, records)
    assert (await stock(temporal.client, records)).fresh == (), "the line is of long ago"
    name = handle.id.removeprefix("workload/")
    records.claim_epoch(claim(2, name))
    records.record_lease(lease(2, name, since=datetime.now(UTC)))
    taken = await stock(temporal.client, records)
    assert (taken.owned, taken.fresh) == (("i-1", "i-2"), ("i-2",))
    await handle.terminate()


async def test_a_standby_is_its_pools_while_that_runs_and_the_workloads_from_the_claim_on(
    temporal: WorkflowEnvironment, records: Records
) -> None:
    pool = f"p{uuid.uuid4().hex[:10]}"
    name = names.pool_record(pool)
    records.open_workload(replace(opening(name), pool=True))
    records.claim_epoch(claim(1, name))
    records.record_lease(lease(1, name))
    keeper = await temporal.client.start_workflow(names.WARM_POOL, id=names.pool_id(pool), task_queue=f"nobody-{pool}")
    assert (await stock(temporal.client, records)).owned == ("i-1",)
    taker = f"w{pool}"
    records.open_workload(opening(taker))
    taken = records.hand_over(HandOverInput(standby=lease(1, name).label, workload=taker, epoch=1))
    await keeper.terminate()
    assert [each.label for each in (await stock(temporal.client, records)).abandoned] == [taken.label]
    worker = await temporal.client.start_workflow(
        names.WORKLOAD, id=names.workload_id(taker), task_queue=f"nobody-{pool}"
    )
    assert (await stock(temporal.client, records)).owned == ("i-1",)
    await worker.terminate()


async def test_a_copy_of_a_disk_is_owned_by_the_run_that_took_it_and_by_nobody_else(
    temporal: WorkflowEnvironment, records: Records
) -> None:
    handle = await begins(temporal.client, records)
    name = handle.id.removeprefix("workload/")
    records.commit_checkpoint(CommitCheckpointInput(checkpoint=checkpoint(0, 1, name), expected_sequence=None))
    copy = records.plan_disk_copy(
        PlanCopyInput(workload=name, epoch=1, provider="vast", instance_id="i-1", every=timedelta(hours=1))
    ).copy
    assert copy is not None
    taken = await stock(temporal.client, records)
    assert (taken.copies, taken.left_copies) == ((copy.name,), ())
    records.open_workload(opening(name, run_id="run-2"))
    taken = await stock(temporal.client, records)
    assert (taken.copies, taken.left_copies) == ((), (copy.name,)), "its run was followed by another"
    await handle.terminate()
    assert (await stock(temporal.client, records)).left_copies == (copy.name,)
    records.close_disk_copy(copy.name)
    assert (await stock(temporal.client, records)).left_copies == ()
