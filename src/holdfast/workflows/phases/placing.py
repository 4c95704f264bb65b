"""PLACING: open the record and find the first machine."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from holdfast.contracts.activities import OpenWorkloadInput
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.workload import Phase
from holdfast.workflows import steps
from holdfast.workflows.life import Life
from holdfast.workflows.settling import Settled

MARKET_WAIT = timedelta(seconds=30)


async def open_record(life: Life) -> None:
    """Before anything else: the epoch to count on from, the providers, and the workflow that saves."""
    run_id = workflow.info().first_execution_run_id
    opened = await steps.open_workload(OpenWorkloadInput(spec=life.spec, workdir=life.workdir, run_id=run_id))
    life.epoch, life.head = opened.epoch, opened.head
    if not life.spec.providers:
        life.spec = life.spec.model_copy(update={"providers": opened.providers})
    await life.saver.open(life.spec)
    life.enter(Phase.PLACING, "looking for a machine")


async def place(life: Life) -> None:
    search = asyncio.create_task(_first_machine(life))
    await workflow.wait_condition(lambda: search.done() or life.wishes.stop is not None)
    if not search.done():
        search.cancel()  # the settler gives back what it was about to rent
        await asyncio.gather(search, return_exceptions=True)
        life.wishes.take()
        life.enter(Phase.STOPPING, "stopped before it ran")
        return
    settled = search.result()
    if settled is None:
        await life.end(Phase.FAILED, "no offer meets the spec")
        raise ApplicationError("no offer meets the spec", type=ErrorType.NO_OFFERS, non_retryable=True)
    await life.work_runs(settled.lease, settled.head, settled.started_at, "placed")


async def _first_machine(life: Life) -> Settled | None:
    """None when the market has nothing at the first look; offers that refuse us are waited out."""
    opened_at = life.epoch
    while True:
        settler = life.settler("placement", workflow.now())
        settled = await settler.on_new_machine("placement", with_state=True)
        nothing_was_tried = settler.epoch == opened_at
        life.epoch = settler.epoch
        if settled or nothing_was_tried:
            return settled
        again = f"no machine could be had; searching again in {MARKET_WAIT.total_seconds():g} s"
        life.enter(Phase.WAITING, again)
        await workflow.sleep(MARKET_WAIT, summary="wait for the market")
        life.enter(Phase.PLACING, "searching again")
