"""Keep one fresh copy of a workload's disk at its provider, for the next machine to begin with.

1. Wait until a copy is due. The records say so: the machine holds the newest epoch, and has saved since the last copy.
   They write the copy down before its provider is asked for it.
2. Have it taken, and wait until it is whole; then drop the one before it.
3. At the end of the workload drop all that the records hold open.

Holds throughout: there is one such workflow per workload, so copies are never asked for twice; a copy is given up on,
and never forgotten: dropping it is repeated until its provider does not know it. A copy saves time and decides
nothing: the checkpoint is what is restored.
"""

from dataclasses import replace
from datetime import timedelta
from typing import NoReturn

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception

from holdfast.contracts import names
from holdfast.contracts.disks import (
    CopyOutcome,
    DiskAttached,
    DiskCopy,
    DiskInput,
    DiskWord,
    PlanCopyInput,
    TakenCopy,
)
from holdfast.contracts.machines import Lease
from holdfast.workflows import steps
from holdfast.workflows.failures import words_of

SHORTEST_WAIT = timedelta(seconds=1)
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=10)


@workflow.defn(name=names.DISK_COPIES)
class DiskCopiesWorkflow:
    @workflow.init
    def __init__(self, order: DiskInput) -> None:
        self._spec = order.spec
        self._lease = order.lease
        self._finished = order.finished
        self._cannot = set(order.cannot)
        self._wait = self._spec.checkpoint.every
        self._taking: workflow.ActivityHandle[TakenCopy] | None = None
        self._last: CopyOutcome | None = None  # of the copies of this machine
        self._describe("no copy yet")

    @workflow.run
    async def run(self, order: DiskInput) -> None:
        while True:
            if self._finished:
                await self._drop(*await steps.open_disk_copies(self._spec.name))
                if self._finished:  # else a new run of the workload has a machine by now
                    return
            elif await self._is_due():
                await self._renew()
            if workflow.info().is_continue_as_new_suggested():
                self._continue_as_new()

    # --- messages ------------------------------------------------------------------------------------------------

    @workflow.signal
    def attach(self, message: DiskAttached) -> None:
        self._spec, self._lease = message.spec, message.lease
        self._finished = False
        self._wait = self._spec.checkpoint.every  # there is nothing to copy before its first save
        self._last = None

    @workflow.signal
    def finish(self) -> None:
        self._finished = True
        self._lease = None
        if self._taking is not None:
            self._taking.cancel()

    # --- phases --------------------------------------------------------------------------------------------------

    async def _is_due(self) -> bool:
        """True when it is time to ask the records; False when something else needs attention first."""
        lease = self._lease
        asks = lease is not None and lease.provider not in self._cannot
        try:
            await workflow.wait_condition(
                lambda: self._finished or self._lease is not lease,
                timeout=max(self._wait, SHORTEST_WAIT) if asks else None,
                timeout_summary="until a copy may be due",
            )
        except TimeoutError:
            return True
        return False

    async def _renew(self) -> None:
        """One copy, if it is due. Whatever comes of it, no copy is left that is of no use."""
        lease, every = self._lease, self._spec.failover.disk_every
        if lease is None or every is None:
            return
        plan = await steps.plan_disk_copy(
            PlanCopyInput(
                workload=self._spec.name,
                epoch=lease.epoch,
                provider=lease.provider,
                instance_id=lease.instance_id,
                every=every,
            )
        )
        if plan.copy is None:
            self._wait = plan.look_again_after or min(2 * self._wait, every)
            return
        self._wait = every
        taken = await self._take(lease, plan.copy)
        if taken.outcome is CopyOutcome.READY:
            await self._keep(replace(plan.copy, taken_at=taken.taken_at, disk_gb=taken.disk_gb))
        else:
            await self._do_without(plan.copy, taken)

    async def _take(self, lease: Lease, copy: DiskCopy) -> TakenCopy:
        if self._finished:
            return TakenCopy(outcome=CopyOutcome.FAILED)
        self._taking = steps.take_disk_copy(lease, copy.name)
        try:
            return await self._taking
        except ActivityError as err:
            if is_cancelled_exception(err) and not self._finished:
                raise  # we ourselves are being cancelled
            return TakenCopy(outcome=CopyOutcome.FAILED, detail=words_of(err))
        finally:
            self._taking = None

    async def _keep(self, copy: DiskCopy) -> None:
        others = await steps.record_disk_copy(copy)
        self._describe(f"`{copy.name}` at {copy.provider}")
        what = f"a copy of the disk is kept at {copy.provider}, and renewed: the next machine there begins with it"
        await self._tell(DiskWord(copy=copy, what=self._news(CopyOutcome.READY, what)))
        await self._drop(*others)

    async def _do_without(self, copy: DiskCopy, taken: TakenCopy) -> None:
        """Said once, and not each time that it fails again."""
        if taken.outcome is CopyOutcome.UNABLE:
            self._cannot.add(copy.provider)
            what = f"no copy of the disk is kept: {taken.detail}"
        else:
            what = f"the disk was not copied, which is tried again: {taken.detail}"
        self._describe(what)
        await self._tell(DiskWord(what=self._news(taken.outcome, what)))
        await self._drop(copy)

    def _news(self, outcome: CopyOutcome, what: str) -> str:
        before, self._last = self._last, outcome
        return "" if outcome is before else what

    async def _drop(self, *copies: DiskCopy) -> None:
        """Until its provider does not know it, whatever stands in the way."""
        for copy in copies:
            wait = FIRST_WAIT
            while (obstacle := await _try_to_drop(copy)) is not None:
                self._describe(f"`{copy.name}` is still billed at {copy.provider}: {obstacle}")
                if workflow.info().is_continue_as_new_suggested():
                    self._continue_as_new()  # it is on record as open
                await workflow.sleep(wait, summary=f"before {copy.name} is dropped again")
                wait = min(2 * wait, LONGEST_WAIT)
            await steps.close_disk_copy(copy.name)

    async def _tell(self, word: DiskWord) -> None:
        if self._finished:
            return
        workload = workflow.get_external_workflow_handle(names.workload_id(self._spec.name))
        try:
            await workload.signal("disk_said", word)
        except FailureError:
            workflow.logger.info("the workload is over, and was not ended by itself: nobody needs its copies")
            self._finished = True

    def _continue_as_new(self) -> NoReturn:
        workflow.continue_as_new(
            DiskInput(spec=self._spec, lease=self._lease, finished=self._finished, cannot=tuple(sorted(self._cannot)))
        )

    def _describe(self, what: str) -> None:
        workflow.set_current_details(f"the disk of **{self._spec.name}**: {what}")


async def _try_to_drop(copy: DiskCopy) -> str | None:
    """What stands in the way, such as a refused key; None when it is gone."""
    try:
        await steps.drop_disk_copy(copy)
    except ActivityError as err:
        if is_cancelled_exception(err):
            raise
        return words_of(err)
    return None
