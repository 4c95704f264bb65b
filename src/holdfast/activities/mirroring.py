"""Fill a mirror: ask the records, page by page, which checkpoints live, and copy to it those that it lacks."""

from collections import deque

from temporalio import activity

from holdfast.activities.checkpoints import timed
from holdfast.activities.garbage import live_manifests
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.mirroring import Copied
from holdfast.contracts import activities as acts
from holdfast.telemetry.metrics import Metrics


class MirrorActivities:
    """For the host workers, who hold the stores' keys; the control workers answer for the records."""

    def __init__(self, engine: CheckpointEngine, *, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics

    @activity.defn
    async def fill_mirror(self, order: acts.FillMirrorInput) -> acts.FillMirrorResult:
        seen = deque([Copied(live=0)], maxlen=1)
        async with timed(self._metrics, "mirror", details=lambda: [_told(seen[-1])]) as moved:
            live = [manifest async for manifest in live_manifests(activity.client())]
            try:
                await self._engine.fill_mirror(order.mirror, live, note=seen.append)
            finally:
                moved.append(seen[0].bytes_copied)
        return _told(seen[0])


def _told(copied: Copied) -> acts.FillMirrorResult:
    return acts.FillMirrorResult(
        live=copied.live,
        lacking=copied.lacking,
        checkpoints=copied.checkpoints,
        packs=copied.packs,
        bytes_copied=copied.bytes_copied,
        waiting=copied.waiting,
        unsound=copied.unsound,
    )
