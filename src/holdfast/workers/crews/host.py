"""Host: everything that is said to rented machines, and the bytes between them and the store."""

from datetime import timedelta

from temporalio.worker import Worker

from holdfast.activities.checkpoints import CheckpointActivities
from holdfast.activities.garbage import GarbageActivities
from holdfast.activities.hosts import HostActivities
from holdfast.activities.inputs import InputActivities
from holdfast.activities.machine_watch import MachineWatch
from holdfast.activities.mirroring import MirrorActivities
from holdfast.activities.models import ModelActivities
from holdfast.activities.resuming import ResumeActivities
from holdfast.activities.secrets import SecretSource
from holdfast.activities.services import ServiceActivities
from holdfast.activities.sightings import Sightings
from holdfast.activities.tuned import TunedActivities
from holdfast.contracts import names
from holdfast.hosts.keys import load_or_create_key
from holdfast.hosts.pool import HostPool
from holdfast.workers.crews.storing import open_engine, open_mirrors
from holdfast.workers.shop import Shop


async def crew(shop: Shop) -> list[Worker]:
    """One worker with one pool of connections for all its machines."""
    hosts = shop.settings.hosts
    key = load_or_create_key(shop.settings.data_dir / "keys")
    pool = await shop.stack.enter_async_context(HostPool(key, connect_timeout=hosts.connect_timeout))
    engine = open_engine(shop, open_mirrors(shop))
    sightings = Sightings()
    secrets = SecretSource(shop.settings.data_dir / "secrets")
    acts = HostActivities(pool, secrets=secrets, sightings=sightings)
    watch = MachineWatch(pool, engine, shop.client, sightings=sightings, interval=hosts.heartbeat_interval)
    state = CheckpointActivities(pool, engine, metrics=shop.metrics)
    resuming = ResumeActivities(state, acts)
    services = ServiceActivities(pool)
    garbage = GarbageActivities(engine)
    mirrors = MirrorActivities(engine, metrics=shop.metrics)
    inputs = InputActivities(engine, settings=shop.settings, secrets=secrets, metrics=shop.metrics)
    models = ModelActivities(engine, settings=shop.settings, secrets=secrets, metrics=shop.metrics)
    tuned = TunedActivities(engine, settings=shop.settings)
    return [
        shop.worker(
            names.HOSTS_QUEUE,
            [
                acts.missing_secrets,
                acts.settle_in,
                acts.start_work,
                resuming.resume_work,
                acts.stop_work,
                acts.try_reach,
                watch.watch_machine,
                state.save_checkpoint,
                state.restore_checkpoint,
                services.await_service,
                services.smoke_test,
                state.read_logs,
                state.forget_logs,
                state.collect_garbage,
                garbage.collect_unneeded,
                mirrors.fill_mirror,
                models.plan_model,
                models.fetch_model,
                tuned.adopt_tuned,
                *inputs.all(),
            ],
            # Watches mostly sleep; each workload has one.
            max_concurrent_activities=1000,
            max_heartbeat_throttle_interval=timedelta(seconds=2),
        )
    ]
