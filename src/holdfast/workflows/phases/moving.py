"""FAILING_OVER: one loss, one `failover` child, one incident on record."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, ChildWorkflowError

from holdfast.contracts import names
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.failover import FailoverInput, FailoverResult
from holdfast.contracts.incidents import Cause, Incident, Phases
from holdfast.contracts.machines import Lease
from holdfast.contracts.workload import Phase, Upshot
from holdfast.policy import keeping
from holdfast.policy.deadline import Use
from holdfast.workflows import changes, steps
from holdfast.workflows.life import Life
from holdfast.workflows.phases import meeting
from holdfast.workflows.phases.holding import hold_back
from holdfast.workflows.releasing import release
from holdfast.workflows.wishes import Loss


async def fail_over(life: Life) -> None:
    lease, loss = life.machine(), life.loss
    assert loss is not None, "only a loss leads here"
    started_at = life.started_at or loss.silent_since
    await life.saver.detach()
    life.pending = None  # a machine lost before it made progress: its incident stays without a recovery
    telling = _tell(lease, loss)
    held = await hold_back(life, lease, loss)
    loss = held or loss
    released = held is not None
    if _asks_deadline(life, loss):
        released = await meeting.until_wanted(life, lease) or released
    try:
        result = await _climb(life, lease, loss, released=released)
    except ChildWorkflowError as err:
        return await _no_machine(life, lease, err)
    life.lease = result.lease  # from here on it is ours to let go
    life.incidents += 1
    life.moved(result.kept_state)
    life.epoch = max(life.epoch, result.epoch)
    life.pending = _incident(lease, loss, result, started_at)
    if telling is not None:
        await telling  # what is older is never written over what is newer
    await steps.record_incident(life.pending)
    how = f"{result.strategy} after {loss.cause}"
    base = result.head if result.kept_state else result.restored_from
    return await life.work_runs(result.lease, result.started_at, how, head=result.head, base=base, phases=result.phases)


def _asks_deadline(life: Life, loss: Loss) -> bool:
    """Whether the deadline has a say in what follows.

    Not where the machine still answers or is kept, nor where a person wants another one at once. And a machine that is
    left for the deadline's sake is left for what it had decided, or nothing was gained.
    """
    if life.deadline is None:
        return False
    if loss.cause is Cause.DEADLINE:
        return life.wanted is Use.WAIT
    return loss.leave or loss.cause not in (Cause.REBOOTED, Cause.STALLED, Cause.DRILL, Cause.REQUESTED)


def _tell(lost: Lease, loss: Loss) -> "asyncio.Task[None] | None":
    """Write the loss down before it is answered, which may take hours: somebody may want to know at once."""
    if not changes.knows("losses-are-told-at-once"):
        return None
    incident = Incident(
        workload=lost.workload,
        epoch_lost=lost.epoch,
        epoch_gained=None,
        cause=loss.cause,
        reason=loss.reason,
        strategy="",
        silent_since=loss.silent_since,
        decided_at=loss.decided_at,
        recovered_at=None,
        phases=Phases(detect=loss.decided_at - loss.silent_since),
        recovery_time=None,
        work_lost=None,
    )
    telling = asyncio.create_task(steps.record_incident(incident))
    steps.unheard(telling)
    return telling


async def _climb(life: Life, lease: Lease, loss: Loss, *, released: bool) -> FailoverResult:
    order = FailoverInput(
        spec=life.spec,
        lost=lease,
        cause=loss.cause,
        reason=loss.reason,
        silent_since=loss.silent_since,
        decided_at=loss.decided_at,
        epoch=life.epoch,
        head=life.head,
        only=loss.only,
        released=released,
        leave=loss.leave,
        drill=loss.drill,
    )
    starting = asyncio.create_task(
        workflow.start_child_workflow(
            names.FAILOVER,
            order,
            id=names.failover_id(life.spec.name, lease.epoch),
            result_type=FailoverResult,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
            static_summary=f"{loss.cause}: {loss.reason}"[:200],
            search_attributes=workflow.info().typed_search_attributes,
        )
    )
    try:
        child = await asyncio.shield(starting)
        await _until_over(life, child)
        if not child.done():
            child.cancel()
        result: FailoverResult = await asyncio.shield(child)
        return result
    except asyncio.CancelledError:
        await asyncio.shield(asyncio.create_task(_call_off(life, starting)))
        raise


async def _until_over(life: Life, child: "workflow.ChildWorkflowHandle[Any, FailoverResult]") -> None:
    """Until the climb or the workload is over. Meanwhile a deadline may come to want another kind of machine."""
    wanted = life.spec.policy.deadline
    if wanted is None:
        await workflow.wait_condition(lambda: child.done() or life.wishes.stop is not None)
        return
    while True:
        try:
            await workflow.wait_condition(
                lambda: child.done() or life.wishes.stop is not None,
                timeout=keeping.review(wanted),
                timeout_summary="until the deadline is looked at again",
            )
        except TimeoutError:
            before = life.spec
            answer = await meeting.ask(life, using=Use.WAIT)
            if life.spec != before and not child.done():
                life.face.say(answer.reason)
                await child.signal("change_spec", life.spec)
        else:
            return


async def _call_off(life: Life, starting: "asyncio.Task[workflow.ChildWorkflowHandle[Any, FailoverResult]]") -> None:
    """We are being cancelled, and so is the climb. A machine on which it has ended by now is ours to let go."""
    child = await starting
    child.cancel()
    try:
        result: FailoverResult = await child
    except ChildWorkflowError:
        return  # it has given back what it rented
    await release(life.machine(), "lost")
    life.lease = result.lease


async def _no_machine(life: Life, lease: Lease, err: ChildWorkflowError) -> None:
    """The climb ended without a machine: the operator stopped it, or the policy permits nothing."""
    await release(lease, "lost")
    life.lease = None
    if life.wishes.stop is not None:
        life.wishes.take()
        return life.enter(Phase.STOPPING, "stopped during the failover")
    cause = err.cause
    message = cause.message if isinstance(cause, ApplicationError) else str(cause or err)
    if isinstance(cause, ApplicationError) and cause.type == ErrorType.BUDGET_EXCEEDED:
        life.upshot = Upshot.BUDGET
        return await life.end(Phase.STOPPED, message)
    life.upshot = Upshot.LOST
    await life.end(Phase.FAILED, message)
    raise ApplicationError(message, type=ErrorType.LADDER_EXHAUSTED, non_retryable=True)


async def close_incident(life: Life, recovered_at: datetime) -> None:
    """The work makes progress again: only now is the incident over."""
    incident, life.pending = life.pending, None
    if incident is None:
        return
    took = recovered_at - incident.silent_since
    progress = max(recovered_at - (life.started_at or recovered_at), timedelta())
    phases = replace(incident.phases, progress=progress)
    await steps.record_incident(replace(incident, recovered_at=recovered_at, recovery_time=took, phases=phases))
    life.face.say(f"recovered in {took.total_seconds():.1f} s")


def _incident(lost: Lease, loss: Loss, result: FailoverResult, started_at: datetime) -> Incident:
    return Incident(
        workload=lost.workload,
        epoch_lost=lost.epoch,
        epoch_gained=result.lease.epoch,
        cause=loss.cause,
        reason=f"{loss.reason}; aborted: {result.aborted}" if result.aborted else loss.reason,
        strategy=result.strategy,
        silent_since=loss.silent_since,
        decided_at=loss.decided_at,
        recovered_at=None,
        phases=replace(result.phases, detect=loss.decided_at - loss.silent_since),
        recovery_time=None,
        work_lost=_work_lost(loss, result, started_at),
        cost=sum((each.hourly * _hours(each.took) for each in result.attempts), Decimal(0)).quantize(Decimal("1e-6")),
        attempts=result.attempts,
    )


def _work_lost(loss: Loss, result: FailoverResult, started_at: datetime) -> timedelta | None:
    """Work is lost from the newest of: the restored checkpoint, and the start of the work on the lost machine."""
    if result.kept_state:
        return None
    restored_to = result.restored_from.taken_at if result.restored_from else started_at
    worked_until = loss.worked_until or loss.silent_since
    return max(worked_until - max(restored_to, started_at), timedelta())


def _hours(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)) / Decimal(3_600_000_000)
