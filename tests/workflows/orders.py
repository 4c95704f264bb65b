"""Which orders and signals may meet at a workflow, and how each is sent."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from holdfast.contracts import names
from holdfast.contracts.checkpoints import SaveReason
from holdfast.contracts.disks import DiskWord
from holdfast.contracts.endpoints import Duty, IdleNotice, Replica, ScaleRequest, SleepSpec, WakeRequest
from holdfast.contracts.jobs import CancelJob, ChangeBudget, JobPhase, RetriesSpec, Waiting, attempt_name
from holdfast.contracts.machines import InstanceState
from holdfast.contracts.pools import ClaimRequest, PoolInput, PoolPhase, PoolSpec, PoolStatus, ResizeRequest
from holdfast.contracts.spec import PriceSpec
from holdfast.contracts.workload import (
    AttachMessage,
    FailoverRequest,
    Phase,
    ReplicaWord,
    SaveAnswer,
    SaveRequest,
    StopRequest,
    Want,
)
from tests.workflows import callers, deployers, jobbers
from tests.workflows.callers import Handle, insisting
from tests.workflows.stories import Story
from tests.workflows.world import a_checkpoint

LONG = SleepSpec(after=timedelta(hours=1), least=timedelta())
Message = Callable[[Story, Handle], Awaitable[tuple[Any, ...]]]


def _of(*args: Any) -> Message:
    async def message(story: Story, handle: Handle) -> tuple[Any, ...]:
        return args

    return message


@dataclass(frozen=True)
class Kind:
    """A workflow in a state in which orders are given to it."""

    name: str
    begins: Callable[[Story], Awaitable[Handle]]
    signals: Mapping[str, tuple[str, Message]]  # what is said → the signal, and with what
    orders: Mapping[str, tuple[str, Message]]


# --- endpoint --------------------------------------------------------------------------------------------------------


async def _serving(story: Story) -> Handle:
    handle = await callers.begin(story, sleep=LONG)
    await callers.call(handle)
    await story.until(lambda: len(story.world.wakes) == 1)
    return handle


async def _same_word(story: Story, handle: Handle) -> tuple[ReplicaWord]:
    (replica,) = (await callers.status(handle)).replicas
    return (_word(replica, Phase.RUNNING),)


async def _other_word(story: Story, handle: Handle) -> tuple[ReplicaWord]:
    (replica,) = (await callers.status(handle)).replicas
    return (_word(replica, Phase.FAILING_OVER),)


def _word(replica: Replica, phase: Phase) -> ReplicaWord:
    return ReplicaWord(
        workload=replica.name, phase=phase, reason="said", lease=replica.lease, started_at=replica.started_at
    )


async def _broken(story: Story, handle: Handle) -> tuple[WakeRequest]:
    (replica,) = (await callers.status(handle)).replicas
    assert replica.lease is not None
    return (WakeRequest(gateway="g1", waiting=1, broken=(replica.lease.label,)),)


ENDPOINT = Kind(
    "endpoint",
    _serving,
    signals={
        "called again": ("called", _of(WakeRequest(gateway="g1", waiting=1))),
        "called by another": ("called", _of(WakeRequest(gateway="g2", waiting=1))),
        "called in doubt": ("called", _broken),
        "idle": ("idle", _of(IdleNotice(gateway="g1", quiet_for=timedelta()))),
        "replica runs": ("replica_said", _same_word),
        "replica fails over": ("replica_said", _other_word),
        "on duty": ("duty", _of(Duty(serving=True, token_hashes=()))),
        "kept": ("duty", _of(Duty(serving=False, token_hashes=("aa",)))),
    },
    orders={
        "wake": ("wake", _of(WakeRequest(gateway="o1", waiting=1, answer_within=timedelta(seconds=1)))),
        "wake in doubt": ("wake", _broken),
        "scale": ("scale", _of(ScaleRequest(minimum=2, maximum=2))),
        "sleep": ("sleep", _of()),
        "set tokens": ("set_tokens", _of(["bb"])),
        "remove": ("remove", _of()),
    },
)


# --- workload --------------------------------------------------------------------------------------------------------


async def _running(story: Story) -> Handle:
    handle = await story.begin()
    await story.running(handle)
    return handle


async def _paused(story: Story) -> Handle:
    handle = await _running(story)
    await handle.execute_update("pause")
    await story.reaches(handle, Phase.PAUSED)
    return handle


async def _our_machine(story: Story, handle: Handle) -> tuple[Any]:
    return (replace(story.world.newest().instance, state=InstanceState.STOPPED),)


async def _a_stranger(story: Story, handle: Handle) -> tuple[Any]:
    return (replace(story.world.newest().instance, instance_id="i99"),)


async def _newer(story: Story, handle: Handle) -> tuple[Any]:
    return (a_checkpoint(story.name, 1, 7, SaveReason.CADENCE),)


_TO_WORKLOADS: Mapping[str, tuple[str, Message]] = {
    "its machine stopped": ("provider_said", _our_machine),
    "a stranger": ("provider_said", _a_stranger),
    "want it awake": ("want", _of(Want(awake=True))),
    "want it asleep": ("want", _of(Want(awake=False))),
    "unused": ("unused", _of("nobody uses it")),
    "progressed": ("progressed", _of(datetime.now(UTC) + timedelta(days=1))),
    "checkpointed": ("checkpointed", _newer),
    "save answered": ("save_answered", _of(SaveAnswer(request_id="none of its own", error="it failed"))),
    "disk said": ("disk_said", _of(DiskWord(what="cannot be copied"))),
    "budget changed": ("budget_changed", _of()),
}
WORKLOAD = Kind(
    "workload",
    _running,
    signals=_TO_WORKLOADS,
    orders={
        "pause": ("pause", _of()),
        "fail over": ("failover", _of(FailoverRequest())),
        "save": ("checkpoint", _of()),
        "stop": ("stop", _of(StopRequest(save=False))),
    },
)
PAUSED_WORKLOAD = Kind(
    "paused workload",
    _paused,
    signals=_TO_WORKLOADS,
    orders={"resume": ("resume", _of()), "stop": ("stop", _of(StopRequest(save=False)))},
)


# --- saver -----------------------------------------------------------------------------------------------------------


async def _saving(story: Story) -> Handle:
    await _running(story)
    return story.client.get_workflow_handle(names.checkpoints_id(story.name))


async def _attach(story: Story, handle: Handle) -> tuple[Any]:
    (lease,) = story.world.leases.values()
    head = story.world.heads[-1]
    return (AttachMessage(lease=lease, head=head, base=head),)


SAVER = Kind(
    "checkpoint_sync",
    _saving,
    signals={
        "attach": ("attach", _attach),
        "detach": ("detach", _of()),
        "save": ("request_save", _of(SaveRequest(request_id="r1", reason=SaveReason.REQUESTED))),
        "finish": ("finish", _of()),
    },
    orders={
        "save now": ("save_now", _of()),
        "change cadence": ("change_cadence", _of(timedelta(minutes=5))),
    },
)


# --- pool ------------------------------------------------------------------------------------------------------------


async def _ready(story: Story) -> Handle:
    spec = PoolSpec(name=f"p{story.name}", price=PriceSpec(max_hourly=Decimal(1)))
    handle = await story.client.start_workflow(
        names.WARM_POOL, PoolInput(spec=spec), id=names.pool_id(spec.name), task_queue=names.CONTROL_QUEUE
    )

    async def ask() -> PoolStatus:
        told: PoolStatus = await handle.query("status", result_type=PoolStatus)
        return told

    while (await insisting(ask)).phase is not PoolPhase.READY:
        pass
    return handle


async def _claim(story: Story, handle: Handle) -> tuple[Any]:
    return (ClaimRequest(pool=f"p{story.name}", workload=story.name, epoch=1),)


POOL = Kind(
    "pool",
    _ready,
    signals={"a standby stopped": ("provider_said", _our_machine), "a stranger": ("provider_said", _a_stranger)},
    orders={
        "claim": ("claim", _claim),
        "resize": ("resize", _of(ResizeRequest(target=2))),
        "drain": ("drain", _of()),
        "remove": ("remove", _of()),
    },
)


# --- deployment ------------------------------------------------------------------------------------------------------


async def _deployed(story: Story) -> Handle:
    handle = await deployers.first(story)
    await deployers.decided(handle, 1)
    await deployers.another(story, handle, 2)
    await deployers.decided(handle, 2)
    return handle


async def _third(story: Story, handle: Handle) -> tuple[Any]:
    return (deployers.order(story, 3),)


DEPLOYMENT = Kind(
    "deployment",
    _deployed,
    signals={},  # it has none
    orders={
        "deploy": ("deploy", _third),
        "roll back": ("rollback", _of()),
        "set tokens": ("set_tokens", _of(["bb"])),
        "retire": ("retire", _of()),
    },
)


# --- job -------------------------------------------------------------------------------------------------------------


async def _job_running(story: Story) -> Handle:
    handle = await jobbers.submit(story, budget=Decimal(5))
    await jobbers.comes_to(handle, JobPhase.RUNNING)
    return handle


async def _job_waiting(story: Story) -> Handle:
    await jobbers.the_queue(story, at_once=1)
    first = await jobbers.submit(story, name=f"{story.name}-x")
    await jobbers.comes_to(first, JobPhase.RUNNING)
    handle = await jobbers.submit(story, budget=Decimal(5))
    await jobbers.comes_to(handle, JobPhase.QUEUED)
    return handle


async def _job_to_be_tried_again(story: Story) -> Handle:
    again = RetriesSpec(errors=1, wait=timedelta(hours=1))
    handle = await jobbers.submit(story, budget=Decimal(5), retries=again)
    await jobbers.comes_to(handle, JobPhase.RUNNING)
    story.world.finish(story.world.newest(), exit_code=3)
    await jobbers.comes_to(handle, JobPhase.RETRYING)
    return handle


def _of_attempt(phase: Phase, number: int = 1) -> Message:
    async def message(story: Story, handle: Handle) -> tuple[ReplicaWord]:
        lease = (await jobbers.progress(handle)).lease
        name = attempt_name(story.name, number)
        return (ReplicaWord(workload=name, phase=phase, reason="said", lease=lease),)

    return message


_TO_JOBS: Mapping[str, tuple[str, Message]] = {
    "it may run": ("admitted", _of()),
    "it runs": ("replica_said", _of_attempt(Phase.RUNNING)),
    "it moves": ("replica_said", _of_attempt(Phase.FAILING_OVER)),
    "a stranger": ("replica_said", _of_attempt(Phase.RUNNING, number=7)),
    "cancelled by a workflow": ("cancel_job", _of(CancelJob())),
}
_OF_JOBS: Mapping[str, tuple[str, Message]] = {
    "cancel": ("cancel", _of(CancelJob())),
    "cancel unsaved": ("cancel", _of(CancelJob(save=False))),
    "change budget": ("change_budget", _of(ChangeBudget(amount=Decimal(9)))),
}
JOB = Kind("job", _job_running, signals=_TO_JOBS, orders=_OF_JOBS)
WAITING_JOB = Kind("waiting job", _job_waiting, signals=_TO_JOBS, orders=_OF_JOBS)
JOB_TRIED_AGAIN = Kind("job that is tried again", _job_to_be_tried_again, signals=_TO_JOBS, orders=_OF_JOBS)


async def _queue(story: Story) -> Handle:
    handle = await jobbers.the_queue(story, at_once=1)
    await jobbers.comes_to(await jobbers.submit(story), JobPhase.RUNNING)
    return handle


QUEUE = Kind(
    "job queue",
    _queue,
    signals={
        "one more waits": ("enqueue", _of(Waiting(job="nobody", key="k"))),
        "one leaves": ("leave", _of("nobody")),
    },
    orders={"limit": ("set_limit", _of(2)), "a limit that cannot be": ("set_limit", _of(0))},
)
