"""Evidence on a machine that fell silent: our own try and the provider's word, both at once."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from holdfast.contracts.activities import ReachResult
from holdfast.contracts.incidents import Evidence, Reach, Verdict
from holdfast.contracts.machines import Instance, InstanceState, Lease
from holdfast.policy import verdicts
from holdfast.workflows import steps

FIRST_LOOK_AGAIN = timedelta(milliseconds=500)
PATIENCE = timedelta(seconds=5), timedelta(minutes=1)


def longest_wait(looked_for: timedelta) -> timedelta:
    """Between two looks: seconds at first, up to a minute when an outage lasts for hours."""
    shortest, longest = PATIENCE
    return min(max(shortest, looked_for / 20), longest)


async def answers_again(lease: Lease, *, silence: timedelta, hurry: Callable[[], bool] = lambda: False) -> bool:
    """Look until the machine answers, or until the evidence says that it is lost. As long as nothing is known, look on.

    For a machine on which the work is not expected to run. False as well when somebody is in a `hurry`.
    """
    last_sign = began = workflow.now()
    wait = FIRST_LOOK_AGAIN
    while True:
        evidence = await gather_evidence(lease, last_sign=last_sign)
        match verdicts.judge(evidence, silence=silence, terms=lease.terms).verdict:
            case Verdict.LOST:
                return False
            case Verdict.ALIVE | Verdict.STALLED:
                return True
        if await _holds_within(hurry, wait):
            return False
        wait = min(wait * 2, longest_wait(workflow.now() - began))


async def _holds_within(condition: Callable[[], bool], wait: timedelta) -> bool:
    try:
        await workflow.wait_condition(condition, timeout=wait, timeout_summary="look again")
    except TimeoutError:
        return False
    return True


async def gather_evidence(lease: Lease, *, last_sign: datetime) -> Evidence:
    """Ask both sides now. A side that gives no answer leaves its part of the evidence empty."""
    ours, theirs = await asyncio.gather(_reach(lease), provider_word(lease))
    return Evidence(
        reach=ours.reach if ours else Reach.NOT_TRIED,
        silent_for=max(workflow.now() - last_sign, timedelta()),
        state=theirs.state if theirs else InstanceState.UNKNOWN,
        state_detail=theirs.detail if theirs else "",
        provider_answers=theirs is not None,
        we_are_online=bool(ours and ours.we_are_online),
        own_side_doubtful=bool(ours and ours.own_side_doubtful),
        charged=theirs.charged if theirs else None,
    )


async def _reach(lease: Lease) -> ReachResult | None:
    try:
        return await steps.try_reach(lease)
    except ActivityError as err:
        if is_cancelled_exception(err):
            raise
        return None


async def provider_word(lease: Lease) -> Instance | None:
    """What the provider says of the machine now; None when it gives no answer."""
    try:
        return await steps.inspect(lease.provider, lease.instance_id, lease.label, hurry=True)
    except ActivityError as err:
        if is_cancelled_exception(err):
            raise
        return None
