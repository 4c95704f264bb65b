"""The workflows that always run, whoever starts them first: a watch per provider, and the collection of garbage."""

import logging
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleSpec,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from holdfast.contracts import names
from holdfast.contracts.activities import WatchProviderInput
from holdfast.settings import Settings

GARBAGE_EVERY = timedelta(hours=6)
log = logging.getLogger("holdfast.worker")


async def ensure_standing(client: Client, settings: Settings) -> None:
    """Start what does not run yet. Idempotent, also among several workers at once."""
    for provider in settings.providers:
        await _watch(client, provider, settings.hosts.watch_interval)
    await _collect_garbage(client)


async def _watch(client: Client, provider: str, every: timedelta) -> None:
    try:
        await client.start_workflow(
            names.WATCH,
            WatchProviderInput(provider=provider, every=every),
            id=names.watch_id(provider),
            task_queue=names.CONTROL_QUEUE,
            static_summary=f"one listing of {provider} for all workloads",
        )
    except WorkflowAlreadyStartedError:
        log.info("%s is watched already", provider)


async def _collect_garbage(client: Client) -> None:
    action = ScheduleActionStartWorkflow(
        names.GARBAGE,
        id=names.GARBAGE,
        task_queue=names.CONTROL_QUEUE,
        static_summary="delete what no checkpoint needs any more",
    )
    spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=GARBAGE_EVERY)])
    try:
        await client.create_schedule(names.GARBAGE, Schedule(action=action, spec=spec))
    except ScheduleAlreadyRunningError:
        log.info("garbage is collected already")
