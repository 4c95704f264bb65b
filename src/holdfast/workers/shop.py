"""What the roles of one process share, and what each adds to it."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker

from holdfast.settings import Settings
from holdfast.telemetry.health import Check
from holdfast.telemetry.metrics import Metrics

GRACE = timedelta(seconds=10)
"""How long a stopping worker lets its short activities finish; the long ones are taken over by another worker."""


@dataclass(frozen=True)
class Shop:
    """Everything a role is built from."""

    settings: Settings
    client: Client
    metrics: Metrics
    stack: AsyncExitStack
    """Closes what the roles opened, when the process has stopped working."""
    needs: dict[str, Check] = field(default_factory=dict)
    """What must answer before this process counts as ready; each role adds its own."""

    def worker(self, queue: str, activities: Sequence[Any], **more: Any) -> Worker:
        """A worker as all of ours are; it asks for work once it is entered."""
        return Worker(
            self.client,
            task_queue=queue,
            activities=activities,
            graceful_shutdown_timeout=GRACE,
            activity_task_poller_behavior=PollerBehaviorAutoscaling(),
            **more,
        )
