"""A process with the workers whose work is money: workflows, records and one provider; it may be told where to die.

Everything that spends or writes down is real, and the market is a real server. Machines of this market are states and
a bill (`hosts: false`), so the host activities are stand-ins that look at the market instead of logging in. Time is
squeezed: Temporal's time-outs are a tenth, a provider's silence is borne for a second.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    StartActivityInput,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from holdfast.activities.resuming import restore_then_start
from holdfast.client.payloads import PAYLOADS
from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.checkpoints import CheckpointRef, RestoreSummary
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.incidents import Reach
from holdfast.contracts.machines import Gpu, Lease, Probe
from holdfast.providers.errors import ProviderUnavailable
from holdfast.providers.vast.client import VastClient
from holdfast.providers.vast.fleet import Fleet
from holdfast.settings import ProviderSettings, Settings
from holdfast.telemetry.metrics import Metrics
from holdfast.workers.crews import control, provider
from holdfast.workers.shop import Shop

SQUEEZE = 10
"""Time-outs of activities are divided by this."""
ANSWER_WITHIN = 1.0  # seconds
LISTING_LAG = timedelta(milliseconds=700)
GLANCE = 0.05
MOST_WATCHED = 1000  # machines; as many as a real worker takes


@dataclass(frozen=True, kw_only=True)
class Crew:
    """Where the process works, and what becomes of it."""

    address: str
    namespace: str
    home: Path
    market_url: str
    market_key: str
    control_token: str
    notes: Path  # each boundary that is passed, a line
    dies_at: str = ""  # the boundary at which the process kills itself; "": none
    blind: bool = False  # the planted bug: looking for a label finds nothing
    glance: float = GLANCE  # seconds between two looks at the machines
    patient: bool = False  # time-outs and heartbeats are as in earnest: nobody dies whose silence must be noticed soon


def work(crew: Crew) -> None:
    """The body of the process. It ends when it is killed."""
    asyncio.run(_work(crew))


class Boundaries:
    """Numbers every moment around an activity or a call to the provider, and dies at the chosen one."""

    def __init__(self, crew: Crew) -> None:
        self._dies_at = crew.dies_at
        self._counts: Counter[str] = Counter()
        self._notes = crew.notes.open("a", buffering=1)

    def number(self, what: str) -> str:
        self._counts[what] += 1
        return f"{what} {self._counts[what]}"

    def passes(self, boundary: str) -> None:
        self._notes.write(boundary + "\n")
        if boundary == self._dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    async def around(self, what: str, body: Awaitable[Any]) -> Any:
        """Before it, and when it has taken effect and nobody knows yet."""
        numbered = self.number(what)
        try:
            self.passes(f"before {numbered}")
        except BaseException:
            asyncio.ensure_future(body).cancel()
            raise
        answer = await body
        self.passes(f"after {numbered}")
        return answer


class _Clockwork(Interceptor):
    def __init__(self, boundaries: Boundaries, *, patient: bool) -> None:
        self._boundaries = boundaries
        self._patient = patient

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Activities(next, self._boundaries)

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor] | None:
        return None if self._patient else _Squeezed


class _Activities(ActivityInboundInterceptor):
    def __init__(self, inner: ActivityInboundInterceptor, boundaries: Boundaries) -> None:
        super().__init__(inner)
        self._boundaries = boundaries

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        name = activity.info().activity_type
        return await self._boundaries.around(name, super().execute_activity(input))


class _Squeezed(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_SqueezedOutbound(outbound))


class _SqueezedOutbound(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> Any:
        for name in ("start_to_close_timeout", "schedule_to_close_timeout", "heartbeat_timeout"):
            given = getattr(input, name)
            if given is not None:
                setattr(input, name, given / SQUEEZE)
        return super().start_activity(input)


@dataclass(frozen=True)
class _Shop(Shop):
    interceptors: tuple[Interceptor, ...] = ()
    patient: bool = False

    def worker(self, queue: str, activities: Any, **more: Any) -> Worker:
        """A killed process leaves its cached workflows unreachable for as long as its sticky queue is waited for."""
        soon: dict[str, Any] = {
            "sticky_queue_schedule_to_start_timeout": timedelta(milliseconds=500),
            "max_heartbeat_throttle_interval": timedelta(milliseconds=300),
        }
        return Worker(
            self.client,
            task_queue=queue,
            activities=activities,
            **({} if self.patient else soon),
            **{key: value for key, value in more.items() if key != "workflow_runner"},
            workflow_runner=UnsandboxedWorkflowRunner(),
            interceptors=self.interceptors,
        )


async def _work(crew: Crew) -> None:
    boundaries = Boundaries(crew)
    _stand_between(boundaries, blind=crew.blind)
    client = await Client.connect(crew.address, namespace=crew.namespace, data_converter=PAYLOADS)
    settings = settings_of(crew)
    async with AsyncExitStack() as stack:
        sky = await stack.enter_async_context(_Sky(crew))
        shop = _Shop(
            settings,
            client,
            Metrics(),
            stack,
            interceptors=(_Clockwork(boundaries, patient=crew.patient),),
            patient=crew.patient,
        )
        workers = [*await control.crew(shop), *await provider.crew(shop)]
        hosts = Hosts(sky, crew.glance).all()
        workers.append(shop.worker(names.HOSTS_QUEUE, hosts, max_concurrent_activities=MOST_WATCHED))
        await asyncio.gather(*(worker.run() for worker in workers))


def settings_of(crew: Crew) -> Settings:
    account = ProviderSettings(
        api_key=SecretStr(crew.market_key), base_url=crew.market_url, pace=0, listing_lag=LISTING_LAG
    )
    return Settings(data_dir=crew.home, providers={"vast": account})


def _stand_between(boundaries: Boundaries, *, blind: bool) -> None:
    """Between the driver and its network."""
    send = VastClient._send

    async def bounded(self: VastClient, endpoint: Any, path: str, body: Any, params: Any) -> httpx.Response:
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                answer: httpx.Response = await boundaries.around(
                    f"http {endpoint.name}", send(self, endpoint, path, body, params)
                )
                return answer
        except TimeoutError as late:
            raise ProviderUnavailable(f"no answer to {endpoint.name} in time") from late

    VastClient._send = bounded  # type: ignore[method-assign]
    if blind:
        every = Fleet.every

        async def sees_no_label(self: Fleet, label: str | None = None) -> Any:
            return [] if label is not None else await every(self)

        Fleet.every = sees_no_label  # type: ignore[method-assign]


class _Sky:
    """The market's own truth about every machine, a glance old at most."""

    def __init__(self, crew: Crew) -> None:
        self._glance = crew.glance
        self._http = httpx.AsyncClient(
            base_url=crew.market_url, headers={"Authorization": f"Bearer {crew.control_token}"}, trust_env=False
        )
        self._running: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "_Sky":
        self._task = asyncio.create_task(self._look_for_ever())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
        await self._http.aclose()

    def runs(self, lease: Lease) -> bool:
        return lease.instance_id in self._running

    async def _look_for_ever(self) -> None:
        while True:
            try:
                listed = (await self._http.get("/sim/instances")).json()["instances"]
                self._running = {str(each["id"]) for each in listed if each["state"] == "running"}
            except httpx.HTTPError:
                pass
            await asyncio.sleep(self._glance)


