"""The long activity that guards one machine: hold the session, renew the lease, carry the log away.

It returns only when something changed: the work ended, the machine fell silent, or the work is not running on a
machine that answers. Its own heartbeats carry the freshest telemetry, which is also where a new worker picks up.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from holdfast.activities.beating import hand_over_at_shutdown
from holdfast.activities.log_courier import LogCourier
from holdfast.activities.renewing import renewed_every
from holdfast.activities.sightings import Sightings
from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.contracts import names
from holdfast.contracts.activities import MachineReport, Telemetry, WatchMachineInput
from holdfast.contracts.channel import AgentError, ChannelLost
from holdfast.contracts.hearsay import words
from holdfast.contracts.incidents import Reach
from holdfast.hosts.channel import AgentChannel
from holdfast.hosts.errors import HostError, HostKeyChanged, HostRefused, LoginRefused
from holdfast.hosts.heartbeat import Heartbeat, WorkState
from holdfast.hosts.pool import HostPool
from holdfast.policy.idle_time import in_words
from holdfast.policy.idleness import Idleness, Sample, Use, Verdict
from holdfast.policy.recovering import first_progress
from holdfast.policy.series import steps_in
from holdfast.policy.stalling import Stalling

_SAME_PROGRESS = timedelta(seconds=2)


class MachineWatch:
    """One instance serves every watch of a worker process."""

    def __init__(
        self, pool: HostPool, engine: CheckpointEngine, client: Client, *, sightings: Sightings, interval: timedelta
    ) -> None:
        self._pool = pool
        self._engine = engine
        self._client = client
        self._sightings = sightings
        self._interval = interval
        self._silence = max(interval * 3, timedelta(seconds=3))

    @activity.defn
    async def watch_machine(self, order: WatchMachineInput) -> MachineReport:
        watch = _Watch(order)
        self._sightings.listen(order.lease.label)
        try:
            async with self._pool.channel(order.lease) as channel, LogCourier(self._engine, channel, order.lease):
                return await self._listen(watch, channel)
        except (HostKeyChanged, HostRefused, LoginRefused) as err:
            return watch.report(Reach.REFUSES, str(err))
        except AgentError as err:
            return watch.report(Reach.REFUSES, f"the agent refuses: {err}")
        except (HostError, ChannelLost) as err:
            return watch.report(Reach.SILENT, str(err))
        except TimeoutError:
            return watch.report(Reach.SILENT, f"no heartbeat for {self._silence.total_seconds():g} s")
        finally:
            self._note_end(watch)
            if watch.reach not in (None, Reach.ANSWERS):
                await self._pool.drop(order.lease.label, order.lease.epoch)

    def _note_end(self, watch: "_Watch") -> None:
        if watch.reach in (Reach.SILENT, Reach.REFUSES):
            self._sightings.missed(watch.order.lease.label)
        else:
            self._sightings.forget(watch.order.lease.label)

    async def _listen(self, watch: "_Watch", channel: AgentChannel) -> MachineReport:
        beats = channel.heartbeats(self._interval)
        while True:
            async with asyncio.timeout(self._silence.total_seconds()):
                beat = await anext(beats)
            self._sightings.saw(watch.order.lease.label)
            activity.heartbeat(watch.take(beat))
            if ended := watch.verdict(beat):
                return ended
            hand_over_at_shutdown()
            if watch.renewal_is_due():
                await channel.call("renew", {"for_s": watch.order.deadman.total_seconds()}, timeout=self._silence)
            if at := watch.first_progress(beat):
                await self._tell(watch, "progressed", at)
                watch.announced = True
            if warning := watch.warning():
                await self._tell(watch, "unused", warning)

    async def _tell(self, watch: "_Watch", signal: str, what: datetime | str) -> None:
        handle = self._client.get_workflow_handle(names.workload_id(watch.order.lease.workload))
        try:
            await handle.signal(signal, what)
        except RPCError as err:
            if err.status is not RPCStatusCode.NOT_FOUND:
                raise


class _Watch:
    """What one watch has seen."""

    def __init__(self, order: WatchMachineInput) -> None:
        self.order = order
        self.announced = not order.announce_progress
        self.reach: Reach | None = None  # as reported in the end
        self._last_sign = _resumed_at(order)
        self._progress = ""
        self._progress_at: datetime | None = None
        self._renewed: datetime | None = None
        patience = order.spec.failover.stalled_after
        self._stalling = None if patience is None else Stalling(patience)
        sleeps = order.spec.hibernate
        watches_use = sleeps is not None and sleeps.after is not None
        self._idleness = Idleness(sleeps, serves=order.spec.service is not None) if sleeps and watches_use else None
        self._warn_after = sleeps.warned_after() if sleeps else None
        self._warned = False
        self._use: Verdict | None = None

    def take(self, beat: Heartbeat) -> Telemetry:
        """Note a beat; the telemetry is what Temporal's heartbeat carries."""
        self._last_sign = datetime.now(UTC)
        self._progress = beat.progress
        steps = steps_in(beat.progress)
        began = self.order.started_at if self.order.reports_progress else None
        self._progress_at = self._ours(beat, beat.progress_at) or began
        return Telemetry(
            at=self._last_sign,
            progress=beat.progress,
            progress_at=self._progress_at,
            gpu_percent=beat.gpu_percent,
            gpu_memory_mb=beat.gpu_memory_mb,
            cpu_percent=beat.cpu_percent,
            memory_mb=beat.memory_mb,
            disk_free_mb=beat.disk_free_mb,
            log_bytes=beat.log_bytes,
            step=steps.done if steps else None,
            steps=steps.total if steps else None,
        )

    def renewal_is_due(self) -> bool:
        every = renewed_every(self.order.deadman)
        due = self._renewed is None or self._last_sign - self._renewed >= every
        if due:
            self._renewed = self._last_sign
        return due

    def verdict(self, beat: Heartbeat) -> MachineReport | None:
        """The report, when this beat says that the work is not running any more, or not well, or not for long."""
        if beat.deadman_at is not None:
            return self.report(Reach.NO_AGENT, "the dead-man lease ran out and stopped the work")
        if beat.state in (WorkState.RUNNING, WorkState.SETUP):
            return self._by_notice(beat) or self._by_progress(beat) or self._by_use(beat)
        if beat.state is WorkState.EXITED and beat.exit_code is not None:
            return self.report(Reach.ANSWERS, "the work ended", finished=True, exit_code=beat.exit_code)
        return self.report(Reach.NO_AGENT, f"the machine answers and the work is not running ({beat.state})")

    def _by_notice(self, beat: Heartbeat) -> MachineReport | None:
        if beat.taken_at is None:
            return None
        taken_at = self._last_sign + (beat.taken_at - beat.at)
        left = (taken_at - self._last_sign).total_seconds()
        detail = f"its provider gives notice: it takes the machine back in {max(left, 0):.0f} s"
        return replace(self.report(Reach.ANSWERS, detail), taken_at=taken_at)

    def _by_progress(self, beat: Heartbeat) -> MachineReport | None:
        """The work has stalled; or it had, as the workload knows, and gets on again."""
        if self._stalling is None:
            return None
        known = self.order.stalled_since
        since = self._stalling.since(self._last_sign, progress_at=self._progress_at, gpu_percent=beat.gpu_percent)
        if known is not None:
            return self._gets_on(known)
        if since is None:
            return None
        quiet = (self._last_sign - since).total_seconds()
        detail = f"no progress for {quiet:.0f} s, and its GPU is idle"
        return replace(self.report(Reach.ANSWERS, detail), stalled_since=since)

    def _by_use(self, beat: Heartbeat) -> MachineReport | None:
        if self._idleness is None:
            return None
        self._use = self._idleness.take(
            self._last_sign,
            Sample(
                gpu_percent=beat.gpu_percent,
                cpu_percent=beat.cpu_percent,
                sessions=beat.sessions,
                connections=beat.connections,
                progress_at=self._ours(beat, beat.progress_at),
                settling=beat.state is WorkState.SETUP,
            ),
        )
        if self._use.use is not Use.IDLE:
            return None
        return replace(self.report(Reach.ANSWERS, self._use.reason), unused=True)

    def warning(self) -> str:
        """That it sleeps soon, once for each time that it comes to that; "": there is nothing to tell."""
        if self._use is None or self._warn_after is None or self._use.idle_for < self._warn_after:
            self._warned = False
            return ""
        if self._warned:
            return ""
        self._warned = True
        after = self.order.spec.hibernate.after if self.order.spec.hibernate else None
        left = (after or timedelta()) - self._use.idle_for
        return (
            f"not used for {in_words(self._use.idle_for.total_seconds())}; sleeps in {in_words(left.total_seconds())}"
        )

    def _gets_on(self, stalled_since: datetime) -> MachineReport | None:
        # Times of one and the same progress differ by how late the heartbeats came.
        if self._progress_at is None or self._progress_at - stalled_since < _SAME_PROGRESS:
            return None
        return replace(self.report(Reach.ANSWERS, "the work makes progress again"), gets_on=True)

    def first_progress(self, beat: Heartbeat) -> datetime | None:
        """When the work first got on, on our clock; once."""
        if self.announced:
            return None
        return first_progress(
            started_at=self.order.started_at,
            progress_at=self._ours(beat, beat.progress_at),
            now=self._last_sign,
            reports=self.order.reports_progress,
        )

    def report(
        self, reach: Reach, detail: str, *, finished: bool = False, exit_code: int | None = None
    ) -> MachineReport:
        self.reach = reach
        return MachineReport(
            reach=reach,
            last_sign=self._last_sign,
            finished=finished,
            exit_code=exit_code,
            detail=words(detail),
            progress=self._progress,
        )

    def _ours(self, beat: Heartbeat, machine_time: datetime | None) -> datetime | None:
        """Their clock may be off: count back from this beat on ours."""
        return None if machine_time is None else self._last_sign - max(beat.at - machine_time, timedelta())


def _resumed_at(order: WatchMachineInput) -> datetime:
    """Where a watch on a worker that died had got to; else the start of the work."""
    details = activity.info().heartbeat_details
    if details and isinstance(details[0], dict) and "at" in details[0]:
        return datetime.fromisoformat(details[0]["at"])
    return order.started_at
