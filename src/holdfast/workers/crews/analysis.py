"""Analysis: work for the CPU, far from the decisions; of ours it holds only the right to read the store."""

from temporalio.worker import Worker

from holdfast.activities.checkpoints import VerifyActivities
from holdfast.activities.fitting import FitActivities
from holdfast.contracts import names
from holdfast.workers.crews.storing import open_engine
from holdfast.workers.fitters import Fitters, forecast_of
from holdfast.workers.shop import Shop


async def crew(shop: Shop) -> list[Worker]:
    """One worker that reads checkpoints back and forecasts prices, three orders at a time."""
    verifying = VerifyActivities(open_engine(shop), metrics=shop.metrics)
    fitters = Fitters(forecast_of, processes=shop.settings.market.processes)
    shop.stack.push_async_callback(fitters.close)
    fitting = FitActivities(fitters, metrics=shop.metrics)
    orders = [verifying.verify_checkpoint, fitting.fit_forecasts]
    return [shop.worker(names.ANALYSIS_QUEUE, orders, max_concurrent_activities=3)]
