"""The long activity behind the `watch` workflow: list a provider's machines, tell workloads what changed."""

import asyncio
import time
from collections import Counter
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from holdfast.activities.beating import hand_over_at_shutdown
from holdfast.contracts import names
from holdfast.contracts.activities import WatchProviderInput
from holdfast.contracts.machines import Instance, InstanceState
from holdfast.providers.base import Provider
from holdfast.providers.errors import ProviderError
from holdfast.telemetry.metrics import Metrics

_SHIFT = timedelta(hours=6)
"""After so long the activity ends well, and the workflow starts the next one in a fresh history."""


class ProviderWatch:
    """Remembers the last listing; a first listing after a restart tells every workload what is not running."""

    def __init__(self, provider: Provider, client: Client, *, metrics: Metrics) -> None:
        self._provider = provider
        self._client = client
        self._metrics = metrics
        self._seen: dict[str, Instance] = {}

    @activity.defn
    async def watch_provider(self, order: WatchProviderInput) -> None:
        self._seen = {}
        until = time.monotonic() + _SHIFT.total_seconds()
        try:
            while time.monotonic() < until:
                activity.heartbeat(len(self._seen))
                await self._look()
                hand_over_at_shutdown()
                await asyncio.sleep(order.every.total_seconds())
        finally:
            self._metrics.forget_fleet(order.provider)  # another worker looks from now on, and counts

    async def _look(self) -> None:
        try:
            for instance in await self._changes():
                await self._tell(instance)
        except ProviderError as err:
            # An API that fails says nothing about any machine; the workloads' own evidence goes on without it.
            activity.logger.warning("listing of %s failed: %s", self._provider.name, err)
        else:
            self._count()

    def _count(self) -> None:
        """Show what we pay for. A stopped machine has the price at which it would run: that is not what it costs."""
        machines = self._seen.values()
        running = (each.hourly for each in machines if each.state is InstanceState.RUNNING and each.hourly)
        self._metrics.fleet(self._provider.name, Counter(each.state for each in machines), float(sum(running)))

    async def _changes(self) -> list[Instance]:
        listed = {each.instance_id: each for each in await self._provider.list_owned() if _is_ours(each)}
        changed = [each for each in listed.values() if self._is_news(each)]
        for missing in self._seen.keys() - listed.keys():
            # Not in the list is not the same as gone: ask about this one.
            word = await self._provider.inspect(missing)
            if word.state is InstanceState.GONE:
                changed.append(_with_label(word, self._seen[missing].label))
            else:
                listed[missing] = self._seen[missing]
        self._seen = listed
        return changed

    def _is_news(self, instance: Instance) -> bool:
        before = self._seen.get(instance.instance_id)
        if before is None:
            return instance.state is not InstanceState.RUNNING
        return before.state is not instance.state

    async def _tell(self, instance: Instance) -> None:
        parsed = names.parse_label(instance.label or "")
        if parsed is None:
            return
        handle = self._client.get_workflow_handle(names.owner_id(parsed[0]))
        try:
            await handle.signal("provider_said", instance)
        except RPCError as err:
            if err.status is not RPCStatusCode.NOT_FOUND:  # a machine whose workload is over is the sweep's business
                raise


def _is_ours(instance: Instance) -> bool:
    return names.parse_label(instance.label or "") is not None


def _with_label(word: Instance, label: str | None) -> Instance:
    return Instance(
        provider=word.provider, instance_id=word.instance_id, state=word.state, detail=word.detail, label=label
    )
