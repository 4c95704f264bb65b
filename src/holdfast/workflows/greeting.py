"""Ask a replica whose process has begun to run until it can serve: then it stands in the passes, and its wake is told.

Nothing is paid for what does not serve; but a machine that does not answer says nothing of the service on it. Its
workload finds out what has become of it, and moves it if need be, with its state.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from holdfast.contracts.activities import ServiceReady
from holdfast.contracts.endpoints import EndpointSpec, Replica
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.incidents import Phases
from holdfast.contracts.workload import Phase
from holdfast.workflows import replicas, steps
from holdfast.workflows.cancelling import to_its_end
from holdfast.workflows.failures import kind_of, words_of
from holdfast.workflows.sleepiness import Sleepiness

_ASK_AGAIN = timedelta(seconds=5)
"""After a machine did not answer."""


class Greeter:
    """Changes what its endpoint knows of the replicas, and gives it the news."""

    def __init__(
        self,
        endpoint: EndpointSpec,
        known: dict[str, Replica],
        sleepiness: Sleepiness,
        *,
        wakes: int,
        say: Callable[[str], None],
        give_news: Callable[[], None],
    ) -> None:
        self._endpoint, self._service = endpoint.name, endpoint.service
        self._replicas = known
        self._sleepiness = sleepiness
        self._say, self._give_news = say, give_news
        self._greetings: dict[str, asyncio.Task[None]] = {}
        self._phases: dict[str, Phases] = {}  # of those that are greeted
        self._writing = 0
        self.wakes = wakes

    def greet(self, replica: Replica, phases: Phases | None) -> None:
        """A process that is no more is not asked. `phases` tell where the time went until this one ran, if that is
        known; a wake without them is counted, and not written down."""
        if (earlier := self._greetings.pop(replica.name, None)) is not None:
            earlier.cancel()
        self._phases.pop(replica.name, None)
        if phases is not None:
            self._phases[replica.name] = phases
        self._greetings[replica.name] = asyncio.create_task(self._until_it_serves(replica, phases))

    def greet_whoever_runs(self, phases: Mapping[str, Phases]) -> None:
        """At the beginning of a run, with what the run before knew of those that it had not finished asking."""
        for each in self._replicas.values():
            if each.wanted and each.phase is Phase.RUNNING and each.ready_at is None:
                self.greet(each, phases.get(each.name))

    def doubt(self, broken: tuple[str, ...]) -> None:
        """A gateway got no answer from these machines: each is asked again before it gets more requests."""
        for each in list(self._replicas.values()):
            if each.lease is not None and each.lease.label in broken and each.ready_at is not None:
                self._replicas[each.name] = replace(each, ready_at=None)
                self.greet(self._replicas[each.name], None)

    @property
    def is_writing(self) -> bool:
        """A wake is being written down: nobody else would know of it."""
        return self._writing > 0

    @property
    def unfinished(self) -> dict[str, Phases]:
        """For the next run."""
        return {name: phases for name, phases in self._phases.items() if not self._greetings[name].done()}

    def stop(self) -> None:
        for greeting in self._greetings.values():
            greeting.cancel()

    async def finish(self) -> None:
        """What is being written down is written."""
        await asyncio.gather(*self._greetings.values(), return_exceptions=True)

    async def _until_it_serves(self, greeted: Replica, phases: Phases | None) -> None:
        if (ready := await self._asked(greeted)) is None:
            return
        now, replica = workflow.now(), self._replicas[greeted.name]
        self._replicas[replica.name] = replicas.serves(replica, ready.port, now)
        self._give_news()
        if replica.asked_at is None:
            return  # it was doubted, and nothing was wrong with it
        self.wakes += 1
        if phases is not None:
            await self._write_down(replica, phases, ready)

    async def _write_down(self, replica: Replica, phases: Phases, ready: ServiceReady) -> None:
        wake = replicas.wake_of(replica, self._endpoint, phases, ready, workflow.now())
        self._sleepiness.woke(wake.ready_at - wake.asked_at)
        self._writing += 1
        try:
            await to_its_end(steps.record_wake(wake))
        finally:
            self._writing -= 1

    async def _asked(self, greeted: Replica) -> ServiceReady | None:
        """None: it cannot serve, or it is another process that has to by now."""
        assert greeted.lease is not None, "what runs has a machine"
        while self._is_still(greeted):
            try:
                ready = await steps.await_service(greeted.lease, self._service)
            except ActivityError as err:
                if is_cancelled_exception(err) or not self._is_still(greeted):
                    return None
                if kind_of(err) == ErrorType.SERVICE_NOT_READY:
                    await self._cannot_serve(greeted, words_of(err))
                    return None
                await workflow.sleep(_ASK_AGAIN, summary="before it is asked again")
            else:
                return ready if self._is_still(greeted) else None
        return None

    async def _cannot_serve(self, replica: Replica, why: str) -> None:
        """It goes, and is tried again later if somebody still calls."""
        self._say(f"{replica.name} cannot serve and is ended: {why}")
        self._replicas[replica.name] = replicas.failed(
            replace(self._replicas[replica.name], wanted=False, reason=f"{replicas.CANNOT_SERVE}{why}"), workflow.now()
        )
        self._give_news()
        await replicas.end(replica)

    def _is_still(self, greeted: Replica) -> bool:
        """Whether the same process is still meant to serve."""
        now = self._replicas.get(greeted.name)
        return now is not None and now.wanted and (now.lease, now.started_at) == (greeted.lease, greeted.started_at)
