"""Let one machine go: destroy it until its provider no longer knows it, then close its cost line.

Since when it ran is asked for before anything is done to it, and is in the history then: a machine that was lost may
have been started again by its provider, and a worker that dies after the order takes the answer with it.

A workflow of its own, so that nobody has to wait for a provider that is down, and so that a workload may end, or
be terminated by hand, while the machine's end is still being seen to. It is never given up.
"""

from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from holdfast.contracts import names
from holdfast.contracts.failover import Ended, ReleaseInput
from holdfast.contracts.machines import InstanceState
from holdfast.workflows import steps

FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=1)


@workflow.defn(name=names.RELEASE)
class ReleaseWorkflow:
    @workflow.run
    async def run(self, order: ReleaseInput) -> None:
        workflow.set_current_details(f"**{order.label}** at {order.provider}: {order.reason}")
        wait = FIRST_WAIT
        while True:
            order = await _with_last_word(order)
            if not isinstance(ended := await _try_to_end(order), str):
                break
            workflow.set_current_details(
                f"**{order.label}** still bills at {order.provider}: {ended}\n\n"
                f"Tried again every {LONGEST_WAIT.total_seconds():g} s until it is gone."
            )
            await _stop_its_work(order)
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(order)
            await workflow.sleep(wait, summary=f"before {order.label} is destroyed again")
            wait = min(wait * 2, LONGEST_WAIT)
        await steps.close_lease(
            order.label, order.reason, order.conduct, order.failed_in, ended=ended, asleep=order.asleep
        )
        workflow.set_current_details(f"**{order.label}** is gone from {order.provider}")


async def _with_last_word(order: ReleaseInput) -> ReleaseInput:
    """With what its provider says of it now, if it says anything."""
    if not order.instance_id or not workflow.patched("asked-before-it-is-ended"):
        return replace(order, heard=True)
    try:
        word = await steps.inspect(order.provider, order.instance_id, order.label)
    except ActivityError as err:
        if is_cancelled_exception(err):
            raise
        return order
    runs = word.state is InstanceState.RUNNING and word.running_since is not None
    return replace(order, heard=True, running_since=word.running_since if runs else order.running_since)


async def _try_to_end(order: ReleaseInput) -> Ended | str:
    """What it was, now that the provider knows nothing of it; else what stands in the way, such as a refused key."""
    since = order.running_since
    try:
        if order.instance_id:
            since = await steps.destroy(order.provider, order.instance_id) or since
        # Also by label: a launch whose answer was lost may have rented what we never heard of, and not be listed yet.
        reaped = await steps.reap(order.provider, order.label, wait_out_lag=not order.instance_id)
    except ActivityError as err:
        if is_cancelled_exception(err):
            raise
        return str(err.cause or err)
    heard = order.heard or since is not None
    return Ended(existed=bool(order.instance_id) or reaped > 0, running_since=since, heard=heard)


async def _stop_its_work(order: ReleaseInput) -> None:
    """A machine that cannot be destroyed yet, and can be reached, at least works no more: another has its epoch."""
    if order.lease is None:
        return
    try:
        await steps.stop_work(order.lease, timedelta(seconds=1))
    except ActivityError as err:
        if is_cancelled_exception(err):
            raise
