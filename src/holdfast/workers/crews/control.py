"""Control: the workflows and the records."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from temporalio.worker import Worker

from holdfast.activities.advising import Advising
from holdfast.activities.disk_records import DiskRecords
from holdfast.activities.endpoints import EndpointActivities
from holdfast.activities.forecasts import ForecastRecords
from holdfast.activities.job_records import JobRecords
from holdfast.activities.model_records import ModelRecords
from holdfast.activities.money import MoneyActivities
from holdfast.activities.pools import PoolActivities
from holdfast.activities.prices import PriceRecords
from holdfast.activities.records import RecordActivities
from holdfast.activities.releases import ReleaseActivities
from holdfast.activities.stock import StockActivities
from holdfast.contracts import names
from holdfast.records.errors import RecordsError
from holdfast.records.store import Records
from holdfast.telemetry.health import Check
from holdfast.workers.bytecode import keep_bytecode
from holdfast.workers.census import take_census
from holdfast.workers.durable import SANDBOX, WORKFLOWS
from holdfast.workers.shop import Shop

_THREADS = 8


async def crew(shop: Shop) -> list[Worker]:
    """One worker for all workflows and everything they write down; it also counts the workloads."""
    keep_bytecode(shop.settings.data_dir)
    records = await asyncio.to_thread(Records.open, shop.settings.records_location())
    shop.stack.callback(records.close)
    shop.needs["records"] = _records_check(records)
    await shop.stack.enter_async_context(take_census(shop.client, shop.metrics))
    if (receiver := shop.settings.notify.receiver()) is not None:
        from holdfast.workers.notifying import deliver_notifications  # noqa: PLC0415 - loads an HTTP client

        await shop.stack.enter_async_context(deliver_notifications(records, receiver, shop.metrics))
    acts = RecordActivities(
        records,
        providers=tuple(shop.settings.providers),
        metrics=shop.metrics,
        surveyed_every=shop.settings.market.every,
    )
    money = MoneyActivities(records, metrics=shop.metrics)
    stock = StockActivities(records, shop.client, metrics=shop.metrics)
    endpoints = EndpointActivities(records, shop.client)
    pools = PoolActivities(records, shop.client)
    disks = DiskRecords(records)
    models = ModelRecords(records)
    jobs = JobRecords(records, shop.client)
    prices = PriceRecords(records, metrics=shop.metrics)
    return [
        shop.worker(
            names.CONTROL_QUEUE,
            [
                acts.open_workload,
                acts.claim_epoch,
                acts.record_lease,
                acts.meter_lease,
                acts.close_lease,
                acts.commit_checkpoint,
                acts.read_head,
                acts.recall_machines,
                acts.closed_places,
                acts.place_risks,
                acts.recall,
                acts.strategy_records,
                acts.list_machines,
                acts.machine_history,
                acts.ban_machine,
                acts.list_notifications,
                acts.open_leases,
                acts.mark_verified,
                acts.forget_checkpoints,
                acts.live_manifests,
                acts.list_live_manifests,
                acts.record_incident,
                acts.record_decision,
                acts.close_workload,
                acts.report_workload,
                money.keep_budget,
                money.set_budget,
                money.read_budgets,
                money.read_costs,
                money.read_lives,
                money.read_losses,
                money.reconcile_charges,
                stock.take_stock,
                stock.judge_strangers,
                *disks.all(),
                *endpoints.all(),
                *models.all(),
                *jobs.all(),
                *prices.all(),
                *ForecastRecords(records).all(),
                *Advising(records).all(),
                ReleaseActivities(shop.client).order_release,
                pools.claim_standby,
                pools.hand_over_standby,
                pools.pool_demand,
            ],
            workflows=WORKFLOWS,
            workflow_runner=SANDBOX,
            max_cached_workflows=shop.settings.control.cached_workflows,
            max_concurrent_workflow_tasks=shop.settings.control.workflow_tasks,
            activity_executor=shop.stack.enter_context(ThreadPoolExecutor(_THREADS, "records")),
            max_concurrent_activities=_THREADS,
        )
    ]


def _records_check(records: Records) -> Check:
    async def check() -> str | None:
        try:
            await asyncio.to_thread(records.require_current)
        except RecordsError as err:
            return str(err)
        return None

    return check
