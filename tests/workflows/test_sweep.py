"""A sweep does what it can about each machine; one that nobody can end keeps it from nothing."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.api.history.v1 import ActivityTaskScheduledEventAttributes
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.disks import DropCopyInput, JudgeCopiesInput
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.machines import InstanceState
from holdfast.contracts.sweeping import Finding, JudgeInput, Known, Look, LookInput, Ruling, Stock, SweepInput
from holdfast.providers.vast.endpoints import LIST
from holdfast.providers.vast.fleet import PAGE
from holdfast.workers.durable import SANDBOX, WORKFLOWS
from tests.workflows.stories import PATIENCE


class Account:
    """A provider whose machines are numbers, with one that will not go."""

    name = "stubborn"

    def __init__(self) -> None:
        self.strangers = {"1": Known.OTHER, "2": Known.OTHER, "3": Known.CLOSED}
        self.ended: list[str] = []
        self.judged: list[JudgeInput] = []
        self.left_copies: tuple[str, ...] = ()  # on record
        self.look = Look(listed=len(self.strangers))
        self.copies_judged: list[JudgeCopiesInput] = []
        self.dropped: list[str] = []
        self.closed: list[str] = []

    @activity.defn
    async def take_stock(self, provider: str) -> Stock:
        return Stock(left_copies=self.left_copies)

    @activity.defn
    async def look_for_strangers(self, order: LookInput) -> Look:
        return self.look

    @activity.defn
    async def judge_disk_copies(self, order: JudgeCopiesInput) -> list[str]:
        self.copies_judged.append(order)
        return list(order.names)

    @activity.defn
    async def drop_disk_copy(self, order: DropCopyInput) -> None:
        if order.name == "hf-stays-1-m4rk":
            raise ApplicationError("it stays", type=ErrorType.REQUEST_REJECTED, non_retryable=True)
        self.dropped.append(order.name)

    @activity.defn
    async def close_disk_copy(self, name: str) -> None:
        self.closed.append(name)

    @activity.defn
    async def judge_strangers(self, order: JudgeInput) -> list[Finding]:
        self.judged.append(order)
        return [self._finding(each, known) for each, known in self.strangers.items()]

    @activity.defn
    async def destroy(self, order: acts.MachineInput) -> None:
        if order.instance_id == "1":
            raise ApplicationError("it stays", type=ErrorType.REQUEST_REJECTED, non_retryable=True)
        self.ended.append(order.instance_id)

    @activity.defn
    async def reap(self, order: acts.ReapInput) -> int:
        return 0

    @activity.defn
    async def close_lease(self, order: acts.CloseLeaseInput) -> str:
        return "0"

    def _finding(self, instance_id: str, known: Known) -> Finding:
        return Finding(
            provider=self.name,
            instance_id=instance_id,
            label=f"{self.name}-{uuid.uuid4().hex[:8]}.e1",
            state=InstanceState.RUNNING,
            hourly=None,
            known=known,
            ruling=Ruling.END,
            reason="nobody owns it",
            first_seen=datetime.now(UTC),
            ends_at=None,
        )


@pytest_asyncio.fixture(loop_scope="session")
async def account(temporal: WorkflowEnvironment) -> AsyncIterator[Account]:
    account, client = Account(), temporal.client
    control = [
        account.take_stock,
        account.judge_strangers,
        account.close_lease,
        account.judge_disk_copies,
        account.close_disk_copy,
    ]
    provider = [account.look_for_strangers, account.destroy, account.reap, account.drop_disk_copy]
    async with (
        Worker(
            client,
            task_queue=names.CONTROL_QUEUE,
            workflows=WORKFLOWS,
            activities=control,
            workflow_runner=SANDBOX,
        ),
        Worker(client, task_queue=names.provider_queue(account.name), activities=provider),
    ):
        yield account


async def sweep(client: Client, **changes: Any) -> WorkflowHandle[Any, Any]:
    order = SweepInput(provider=Account.name, grace=timedelta(0), **changes)
    handle = await client.start_workflow(
        names.SWEEP, order, id=f"sweep/{uuid.uuid4().hex}", task_queue=names.CONTROL_QUEUE
    )
    async with asyncio.timeout(PATIENCE):
        await handle.result()
    return handle


async def ordered(handle: WorkflowHandle[Any, Any], step: str) -> list[ActivityTaskScheduledEventAttributes]:
    """How often a step was ordered, and with which patience."""
    orders = [event.activity_task_scheduled_event_attributes for event in (await handle.fetch_history()).events]
    return [order for order in orders if order.activity_type.name == step]


async def test_a_listing_of_ten_thousand_machines_gets_the_time_that_its_pace_needs(
    temporal: WorkflowEnvironment, account: Account
) -> None:
    (look,) = await ordered(await sweep(temporal.client, dry_run=True), "look_for_strangers")
    needs = LIST.pace.per * (10_000 / PAGE)
    assert look.start_to_close_timeout.ToTimedelta() > 2 * needs, "others list at the same time"
    assert timedelta(0) < look.heartbeat_timeout.ToTimedelta() < needs
    assert timedelta(0) < look.schedule_to_start_timeout.ToTimedelta() < needs, "nobody may serve this provider"


@pytest.mark.long
async def test_a_machine_that_will_not_go_keeps_no_other_from_being_ended(
    temporal: WorkflowEnvironment, account: Account
) -> None:
    handle = await sweep(temporal.client)
    async with asyncio.timeout(PATIENCE):
        while sorted(account.ended) != ["2", "3"]:
            await asyncio.sleep(0.02)
    destroyed = await ordered(handle, "destroy")
    assert len(destroyed) == 2
    assert all(
        timedelta(0) < each.schedule_to_close_timeout.ToTimedelta() <= timedelta(minutes=1) for each in destroyed
    )


async def test_a_judgement_is_told_from_when_to_when_its_facts_are(
    temporal: WorkflowEnvironment, account: Account
) -> None:
    before = datetime.now(UTC)
    await sweep(temporal.client, dry_run=True)
    (order,) = account.judged
    assert order.asked_at is not None and order.listed_at is not None
    second = timedelta(seconds=1)  # the server's clock and ours may differ by less
    assert before - second <= order.asked_at <= order.listed_at <= datetime.now(UTC) + second


async def test_copies_of_disks_that_nobody_owns_are_dropped_and_one_that_stays_holds_up_no_other(
    temporal: WorkflowEnvironment, account: Account
) -> None:
    account.strangers = {}
    account.left_copies = ("hf-left-1-m4rk", "hf-stays-1-m4rk")
    account.look = Look(copies=("hf-left-1-m4rk", "hf-unheard-1-m4rk"))
    handle = await sweep(temporal.client)
    (order,) = account.copies_judged
    assert order.names == ("hf-left-1-m4rk", "hf-stays-1-m4rk", "hf-unheard-1-m4rk")
    assert account.dropped == account.closed == ["hf-left-1-m4rk", "hf-unheard-1-m4rk"]
    assert (await handle.result())["copies"] == list(order.names)


@pytest.mark.parametrize("look", [Look(doubt="it lacks ours"), Look(copies=("hf-a-1-m4rk",), copies_doubt="no answer")])
async def test_no_copy_is_judged_by_a_list_that_cannot_be_believed(
    temporal: WorkflowEnvironment, account: Account, look: Look
) -> None:
    account.strangers, account.left_copies, account.look = {}, ("hf-left-1-m4rk",), look
    await sweep(temporal.client)
    assert (account.copies_judged, account.dropped) == ([], [])


async def test_a_dry_run_drops_no_copy(temporal: WorkflowEnvironment, account: Account) -> None:
    account.strangers, account.left_copies = {}, ("hf-left-1-m4rk",)
    handle = await sweep(temporal.client, dry_run=True)
    assert [each.dry_run for each in account.copies_judged] == [True]
    assert account.dropped == []
    assert (await handle.result())["copies"] == ["hf-left-1-m4rk"]
