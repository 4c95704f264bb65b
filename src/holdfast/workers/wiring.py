"""Build every dependency once, for the roles that this process plays. Nothing is constructed anywhere else."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker

from holdfast.activities.checkpoints import CheckpointActivities, VerifyActivities
from holdfast.activities.hosts import HostActivities
from holdfast.activities.machine_watch import MachineWatch
from holdfast.activities.machines import MachineActivities
from holdfast.activities.provider_watch import ProviderWatch
from holdfast.activities.records import RecordActivities
from holdfast.activities.secrets import SecretSource
from holdfast.activities.sightings import Sightings
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.stores.opening import open_store
from holdfast.contracts import names
from holdfast.hosts.keys import load_or_create_key, public_key_line
from holdfast.hosts.pool import HostPool
from holdfast.providers import registry
from holdfast.providers.wrappers.metered import metered
from holdfast.records.store import Records
from holdfast.settings import Settings
from holdfast.telemetry.metrics import Metrics
from holdfast.workers.durable import SANDBOX, WORKFLOWS
from holdfast.workers.roles import Role

GRACE = timedelta(seconds=10)
"""How long a stopping worker lets its short activities finish; the long ones are taken over by another worker."""
_THREADS = 8


@dataclass(frozen=True)
class Shop:
    """What the roles of one process share."""

    settings: Settings
    client: Client
    metrics: Metrics
    stack: AsyncExitStack


@asynccontextmanager
async def build_workers(
    settings: Settings, client: Client, roles: frozenset[Role], metrics: Metrics
) -> AsyncIterator[list[Worker]]:
    """The workers for these roles, not yet running; leaving the context closes what they hold."""
    async with AsyncExitStack() as stack:
        shop = Shop(settings, client, metrics, stack)
        builders: dict[Role, Callable[[Shop], Any]] = {
            Role.CONTROL: _control,
            Role.PROVIDER: _providers,
            Role.HOST: _host,
            Role.ANALYSIS: _analysis,
        }
        workers: list[Worker] = []
        for role in sorted(roles):
            workers += await builders[role](shop)
        yield workers


async def _control(shop: Shop) -> list[Worker]:
    records = await asyncio.to_thread(Records.open, shop.settings.records_location())
    shop.stack.callback(records.close)
    acts = RecordActivities(records, providers=tuple(shop.settings.providers), metrics=shop.metrics)
    return [
        _worker(
            shop,
            names.CONTROL_QUEUE,
            [
                acts.open_workload,
                acts.claim_epoch,
                acts.record_lease,
                acts.close_lease,
                acts.commit_checkpoint,
                acts.mark_verified,
                acts.live_manifests,
                acts.record_incident,
                acts.record_decision,
                acts.close_workload,
                acts.report_workload,
            ],
            workflows=WORKFLOWS,
            activity_executor=shop.stack.enter_context(ThreadPoolExecutor(_THREADS, "records")),
            max_concurrent_activities=_THREADS,
        )
    ]


async def _providers(shop: Shop) -> list[Worker]:
    public_key = public_key_line(load_or_create_key(shop.settings.data_dir / "keys"))
    workers = []
    for name, config in shop.settings.providers.items():
        provider = metered(registry.build(name, config), shop.metrics)
        shop.stack.push_async_callback(provider.close)
        machines = MachineActivities(provider, ssh_public_key=public_key)
        watch = ProviderWatch(provider, shop.client)
        workers.append(_worker(shop, names.provider_queue(name), [*machines.all(), watch.watch_provider]))
    return workers


async def _host(shop: Shop) -> list[Worker]:
    hosts = shop.settings.hosts
    key = load_or_create_key(shop.settings.data_dir / "keys")
    pool = await shop.stack.enter_async_context(HostPool(key, connect_timeout=hosts.connect_timeout))
    engine = _engine(shop)
    sightings = Sightings()
    acts = HostActivities(pool, secrets=SecretSource(shop.settings.data_dir / "secrets"), sightings=sightings)
    watch = MachineWatch(pool, engine, shop.client, sightings=sightings, interval=hosts.heartbeat_interval)
    state = CheckpointActivities(pool, engine, metrics=shop.metrics)
    return [
        _worker(
            shop,
            names.HOSTS_QUEUE,
            [
                acts.settle_in,
                acts.start_work,
                acts.stop_work,
                acts.try_reach,
                watch.watch_machine,
                state.save_checkpoint,
                state.restore_checkpoint,
                state.read_logs,
                state.collect_garbage,
            ],
            # Watches mostly sleep; each workload has one.
            max_concurrent_activities=1000,
            max_heartbeat_throttle_interval=timedelta(seconds=2),
        )
    ]


async def _analysis(shop: Shop) -> list[Worker]:
    acts = VerifyActivities(_engine(shop), metrics=shop.metrics)
    return [_worker(shop, names.ANALYSIS_QUEUE, [acts.verify_checkpoint], max_concurrent_activities=2)]


def _engine(shop: Shop) -> CheckpointEngine:
    store = open_store(shop.settings)
    shop.stack.push_async_callback(store.close)
    return CheckpointEngine(store)


def _worker(shop: Shop, queue: str, activities: Sequence[Any], **more: Any) -> Worker:
    return Worker(
        shop.client,
        task_queue=queue,
        activities=activities,
        workflow_runner=SANDBOX,
        graceful_shutdown_timeout=GRACE,
        activity_task_poller_behavior=PollerBehaviorAutoscaling(),
        **more,
    )
