"""Delete from the store what no checkpoint needs any more. Started by a schedule; one run at a time.

The records say, page by page, which manifests live; the store is then searched in two phases, a grace apart, so that
nothing that a save in flight is about to name is ever deleted.
"""

from datetime import timedelta

from temporalio import workflow

from holdfast.contracts import names
from holdfast.contracts.activities import CollectGarbageResult
from holdfast.workflows import steps

GRACE = timedelta(hours=24)


@workflow.defn(name=names.GARBAGE)
class GarbageWorkflow:
    @workflow.run
    async def run(self) -> CollectGarbageResult:
        if workflow.patched("the-collector-asks-what-lives"):
            done = await steps.collect_unneeded(GRACE)
        else:
            done = await steps.collect_garbage(await steps.live_manifests(), GRACE)
        workflow.set_current_details(
            f"{done.live} checkpoints live; {done.deleted} objects deleted ({done.bytes_deleted:,} bytes), "
            f"{done.condemned} condemned, {done.kept} kept"
        )
        return done
