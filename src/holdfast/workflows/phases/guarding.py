"""RUNNING and SUSPECT: guard the machine, and weigh evidence before a loss is believed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from holdfast.contracts.activities import MachineReport
from holdfast.contracts.incidents import Cause, Reach, Verdict
from holdfast.contracts.workload import Phase, Want
from holdfast.policy import leaving as policy
from holdfast.policy import verdicts
from holdfast.workflows import changes, steps
from holdfast.workflows.cancelling import heed_cancel
from holdfast.workflows.life import Life
from holdfast.workflows.phases import cheaper, granting, leaving, meeting, serving, stalling
from holdfast.workflows.phases.ending import work_ended
from holdfast.workflows.weighing import FIRST_LOOK_AGAIN, gather_evidence, longest_wait
from holdfast.workflows.wishes import Loss, Wish


async def guard(life: Life) -> None:
    """Wait until something happens to the work, the machine or the operator's mind."""
    lease, started_at = life.machine(), life.started_at or workflow.now()
    watch = steps.watch_machine(
        lease,
        life.spec,
        started_at=started_at,
        announce_progress=life.pending is not None,
        reports_progress=stalling.was_restarted(life),
        stalled_since=life.stalled_since,
    )
    departure = await _reason_to_leave(
        life, lambda: watch.done() or life.wishes.current is not None or life.word is not None or life.is_tired()
    )
    if not watch.done():
        watch.cancel()
        steps.unheard(watch)
        life.last_sign = workflow.now()  # the watch would have ended with the first silence
        return await _look_up(life, departure)
    try:
        report = await watch
    except ActivityError as err:
        return life.suspect(f"the watch failed: {err.cause or err}")
    life.last_sign = max(life.last_sign, report.last_sign)
    return await _heed(life, report)


async def _heed(life: Life, report: MachineReport) -> None:
    """What the watch over the machine came back with."""
    if report.finished and life.spec.service is not None and life.owner and serving.starts_again(life, report):
        return
    if report.finished:
        await work_ended(life, report)
    elif report.taken_at is not None:
        await leaving.leave(life, Cause.NOTICE, report.detail, until=report.taken_at)
    elif report.stalled_since is not None:
        await stalling.answer(life, report.detail, since=report.stalled_since)
    elif report.unused and life.spec.hibernate is not None:
        life.take_want(Want(awake=False, mode=life.spec.hibernate.mode, reason=report.detail))
    elif report.gets_on:
        life.stalled_since = None
        life.enter(Phase.RUNNING, report.detail)
    else:
        life.suspect(report.detail or f"the machine is {report.reach}")


@dataclass(frozen=True)
class _Departure:
    """A reason to leave a machine on which all is well."""

    cause: Cause
    reason: str
    until: datetime | None = None  # it is taken then; None: there is no hurry


async def _reason_to_leave(life: Life, happened: Callable[[], bool]) -> _Departure | None:
    """Wait until something happens: then None. Or until our machine is better left, for its contract or its price."""
    contract = _contract_to_leave(life)
    while True:
        look = cheaper.next_look(life)
        review = life.deadline.next_review if life.deadline is not None else None
        moments = [each for each in (contract, look, review) if each is not None]
        left = max(min(moments) - workflow.now(), timedelta(seconds=1)) if moments else None
        try:
            await workflow.wait_condition(happened, timeout=left, timeout_summary="until it may be time to leave")
        except TimeoutError:
            if contract is not None and workflow.now() >= contract:
                ends = life.machine().contract_ends
                return _Departure(Cause.CONTRACT_ENDED, f"its contract ends at {ends:%Y-%m-%d %H:%M} UTC", until=ends)
            if review is not None and workflow.now() >= review:
                if (reason := await meeting.turns(life)) and not happened():
                    return _Departure(Cause.DEADLINE, reason)
                continue
            if look is None or workflow.now() < look:
                continue
            if (reason := await cheaper.look_around(life)) and not happened():
                return _Departure(Cause.CHEAPER, reason)
        else:
            return None


def _contract_to_leave(life: Life) -> datetime | None:
    """When the contract of our machine ends so soon that it must be left."""
    lease, margin = life.machine(), life.spec.failover.contract_margin
    if lease.contract_ends is None or not margin or not changes.knows("contracts-are-left-in-time"):
        return None
    return policy.leave_at(lease.contract_ends, since=lease.since, margin=margin)


async def _look_up(life: Life, departure: _Departure | None) -> None:
    """The machine is fine as far as we know; something else wants attention."""
    if wish := life.wishes.take():
        await granting.grant(life, wish)
    elif departure is not None and departure.until is not None:
        await leaving.leave(life, departure.cause, departure.reason, until=departure.until)
    elif departure is not None:
        await leaving.leave_for_better(life, departure.cause, departure.reason)
    elif life.word is not None:
        life.suspect(f"the provider says {life.word.state}: {life.word.detail}")
    else:
        life.continue_as_new()


async def weigh(life: Life) -> None:
    """Look again and again, patiently, until the evidence says alive or lost. Unknown never does."""
    lease, began, wait = life.machine(), workflow.now(), FIRST_LOOK_AGAIN
    while True:
        heed_cancel()
        evidence = await gather_evidence(lease, last_sign=life.last_sign)
        if evidence.reach in (Reach.ANSWERS, Reach.NO_AGENT):
            life.last_sign = workflow.now()
        if evidence.provider_answers:
            await life.meter(evidence.state, charged=evidence.charged)
        judgement = verdicts.judge(evidence, silence=life.spec.failover.silence, terms=lease.terms)
        if judgement.verdict is Verdict.ALIVE:
            return life.enter(Phase.RUNNING, judgement.reason)
        if judgement.verdict in (Verdict.LOST, Verdict.STALLED):
            cause = judgement.cause or Cause.SILENT
            return life.lose(Loss(cause, judgement.reason, silent_since=life.last_sign, decided_at=workflow.now()))
        life.face.say(f"{judgement.verdict}: {judgement.reason}")
        if await _wished_within(life, wait):
            return await granting.grant(life, life.wishes.take() or Wish.STOP)
        wait = min(wait * 2, longest_wait(workflow.now() - began))
        if life.is_tired():
            life.continue_as_new()


async def _wished_within(life: Life, wait: timedelta) -> bool:
    """Wait to look again; a new word from the provider ends the wait, a wish ends the weighing."""
    life.word = None
    try:
        await workflow.wait_condition(
            lambda: life.wishes.current is not None or life.word is not None,
            timeout=wait,
            timeout_summary="look again",
        )
    except TimeoutError:
        return False
    return life.wishes.current is not None
