"""The many-machines shape: every role in processes of its own, each told only what the Compose file tells it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client

from holdfast.cli.demo.stage import find_example
from holdfast.client.holdfast import Holdfast
from holdfast.client.payloads import PAYLOADS
from holdfast.contracts import names
from holdfast.contracts.workload import Phase, WorkloadStatus
from holdfast.settings import ProviderSettings, load_settings
from tests.scenarios.apart import PATIENCE, Place, WorkerProcess, as_database_owner, eventually, run_place
from tests.scenarios.stage import slots
from tests.scenarios.story import training

ROLES = {"control": 1, "provider": 1, "host": 2, "analysis": 1}
QUIET = "quiet"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    machines = slots("RTX 4090", 6, first_machine=100)
    with run_place(tmp_path_factory.mktemp("apart"), roles=ROLES, slots=machines, credit=1000) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def holdfast(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Holdfast:
    """An operator elsewhere: the address of the server, the store's key, the providers' names."""
    settings = load_settings(
        data_dir=tmp_path_factory.mktemp("operator"),
        store=place.weed.settings(),
        providers={"vast": ProviderSettings()},
    )
    client = await Client.connect(place.temporal.address, namespace="holdfast", data_converter=PAYLOADS)
    return Holdfast(client, settings=settings)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quiet(holdfast: Holdfast) -> AsyncIterator[str]:
    """A workload that runs beside all these stories and has none of its own."""
    await holdfast.run(training(QUIET, steps=100_000), workdir=find_example())
    await comes_to(holdfast, QUIET, works(epoch=1))
    yield QUIET
    await holdfast.stop(QUIET, save=False)
    await comes_to(holdfast, QUIET, lambda status: status.phase.is_final)


async def test_a_workload_lives_through_an_outbid_over_workers_that_each_hold_one_secret(
    place: Place, holdfast: Holdfast, quiet: str
) -> None:
    await holdfast.run(training("job"), workdir=find_example())
    working = await comes_to(holdfast, "job", works(epoch=1))
    await asyncio.to_thread(place.market.control.outbid, names.label("job", working.epoch))
    ended = await comes_to(holdfast, "job", lambda status: status.phase.is_final)
    assert ended.phase is Phase.FINISHED, ended
    report = await holdfast.report("job")
    (incident,) = report.incidents
    assert (incident.cause, len(report.leases)) == ("outbid", 2)
    assert not (await holdfast.verify("job")).corrupt


async def test_the_control_worker_counts_losses_and_what_they_cost(place: Place, holdfast: Holdfast) -> None:
    (incident,) = (await holdfast.report("job")).incidents
    (control,) = place.of_role("control")
    found = {"cause": incident.cause, "strategy": incident.strategy, "recovered": "true"}
    assert control.metric("holdfast_failovers_total", **found) == 1
    for metric, took in (
        ("holdfast_recovery_time_seconds", incident.recovery_time),
        ("holdfast_work_lost_seconds", incident.work_lost),
    ):
        assert took is not None
        assert control.metric(f"{metric}_count", strategy=incident.strategy) == 1
        assert control.metric(f"{metric}_sum", strategy=incident.strategy) == took.total_seconds()


async def test_the_control_worker_counts_workloads_by_state(place: Place, quiet: str) -> None:
    (control,) = place.of_role("control")
    await soon(lambda: control.metric("holdfast_workloads", state="running") == 1, "one workload runs")
    assert control.metric("holdfast_workloads", state="paused") == 0


async def test_the_host_workers_count_what_crossed_the_wire(place: Place, holdfast: Holdfast) -> None:
    saved = [each for name in ("job", QUIET) for each in await holdfast.checkpoints(name)]
    counted = place.total("host", "holdfast_checkpoint_seconds_count", operation="save", outcome="ok")
    assert counted >= len([each for each in saved if each.epoch > 0])
    assert place.total("host", "holdfast_checkpoint_bytes_total", operation="save") >= sum(
        each.bytes_uploaded for each in saved if each.epoch > 0
    )
    assert place.total("host", "holdfast_checkpoint_bytes_total", operation="restore") > 0
    assert place.total("analysis", "holdfast_checkpoint_bytes_total", operation="verify") > 0


async def test_the_provider_worker_counts_its_calls_and_the_machines_that_are_paid_for(
    place: Place, holdfast: Holdfast
) -> None:
    (provider,) = place.of_role("provider")
    epochs = sum([(await holdfast.status(name)).status.epoch for name in ("job", QUIET)])
    labels = {"provider": "vast", "verb": "launch", "outcome": "ok"}  # a refusal is an answer too
    assert provider.metric("holdfast_provider_call_seconds_count", **labels) == epochs
    await soon(lambda: provider.metric("holdfast_machines", provider="vast", state="running") == 1, "one is left")
    assert provider.metric("holdfast_machines", provider="vast") == len(place.market.control.instances())
    assert (provider.metric("holdfast_hourly_usd", provider="vast") or 0) > 0


def test_every_worker_serves_the_metrics_of_its_sdk(place: Place) -> None:
    for worker in place.workers:
        served = worker.sdk_metrics()
        assert "temporal_num_pollers" in served, worker.role
        assert all(name.startswith("temporal_") for name in served if not name.startswith("target_info"))


async def test_another_host_worker_takes_a_watch_over_and_the_work_does_not_notice(
    place: Place, holdfast: Holdfast, quiet: str
) -> None:
    before = await comes_to(holdfast, quiet, works(epoch=1))
    watching = await watcher(place, holdfast, quiet)
    watching.kill()
    (other,) = place.of_role("host")

    async def has_taken_over() -> bool:
        return await watcher(place, holdfast, quiet) is other

    await until(has_taken_over, "the other host worker watches")
    newest = await holdfast.save(quiet)
    after = (await holdfast.status(quiet)).status
    assert (after.phase, after.epoch, newest.epoch) == (Phase.RUNNING, before.epoch, before.epoch)
    assert not (await holdfast.report(quiet)).incidents
    await soon(place.start_worker("host").is_ready, "a new one stands beside it")


def test_a_control_worker_is_not_ready_without_the_records_and_others_do_not_care(place: Place) -> None:
    (control,) = place.of_role("control")
    as_database_owner(place.postgres, "ALTER ROLE holdfast NOLOGIN")
    as_database_owner(
        place.postgres, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'holdfast'"
    )
    try:
        eventually(lambda: "records" in control.unmet(), "the control worker misses its records")
        assert all(not worker.unmet() for role in ("provider", "analysis") for worker in place.of_role(role))
    finally:
        as_database_owner(place.postgres, "ALTER ROLE holdfast LOGIN")
    eventually(control.is_ready, "the control worker has its records back")


async def test_no_worker_is_ready_while_the_server_is_away_and_all_are_when_it_is_back(
    place: Place, holdfast: Holdfast, quiet: str
) -> None:
    before = (await holdfast.status(quiet)).status
    await asyncio.to_thread(place.temporal.stop)
    workers = [worker for role in ROLES for worker in place.of_role(role)]
    await soon(lambda: all("temporal" in worker.unmet() for worker in workers), "nobody is ready")
    assert all(worker.get("/livez").status_code == 200 for worker in workers)
    place.temporal.start()
    await soon(lambda: all(worker.is_ready() for worker in workers), "everybody is ready")
    after = await comes_to(holdfast, quiet, lambda status: status.phase is Phase.RUNNING)
    assert after.epoch == before.epoch


# Looking


async def comes_to(holdfast: Holdfast, name: str, reached: Callable[[WorkloadStatus], bool]) -> WorkloadStatus:
    """Wait until the status is so."""
    found: list[WorkloadStatus] = []

    async def look() -> bool:
        found.append((await holdfast.status(name)).status)
        return reached(found[-1])

    await until(look, f"{name}: {found[-1:]}")
    return found[-1]


def works(*, epoch: int) -> Callable[[WorkloadStatus], bool]:
    """Whether this epoch runs and has saved: there is something to lose."""

    def reached(status: WorkloadStatus) -> bool:
        return status.phase is Phase.RUNNING and status.head is not None and status.head.epoch >= epoch

    return reached


async def watcher(place: Place, holdfast: Holdfast, name: str) -> WorkerProcess | None:
    """The host worker that watches the machine of a workload now."""
    description = await holdfast.temporal.get_workflow_handle(names.workload_id(name)).describe()
    started = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
    for pending in description.raw_description.pending_activities:
        if pending.activity_type.name == "watch_machine" and pending.state == started:
            identity = pending.last_worker_identity
            return next((each for each in place.of_role("host") if identity.startswith(each.identity)), None)
    return None


async def soon(what: Callable[[], bool], why: str) -> None:
    """`eventually`, without holding up this process's own tasks."""
    await asyncio.to_thread(eventually, what, why)


async def until(what: Callable[[], Awaitable[bool]], why: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await what():
            await asyncio.sleep(0.1)
