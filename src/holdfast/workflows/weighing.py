"""Evidence on a machine that fell silent: our own try and the provider's word, both at once."""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from holdfast.contracts.activities import ReachResult
from holdfast.contracts.incidents import Evidence, Reach, Verdict
from holdfast.contracts.machines import Instance, InstanceState, Lease
from holdfast.policy import verdicts
from holdfast.workflows import steps

FIRST_LOOK_AGAIN = timedelta(milliseconds=500)
LONGEST_LOOK_AGAIN = timedelta(seconds=5)


async def answers_again(lease: Lease, *, silence: timedelta) -> bool:
    """Look until the machine answers, or until the evidence says that it is lost. As long as nothing is known, look on.

    For a machine that has not yet taken the work: that nothing runs on it is no news.
    """
    last_sign, wait = workflow.now(), FIRST_LOOK_AGAIN
    while True:
        evidence = await gather_evidence(lease, last_sign=last_sign)
        match verdicts.judge(evidence, silence=silence, terms=lease.terms).verdict:
            case Verdict.LOST:
                return False
            case Verdict.ALIVE | Verdict.STALLED:
                return True
        await workflow.sleep(wait, summary="look again")
        wait = min(wait * 2, LONGEST_LOOK_AGAIN)


async def gather_evidence(lease: Lease, *, last_sign: datetime) -> Evidence:
    """Ask both sides now. A side that gives no answer leaves its part of the evidence empty."""
    ours, theirs = await asyncio.gather(_reach(lease), _word(lease))
    return Evidence(
        reach=ours.reach if ours else Reach.NOT_TRIED,
        silent_for=max(workflow.now() - last_sign, timedelta()),
        state=theirs.state if theirs else InstanceState.UNKNOWN,
        state_detail=theirs.detail if theirs else "",
        provider_answers=theirs is not None,
        we_are_online=bool(ours and ours.we_are_online),
        own_side_doubtful=bool(ours and ours.own_side_doubtful),
    )


async def _reach(lease: Lease) -> ReachResult | None:
    try:
        return await steps.try_reach(lease)
    except ActivityError as err:
        if is_cancelled_exception(err):
            raise
        return None


async def _word(lease: Lease) -> Instance | None:
    try:
        return await steps.inspect(lease)
    except ActivityError as err:
        if is_cancelled_exception(err):
            raise
        return None
