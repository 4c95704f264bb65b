"""Activities on a real machine of this computer, in an activity's environment without a server."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from temporalio.testing import ActivityEnvironment

from holdfast.activities.checkpoints import CheckpointActivities
from holdfast.activities.hosts import HostActivities
from holdfast.activities.secrets import SecretSource
from holdfast.activities.sightings import Sightings
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.contracts.spec import FailoverSpec, WorkloadSpec
from holdfast.hosts.pool import HostPool
from holdfast.telemetry.metrics import Metrics
from tests.unit.activities.slow_store import SlowStore
from tests.unit.hosts.conftest import address, at_epoch, cable, client_key, lease, machine, pool

__all__ = ["address", "at_epoch", "cable", "client_key", "lease", "machine", "pool"]


@pytest.fixture
def env() -> ActivityEnvironment:
    return ActivityEnvironment()


@pytest.fixture
def sightings() -> Sightings:
    return Sightings()


@pytest.fixture
def hosts(pool: HostPool, sightings: Sightings, tmp_path: Path) -> HostActivities:
    return HostActivities(pool, secrets=SecretSource(tmp_path / "secrets"), sightings=sightings)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SlowStore]:
    opened = SlowStore(tmp_path / "store")
    yield opened
    await opened.close()


@pytest.fixture
def checkpoints(pool: HostPool, store: SlowStore) -> CheckpointActivities:
    return CheckpointActivities(pool, CheckpointEngine(store), metrics=Metrics(CollectorRegistry()))


@pytest.fixture
def spec() -> Callable[..., WorkloadSpec]:
    """A spec whose dead-man lease is shorter than any owner may ask for."""

    def make(command: str, *, deadman: timedelta = timedelta(minutes=15), **fields: object) -> WorkloadSpec:
        given = {"name": "train", "command": command, "price": {"max_hourly": "1"}}
        patient = FailoverSpec().model_copy(update={"deadman": deadman})
        return WorkloadSpec.model_validate(given | fields).model_copy(update={"failover": patient})

    return make
