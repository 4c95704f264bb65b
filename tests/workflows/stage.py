"""The workers that play stories. Each activity is played in the world of its own story, so that many share a stage."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    Worker,
    WorkflowRunner,
)

from holdfast.contracts import names
from holdfast.workers.durable import SANDBOX, WORKFLOWS
from tests.workflows.world import PROVIDER, World


class Stage(Interceptor):
    def __init__(self, client: Client, *, grace: timedelta, runner: WorkflowRunner = SANDBOX) -> None:
        self.worlds: dict[str, World] = {}
        self._runner = runner
        self._client = client
        self._common: dict[str, Any] = {
            "graceful_shutdown_timeout": grace,
            "interceptors": [self],
            "max_concurrent_activities": 1000,
            "max_heartbeat_throttle_interval": timedelta(milliseconds=100),
        }

    @asynccontextmanager
    async def activities(self) -> AsyncIterator[None]:
        """Workers for what happens in the worlds."""
        any_world = World()
        async with AsyncExitStack() as stack:
            for queue, bodies in (
                (names.CONTROL_QUEUE, any_world.control_activities()),
                (names.provider_queue(PROVIDER), any_world.provider_activities()),
                (names.HOSTS_QUEUE, any_world.host_activities()),
                (names.ANALYSIS_QUEUE, any_world.analysis_activities()),
            ):
                await stack.enter_async_context(
                    Worker(self._client, task_queue=queue, activities=bodies, **self._common)
                )
            yield

    @asynccontextmanager
    async def decisions(self) -> AsyncIterator[None]:
        """The worker that decides: without it everything goes on that was begun, and nothing follows from it."""
        async with deciding_worker(self._client, self._runner):
            yield

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _OwnWorld(next, self.worlds)


class _OwnWorld(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, worlds: dict[str, World]) -> None:
        super().__init__(next)
        self._worlds = worlds

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        _, workload, *_ = (info.workflow_id or info.activity_id).replace(".", "/").split("/")
        world = self._worlds[workload]
        input.fn = getattr(world, info.activity_type)
        return await world.moments.play(info.activity_type, lambda: super(_OwnWorld, self).execute_activity(input))


def deciding_worker(client: Client, runner: WorkflowRunner) -> Worker:
    return Worker(
        client,
        task_queue=names.CONTROL_QUEUE,
        workflows=WORKFLOWS,
        workflow_runner=runner,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),  # so long its tasks wait for it to come back
    )
