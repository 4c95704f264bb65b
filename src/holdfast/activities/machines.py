"""Activities at one provider: search, rent, wait, look, stop, start, destroy."""

import asyncio
import math
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from holdfast.activities.beating import beating, waiting_since
from holdfast.activities.recording import recorded
from holdfast.activities.translation import translated
from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.machines import Awaited, Instance, InstanceState, LaunchOrder, LaunchResult, Offer
from holdfast.contracts.money import Charge, ChargesInput
from holdfast.contracts.sweeping import Look, LookInput, Stock, Stranger
from holdfast.policy import renting, sweeping
from holdfast.providers.base import DiskSnapshot, KeepsSnapshots, Pauses, Provider, SnapshotState, TellsCharges
from holdfast.providers.errors import ProviderError, RequestRejected
from holdfast.providers.wrappers.pacing import hurried

OFFERS_PASSED_ON = 64
"""The cheapest offers of a search; more would only make the history unreadable."""
STRANGERS_TOLD = 500
"""In one answer; whoever sweeps ends these and finds the others the next time."""
MISSING_ASKED = 5
"""Of our machines that a listing lacks, so many are asked for: one that exists nevertheless spoils it."""
_NEVER_RUNS = (InstanceState.FAILED, InstanceState.GONE, InstanceState.INTERRUPTED)
# After a start the provider's last word on the previous stop may linger.
_MAY_LINGER = (InstanceState.STOPPED, InstanceState.EXITED)
_LINGERS = timedelta(seconds=20)
_AFTER_YOU = 0.7
"""Seconds in which whoever rents the successor of a machine that is destroyed may ask for a listing first: a provider
gives one in a second, and all that is destroyed by its id is gone without it."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # seconds between two looks at a machine
_LONGEST_WHILE_IT_BOOTS = 1.0  # somebody's work stands still meanwhile; the account's pace holds all the same


class MachineActivities:
    """One provider's machines. The provider's client keeps its rate limits; Temporal does the retries."""

    def __init__(self, provider: Provider, *, ssh_public_key: str) -> None:
        self._provider = provider
        self._ssh_public_key = ssh_public_key

    @activity.defn
    async def search_offers(self, order: acts.SearchInput) -> list[Offer]:
        with translated():
            return list(await self._provider.search_offers(order.requirements))[:OFFERS_PASSED_ON]

    @activity.defn
    async def launch(self, order: acts.LaunchInput) -> LaunchResult:
        async with beating():
            with translated(), hurried():
                launched = await self._launch(order)
            if order.lease is None or launched.instance is None:
                return launched
            return replace(launched, recorded=await recorded(renting.taken(order.lease, launched.instance)))

    async def _launch(self, order: acts.LaunchInput) -> LaunchResult:
        """With the copy of a disk that the order names, as long as that can be had; else without it."""
        wanted = LaunchOrder(
            offer=order.offer,
            label=order.label,
            image=order.image,
            disk_gb=order.disk_gb,
            ssh_public_key=self._ssh_public_key,
            repeated=activity.info().attempt > 1,
        )
        if (copy := await self._copy(order)) is not None:
            size = max(order.disk_gb, math.ceil(copy.disk_gb or 0))
            try:
                launched = await self._provider.launch(replace(wanted, disk_gb=size, from_snapshot=copy.name))
                return replace(launched, from_snapshot="" if launched.instance is None else copy.name)
            except RequestRejected:
                if await self._copy(order) is not None:
                    raise  # it is not the copy that is missing
        return await self._provider.launch(wanted)

    async def _copy(self, order: acts.LaunchInput) -> DiskSnapshot | None:
        """The copy that the order names, if it is there and whole. It only saves time: nothing waits for it."""
        if not order.from_snapshot or not isinstance(self._provider, KeepsSnapshots):
            return None
        try:
            found = await self._provider.find_snapshot(order.from_snapshot)
        except ProviderError as err:
            activity.logger.warning("%s begins without copy %s: %s", order.label, order.from_snapshot, err)
            return None
        if found.state is SnapshotState.READY:
            return found
        activity.logger.warning("%s begins without copy %s, which is %s", order.label, order.from_snapshot, found.state)
        return None

    @activity.defn
    async def await_running(self, order: acts.AwaitRunningInput) -> Awaited:
        began = waiting_since()
        pause = _FIRST_PAUSE
        async with beating():
            while True:
                with translated(), hurried():
                    instance = await self._provider.inspect(order.instance_id)
                waited = timedelta(seconds=time.monotonic() - began)
                if _is_settled(instance, waited, order.restarted) or waited > order.patience:
                    return await put_on_record(order, instance)
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_WHILE_IT_BOOTS)

    @activity.defn
    async def inspect(self, order: acts.MachineInput) -> Instance:
        with translated(), hurried() if order.hurry else nullcontext():
            return await self._provider.inspect(order.instance_id)

    @activity.defn
    async def destroy(self, order: acts.MachineInput) -> datetime | None:
        told: list[str] = list(activity.info().heartbeat_details)  # an earlier try may have asked it before it went
        async with beating(details=lambda: told):
            told = told or await self._ran_since(order.instance_id)
            with translated():
                await self._destroy_until_unknown(order.instance_id)
        return datetime.fromisoformat(told[0]) if told else None

    @activity.defn
    async def reap(self, order: acts.ReapInput) -> int:
        lag = self._provider.capabilities.listing_lag if order.wait_out_lag else timedelta()
        if not order.wait_out_lag:
            await asyncio.sleep(_AFTER_YOU)
        until = time.monotonic() + lag.total_seconds()
        found: int = sum(
            activity.info().heartbeat_details
        )  # by earlier tries, which may have died before they could tell
        async with beating(details=lambda: (found,)):
            with translated():
                while True:
                    owned = await self._provider.list_owned(order.label)
                    found += len(owned)
                    if owned:
                        activity.heartbeat(found)
                    for instance in owned:
                        await self._destroy_until_unknown(instance.instance_id)
                    if not owned and time.monotonic() >= until:
                        return found
                    await asyncio.sleep(1)

    @activity.defn
    async def look_for_strangers(self, order: LookInput) -> Look:
        async with beating():
            return await self._look_for_strangers(order)

    async def _look_for_strangers(self, order: LookInput) -> Look:
        with translated():
            listing = await self._provider.list_owned()
        owned, launching = set(order.stock.owned), set(order.stock.launching)
        ours = [each for each in listing if names.is_label_of(order.stock.mark, each.label or "")]
        listed = {each.instance_id for each in listing}
        # A listing that shows some of ours may lag behind with the newest; one that shows none of them may not.
        excused = set(order.stock.fresh) if owned & listed else set()
        missing = sorted(owned - listed - excused)
        found = Look(listed=len(ours), foreign=len(listing) - len(ours), doubt=await self._doubt(missing))
        if found.doubt:
            return found
        found = await self._with_copies(found, order.stock)
        strangers = [each for each in ours if each.instance_id not in owned and each.label not in launching]
        return replace(found, strangers=tuple(_stranger(each) for each in strangers[:STRANGERS_TOLD]))

    async def _with_copies(self, look: Look, stock: Stock) -> Look:
        """What is known of copies of disks says nothing of machines, and the other way round."""
        if not isinstance(self._provider, KeepsSnapshots):
            return look
        try:
            listed = await self._provider.list_snapshots()
        except ProviderError as err:
            return replace(look, copies_doubt=str(err)[:200])
        ours = {each.name for each in listed if stock.mark and names.is_copy_of(stock.mark, each.name)}
        return replace(look, copies=tuple(sorted(ours - set(stock.copies))[:STRANGERS_TOLD]))

    async def _doubt(self, missing: Sequence[str]) -> str:
        """Ask for some of our machines that a listing lacks, each by its id."""
        asked = await asyncio.gather(
            *(self._provider.inspect(each) for each in missing[:MISSING_ASKED]), return_exceptions=True
        )
        failed = [each for each in asked if isinstance(each, BaseException)]
        if strange := next((each for each in failed if not isinstance(each, ProviderError)), None):
            raise strange
        words = [each for each in asked if isinstance(each, Instance)]
        return sweeping.doubt(
            missing=len(missing),
            still_known=sum(1 for word in words if word.state is not InstanceState.GONE),
            unanswered=len(failed),
        )

    @activity.defn
    async def require_pausing(self, _provider: str) -> None:
        self._pausing()

    @activity.defn
    async def stop_instance(self, order: acts.MachineInput) -> None:
        async with beating():
            with translated():
                await self._pausing().stop(order.instance_id)

    @activity.defn
    async def start_instance(self, order: acts.MachineInput) -> Instance:
        async with beating():
            with translated(), hurried():
                return await self._pausing().start(order.instance_id)

    @activity.defn
    async def read_charges(self, order: ChargesInput) -> list[Charge] | None:
        if not isinstance(self._provider, TellsCharges):
            return None
        with translated():
            return list(await self._provider.charges(order.since))

    def all(self) -> Sequence[object]:
        """Every method that a worker of this provider registers."""
        return (
            self.search_offers,
            self.launch,
            self.await_running,
            self.inspect,
            self.destroy,
            self.reap,
            self.look_for_strangers,
            self.require_pausing,
            self.stop_instance,
            self.start_instance,
            self.read_charges,
        )

    async def _ran_since(self, instance_id: str) -> list[str]:
        """What the bill counts from, while somebody can tell. Without an answer the machine goes all the same."""
        with suppress(ProviderError):
            if (since := (await self._provider.inspect(instance_id)).running_since) is not None:
                return [since.isoformat()]
        return []

    async def _destroy_until_unknown(self, instance_id: str) -> None:
        pause = _FIRST_PAUSE
        while not await self._provider.destroy(instance_id):
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _pausing(self) -> Pauses:
        if isinstance(self._provider, Pauses):
            return self._provider
        message = f"{self._provider.name} cannot stop a machine and keep its disk, as it is set up (docs/providers.md)"
        raise ApplicationError(message, type=ErrorType.REQUEST_REJECTED, non_retryable=True)


async def put_on_record(order: acts.AwaitRunningInput, instance: Instance) -> Awaited:
    """From when on it is charged for as running, if it runs, whatever comes of it afterwards."""
    told = {each.name: getattr(instance, each.name) for each in fields(Instance)}
    if order.lease is None or order.ordered_at is None or instance.state is not InstanceState.RUNNING:
        return Awaited(**told)
    told["running_since"] = renting.runs_since(instance, order.ordered_at, datetime.now(UTC))
    lease = replace(renting.taken(order.lease, instance), running_since=told["running_since"])
    return Awaited(**told, recorded=await recorded(lease))


def _is_settled(instance: Instance, waited: timedelta, restarted: bool) -> bool:
    if instance.state is InstanceState.RUNNING:
        return instance.ssh is not None
    lingers = restarted and waited < _LINGERS
    return instance.state in _NEVER_RUNS or (instance.state in _MAY_LINGER and not lingers)


def _stranger(instance: Instance) -> Stranger:
    return Stranger(
        instance_id=instance.instance_id,
        label=instance.label or "",
        state=instance.state,
        hourly=instance.hourly,
        detail=instance.detail[:200],
    )
