"""Keep a mirror, a store near some machines, filled with the live checkpoints. Run by a schedule; one run at a time."""

from temporalio import workflow

from holdfast.contracts import names
from holdfast.contracts.activities import FillMirrorInput, FillMirrorResult
from holdfast.workflows import steps


@workflow.defn(name=names.MIRROR)
class MirrorWorkflow:
    @workflow.run
    async def run(self, order: FillMirrorInput) -> FillMirrorResult:
        done = await steps.fill_mirror(order.mirror)
        workflow.set_current_details(
            f"{done.live} checkpoints live; {done.checkpoints} of {done.lacking} copied ({done.packs} packs, "
            f"{done.bytes_copied:,} bytes), {done.waiting} wait, {done.unsound} are not whole in the main store"
        )
        return done
