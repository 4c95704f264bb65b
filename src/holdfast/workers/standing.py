"""What always runs, whoever starts it first.

A watch, a sweep and a look at the bill for each provider; the survey of prices; the collection of garbage; the filling
of each mirror.
"""

import logging
from dataclasses import replace
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleSpec,
    ScheduleUpdate,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from holdfast.contracts import names
from holdfast.contracts.activities import FillMirrorInput, WatchProviderInput
from holdfast.contracts.market import SurveyInput
from holdfast.contracts.sweeping import SweepInput
from holdfast.settings import Settings, SweepSettings

GARBAGE_EVERY = timedelta(hours=6)
RECONCILED_EVERY = timedelta(hours=1)
MIRRORED_EVERY = timedelta(minutes=2)
SURVEY_PAUSE = timedelta(minutes=1)
"""Between two GPUs at one provider: most of the searches that it allows are left to those who need a machine."""
log = logging.getLogger("holdfast.worker")


async def ensure_standing(client: Client, settings: Settings) -> None:
    """Start what does not run yet. Idempotent, also among several workers at once."""
    for provider in settings.providers:
        await _watch(client, provider, settings.hosts.watch_interval)
        await _sweep(client, provider, settings.sweep)
        await _reconcile(client, provider)
    await _survey(client, settings)
    await _collect_garbage(client)


async def ensure_mirrored(client: Client, settings: Settings) -> None:
    """Keep each mirror filled. For host workers, who alone need to know of mirrors. Idempotent as well."""
    for mirror in settings.mirrors:
        action = ScheduleActionStartWorkflow(
            names.MIRROR,
            FillMirrorInput(mirror=mirror),
            id=names.mirror_id(mirror),
            task_queue=names.CONTROL_QUEUE,
            static_summary=f"copy to mirror {mirror} what it lacks",
        )
        await _keep(client, action, every=MIRRORED_EVERY, already=f"mirror {mirror} is filled")


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


async def _sweep(client: Client, provider: str, settings: SweepSettings) -> None:
    name = names.sweep_id(provider)
    action = ScheduleActionStartWorkflow(
        names.SWEEP,
        SweepInput(provider=provider, grace=settings.grace),
        id=name,
        task_queue=names.CONTROL_QUEUE,
        static_summary=f"machines at {provider} that nobody owns",
    )
    await _renew(client, action, every=settings.every)


async def _survey(client: Client, settings: Settings) -> None:
    if not settings.providers:
        return  # there is nobody to ask
    market = settings.market
    action = ScheduleActionStartWorkflow(
        names.SURVEY,
        SurveyInput(
            providers=tuple(sorted(settings.providers)),
            gpus=market.watched(),
            every=market.every,
            fine_for=market.fine_for,
            daily_for=market.daily_for,
            pause=min(SURVEY_PAUSE, market.every / (3 * len(market.watched()))),
        ),
        id=names.SURVEY,
        task_queue=names.CONTROL_QUEUE,
        static_summary="what every provider asks for its GPUs",
    )
    await _renew(client, action, every=market.every, at_once=True)


async def _renew(
    client: Client, action: ScheduleActionStartWorkflow, *, every: timedelta, at_once: bool = False
) -> None:
    """A schedule with the name of the workflow that it starts, as these settings say; a new one may begin at once."""
    schedule = Schedule(action=action, spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]))
    try:
        await client.create_schedule(action.id, schedule, trigger_immediately=at_once)
    except ScheduleAlreadyRunningError:
        # Another version, or other settings, may have made it; that somebody has paused it stays.
        await client.get_schedule_handle(action.id).update(
            lambda told: ScheduleUpdate(replace(schedule, state=told.description.schedule.state))
        )


async def _reconcile(client: Client, provider: str) -> None:
    action = ScheduleActionStartWorkflow(
        names.RECONCILE,
        provider,
        id=names.reconcile_id(provider),
        task_queue=names.CONTROL_QUEUE,
        static_summary=f"our meter beside the bill of {provider}",
    )
    await _keep(client, action, every=RECONCILED_EVERY, already=f"the bill of {provider} is compared")


async def _collect_garbage(client: Client) -> None:
    action = ScheduleActionStartWorkflow(
        names.GARBAGE,
        id=names.GARBAGE,
        task_queue=names.CONTROL_QUEUE,
        static_summary="delete what no checkpoint needs any more",
    )
    await _keep(client, action, every=GARBAGE_EVERY, already="garbage is collected")


async def _keep(client: Client, action: ScheduleActionStartWorkflow, *, every: timedelta, already: str) -> None:
    """A schedule with the name of the workflow that it starts. One that exists stays as it is."""
    schedule = Schedule(action=action, spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]))
    try:
        await client.create_schedule(action.id, schedule)
    except ScheduleAlreadyRunningError:
        log.info("%s already", already)