class Hosts:
    """Nobody logs in anywhere: a machine answers while it runs at the market, and its work takes as long as it says."""

    def __init__(self, sky: _Sky, glance: float) -> None:
        self._sky = sky
        self._glance = glance

    @activity.defn
    async def settle_in(self, order: acts.SettleInput) -> acts.SettleResult:
        await self._reach(order.lease)
        gpu = Gpu(name="NVIDIA GeForce RTX 4090", memory_mb=24_564)
        probe = Probe(gpus=(gpu,), cpu_cores=8, memory_mb=64_000, disk_free_mb=90_000, python="3.11")
        return acts.SettleResult(host_key="ssh-ed25519 AAAA", probe=probe, reachable_after=timedelta())

    @activity.defn
    async def restore_checkpoint(self, order: acts.RestoreInput) -> RestoreSummary:
        await self._reach(order.lease)
        return RestoreSummary(manifest=order.manifest, files=1, bytes_total=1, bytes_fetched=1, duration=timedelta())

    @activity.defn
    async def start_work(self, order: acts.StartWorkInput) -> acts.StartWorkResult:
        await self._reach(order.lease)
        return acts.StartWorkResult(started_at=datetime.now(UTC))

    @activity.defn
    async def resume_work(self, order: acts.ResumeInput) -> acts.ResumeResult:
        return await restore_then_start(order, self.restore_checkpoint, self.start_work)

    @activity.defn
    async def watch_machine(self, order: acts.WatchMachineInput) -> acts.MachineReport:
        if order.announce_progress:
            handle = activity.client().get_workflow_handle(names.workload_id(order.lease.workload))
            await handle.signal("progressed", datetime.now(UTC))
        ends = order.started_at + timedelta(seconds=float(order.spec.command))
        while self._sky.runs(order.lease):
            activity.heartbeat()
            if datetime.now(UTC) >= ends:
                return _report(Reach.ANSWERS, finished=True, exit_code=0)
            await asyncio.sleep(self._glance)
        return _report(Reach.SILENT)

    @activity.defn
    async def try_reach(self, order: acts.ReachInput) -> acts.ReachResult:
        runs = self._sky.runs(order.lease)
        reach = Reach.ANSWERS if runs else Reach.SILENT
        return acts.ReachResult(reach=reach, at=datetime.now(UTC), work_running=runs, we_are_online=True)

    @activity.defn
    async def stop_work(self, order: acts.StopWorkInput) -> None:
        await self._reach(order.lease)

    @activity.defn
    async def save_checkpoint(self, order: acts.SaveInput) -> CheckpointRef:
        await self._reach(order.lease)
        now = datetime.now(UTC)
        return CheckpointRef(
            workload=order.lease.workload,
            epoch=order.lease.epoch,
            sequence=order.sequence,
            manifest=f"manifests/{order.lease.workload}/{order.lease.epoch}-{order.sequence}",
            reason=order.reason,
            taken_at=now,
            committed_at=now,
            files=1,
            bytes_total=1,
            bytes_uploaded=1,
            duration=timedelta(),
        )

    def all(self) -> list[Callable[..., Any]]:
        return [
            self.settle_in,
            self.restore_checkpoint,
            self.start_work,
            self.resume_work,
            self.watch_machine,
            self.try_reach,
            self.stop_work,
            self.save_checkpoint,
        ]

    async def _reach(self, lease: Lease) -> None:
        await asyncio.sleep(self._glance * 2)  # until the market's word is no older than the order
        if not self._sky.runs(lease):
            raise ApplicationError("nobody answers", type=ErrorType.HOST_UNREACHABLE)


def _report(reach: Reach, **more: Any) -> acts.MachineReport:
    return acts.MachineReport(reach=reach, last_sign=datetime.now(UTC), detail=str(reach), **more)


def without_a_death(crew: Crew) -> Crew:
    """The process that follows one that was killed."""
    return replace(crew, dies_at="")
