"""What an endpoint does with the workloads behind it: start one, wake it, put it to sleep, end it."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError

from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.endpoints import EndpointSpec, Replica, Wake, WakePhases, WokenFrom
from holdfast.contracts.incidents import Phases
from holdfast.contracts.spec import WorkloadSpec
from holdfast.contracts.workload import Phase, ReplicaWord, Want, WorkloadInput
from holdfast.workflows import steps
from holdfast.workflows.cancelling import heed_cancel

CANNOT_SERVE = "it cannot serve: "
FIRST_TRY_AGAIN, LONGEST_TRY_AGAIN = timedelta(seconds=15), timedelta(hours=1)


def spec_of(endpoint: EndpointSpec, name: str) -> WorkloadSpec:
    return endpoint.workload.model_copy(update={"name": name, "service": endpoint.service})


async def order_awake(replica: Replica, endpoint: EndpointSpec, workdir: CheckpointRef | None) -> bool:
    """Tell it, or start it where there is none. False: a workload that says nothing to us has its name."""
    want = Want(awake=True, reason="somebody calls")
    if replica.phase is not None and await _told(replica.name, want):
        return True
    return await _start(replica.name, endpoint, replica.head or workdir)


async def order_asleep(replica: Replica, endpoint: EndpointSpec) -> bool:
    """False: there is no such workload any more."""
    return await _told(replica.name, Want(awake=False, mode=endpoint.sleep.mode, reason="nobody calls"))


async def end(replica: Replica) -> None:
    """It has nothing that is worth a last save: cancelled, it lets its machine go."""
    with suppress(FailureError):
        await workflow.get_external_workflow_handle(names.workload_id(replica.name)).cancel()


async def _told(name: str, want: Want) -> bool:
    try:
        await workflow.get_external_workflow_handle(names.workload_id(name)).signal("want", want)
    except FailureError:
        heed_cancel()
        return False
    heed_cancel()
    return True


async def _start(name: str, endpoint: EndpointSpec, begins_with: CheckpointRef | None) -> bool:
    order = WorkloadInput(
        spec=spec_of(endpoint, name),
        workdir=replace(begins_with, workload=name, epoch=0, sequence=0) if begins_with else None,
        owner=names.endpoint_id(endpoint.name),
    )
    try:
        started = await workflow.start_child_workflow(
            names.WORKLOAD,
            order,
            id=names.workload_id(name),
            task_queue=names.CONTROL_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=f"replica of {endpoint.name}",
            search_attributes=workflow.info().typed_search_attributes,
        )
        steps.unheard(started)
    except WorkflowAlreadyStartedError:
        # Of an endpoint of this name that somebody ended by force, perhaps: then it heeds us, and says so.
        await _told(name, Want(awake=True, reason="somebody calls", owner=names.endpoint_id(endpoint.name)))
        return False
    return True


def heard(replica: Replica, word: ReplicaWord, now: datetime) -> Replica:
    """What is known of a replica after a word of its own."""
    gone = word.phase.is_final
    ended_by_itself = word.phase in (Phase.FAILED, Phase.FINISHED)
    ended_by_us = replica.failures > 0 and not replica.wanted and not ended_by_itself
    known = replace(
        replica,
        phase=None if gone else word.phase,
        reason=replica.reason if ended_by_us else word.reason,  # why it had to end tells more than that it did
        lease=None if gone else word.lease,
        started_at=word.started_at,
        head=word.head or replica.head,
    )
    if word.phase is Phase.RUNNING and replica.wanted and _same_process(replica, word):
        return known
    known = replace(known, ready_at=None)
    match word.phase:
        case Phase.RUNNING if not replica.wanted:  # it could not be put to sleep, and goes on
            return failed(replace(known, wanted=True, leaving_since=None, slept_from=None), now)
        case Phase.FAILING_OVER if replica.wanted and replica.asked_at is None:
            return replace(known, asked_at=now, woken_from=WokenFrom.FAILOVER)
        case Phase.PAUSED if replica.wanted:
            return failed(replace(known, wanted=False), now)
        case _ if gone and replica.wanted:
            return failed(replace(known, wanted=False), now)
    return known


def failed(replica: Replica, now: datetime) -> Replica:
    """It did not do what was wanted: not to be tried again for a while, a longer one each time."""
    wait = min(FIRST_TRY_AGAIN * 2 ** min(replica.failures, 20), LONGEST_TRY_AGAIN)
    return replace(replica, failures=replica.failures + 1, not_before=now + wait)


def begun(replica: Replica) -> Replica:
    """It is ours, whether it has said anything of itself yet or not."""
    return replica if replica.phase is not None else replace(replica, phase=Phase.PLACING)


def not_ours(replica: Replica, now: datetime) -> Replica:
    """Its name is another workload's, or that of its own last run, which is not quite over. It is not touched."""
    reason = f"a workload named {replica.name} runs already, which is not this endpoint's; stop it"
    return failed(replace(replica, phase=None, wanted=False, reason=reason), now)


def wanted_awake(replica: Replica, now: datetime) -> Replica:
    came_from = WokenFrom.COLD
    if replica.phase is Phase.PAUSED:
        came_from = WokenFrom.STOP if replica.lease is not None else WokenFrom.CHECKPOINT
    return replace(replica, wanted=True, leaving_since=None, slept_from=None, asked_at=now, woken_from=came_from)


def serves(replica: Replica, port: int, now: datetime) -> Replica:
    """One that was awake all along, because it could not be put to sleep, is let alone for a while as before."""
    known = replace(replica, ready_at=now, port=port, asked_at=None)
    return known if replica.asked_at is None else replace(known, failures=0, not_before=None)


def wake_of(replica: Replica, endpoint: str, before: Phases, ready: acts.ServiceReady, now: datetime) -> Wake:
    """Where its time went: until its process ran, the workload tells.

    Of one that lost its machine it began with the last sign of life, for nobody was answered since.
    """
    assert replica.asked_at is not None, "it was wanted"
    assert replica.lease is not None, "what serves has a machine"
    unnoticed = before.detect if replica.woken_from is WokenFrom.FAILOVER else timedelta()
    return Wake(
        endpoint=endpoint,
        replica=replica.name,
        epoch=replica.lease.epoch,
        woken_from=replica.woken_from,
        asked_at=replica.asked_at - unnoticed,
        ready_at=now,
        phases=WakePhases(
            place=before.detect + before.decide + before.provision,
            boot=before.boot,
            connect=before.connect,
            fetch=before.restore + before.start,
            load=max(now - (replica.started_at or now) - ready.first_byte, timedelta()),
            first_byte=ready.first_byte,
        ),
    )


def _same_process(replica: Replica, word: ReplicaWord) -> bool:
    return replica.started_at == word.started_at and replica.lease == word.lease
