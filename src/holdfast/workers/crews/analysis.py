"""Analysis: work for the CPU, far from the decisions; of ours it holds only the right to read the store."""

from temporalio.worker import Worker

from holdfast.activities.checkpoints import VerifyActivities
from holdfast.contracts import names
from holdfast.workers.crews.storing import open_engine
from holdfast.workers.shop import Shop


async def crew(shop: Shop) -> list[Worker]:
    """One worker that reads checkpoints back, two at a time."""
    acts = VerifyActivities(open_engine(shop), metrics=shop.metrics)
    return [shop.worker(names.ANALYSIS_QUEUE, [acts.verify_checkpoint], max_concurrent_activities=2)]
