"""An HTTP service that sleeps while nobody calls, and wakes for the first who does.

    COLD ──▶ WAKING ──▶ READY ──▶ DRAINING ──▶ PAUSED ──▶ WAKING …      any phase ──▶ STOPPED

1. Gateways ask for passes; a pass says which replicas answer. While any gateway holds one, somebody may be calling.
2. Decide how many replicas are wanted, and tell each of them what it is to be: awake or asleep. They are workloads, and
   know by themselves how to come by a machine and how not to lose work.
3. A replica whose process runs is asked until it can serve; then it stands in the passes.

Holds throughout: a replica is told to sleep only when no gateway may send it anything, nor has anything there; each
change of a replica is told by itself, and nothing is concluded from silence.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

from holdfast.contracts import names
from holdfast.contracts.endpoints import (
    ANSWER_WITHIN,
    Costs,
    Duty,
    EndpointInput,
    EndpointPhase,
    EndpointSpec,
    EndpointState,
    EndpointStatus,
    IdleNotice,
    Pass,
    Replica,
    Route,
    ScaleRequest,
    ScaleSpec,
    WakeRequest,
)
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.incidents import Phases
from holdfast.contracts.workload import Phase, ReplicaWord
from holdfast.policy.callers import Callers
from holdfast.workflows import replicas, steps
from holdfast.workflows.cancelling import heed_cancel, to_its_end
from holdfast.workflows.endpoint_face import EndpointFace
from holdfast.workflows.errands import Errands
from holdfast.workflows.greeting import Greeter
from holdfast.workflows.sleepiness import Sleepiness

_SOON = timedelta(milliseconds=100)


@workflow.defn(name=names.ENDPOINT)
class EndpointWorkflow:
    @workflow.init
    def __init__(self, order: EndpointInput) -> None:
        past = order.resume
        self._spec = order.spec
        self._workdir = order.workdir
        self._tokens = order.token_hashes
        self._deployment = order.deployment
        self._resting = past.resting if past else False
        self._woken_until = past.woken_until if past else None
        self._replicas: dict[str, Replica] = {each.name: each for each in (past.replicas if past else ())}
        costs = past.costs if past else Costs()
        self._callers = Callers(past.holders if past else (), past.last_call if past else None, costs.gaps)
        self._sleepiness = Sleepiness(costs, past.needed if past else ())
        self._face = EndpointFace(order.spec.name, past)
        self._greeter = Greeter(
            order.spec,
            self._replicas,
            self._sleepiness,
            wakes=past.wakes if past else 0,
            say=self._face.note,
            give_news=self._hear,
        )
        self._errands = Errands()
        self._news = False
        self._over = False

    @workflow.run
    async def run(self, order: EndpointInput) -> EndpointStatus:
        try:
            if order.resume is None:
                await steps.record_endpoint(self._spec, self._tokens, self._deployment)
            self._greeter.greet_whoever_runs(order.resume.phases if order.resume else {})
            while not self._over:
                await self._turn()
                if await self._is_tired():
                    workflow.continue_as_new(self._next_run())
                await self._wait()
            await to_its_end(self._end("removed"))
        except (asyncio.CancelledError, FailureError) as err:
            self._over = True  # whatever it was that nobody foresaw, no machine is left behind
            await to_its_end(self._end("cancelled" if is_cancelled_exception(err) else str(err)))
            raise
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.status()

    # --- messages ------------------------------------------------------------------------------------------------

    @workflow.update
    async def wake(self, request: WakeRequest) -> Pass:
        """Somebody has requests, or keeps a pass. Answers as soon as a replica can serve, or after a while."""
        return await self._errands.do(self._wake, request)

    @wake.validator
    def _may_be_woken(self, request: WakeRequest) -> None:
        """One that is kept for a rollback serves whoever still comes, and once it sleeps nobody wakes it."""
        if self._is_not_woken():
            raise ApplicationError(self._why_not_woken(), type=ErrorType.INVALID_STATE)

    @workflow.signal
    def called(self, request: WakeRequest) -> None:
        """As `wake`, for gateways, who then ask the query `pass_now` until there are routes."""
        if not self._is_not_woken():
            self._heard(request)

    @workflow.query
    def pass_now(self) -> Pass:
        """What a gateway that has called may do."""
        routes, refused = self._routes(), self._is_not_woken()
        return Pass(
            phase=self._face.phase,
            reason=self._why_not_woken() if refused else self._face.reason,
            routes=routes,
            refused=refused,
            room=len(routes) * self._spec.scale.in_flight,
            valid_for=self._spec.door.pass_for,
        )

    @workflow.update
    def scale(self, request: ScaleRequest) -> EndpointStatus:
        given = {
            key: value
            for key, value in (("minimum", request.minimum), ("maximum", request.maximum))
            if value is not None
        }
        self._spec = self._spec.model_copy(update={"scale": self._spec.scale.model_copy(update=given)})
        self._news = True
        return self.status()

    @scale.validator
    def _can_scale(self, request: ScaleRequest) -> None:
        scale = self._spec.scale
        low = scale.minimum if request.minimum is None else request.minimum
        high = scale.maximum if request.maximum is None else request.maximum
        if not (0 <= low <= high and high >= 1):
            raise ApplicationError(f"cannot keep {low} to {high} replicas", type=ErrorType.INVALID_STATE)

    @workflow.update
    def sleep(self) -> EndpointStatus:
        """Do not wait for the idle time. Who calls is served first, and whoever calls later wakes it again."""
        self._sleepiness.hurry()
        self._news = True
        return self.status()

    @workflow.update
    async def set_tokens(self, token_hashes: tuple[str, ...]) -> EndpointStatus:
        """Who may call from now on: SHA-256 of each token, in hex."""
        self._tokens = tuple(token_hashes)
        await self._errands.do(steps.record_endpoint, self._spec, self._tokens, self._deployment)
        return self.status()

    @workflow.update
    def remove(self) -> EndpointStatus:
        """Let every replica go, and end."""
        self._over = self._news = True
        return self.status()

    @workflow.signal
    async def duty(self, duty: Duty) -> None:
        """The deployment that it belongs to says what it is there for, and who may call."""
        if self._resting is duty.serving:
            self._woken_until = None if duty.serving else workflow.now() + duty.handover
        self._resting = not duty.serving
        self._news = True
        if duty.token_hashes != self._tokens:
            self._tokens = duty.token_hashes
            await steps.record_endpoint(self._spec, self._tokens, self._deployment)

    @workflow.signal
    def idle(self, notice: IdleNotice) -> None:
        """A gateway has no more requests."""
        self._callers.gave_back(notice, workflow.now())
        self._news = True

    @workflow.signal
    def replica_said(self, word: ReplicaWord) -> None:
        """A workload of ours is in another phase."""
        if (before := self._replicas.get(word.workload)) is None:
            return
        after = replicas.heard(before, word, workflow.now())
        self._replicas[after.name] = after
        if before.slept_from is not None and after.phase is Phase.PAUSED:
            self._sleepiness.paused(workflow.now() - before.slept_from)
        if after.phase is Phase.RUNNING and after.ready_at is None:
            self._greeter.greet(after, word.phases or Phases())
        if before.phase is not after.phase:
            self._face.note(f"{word.workload} is {word.phase}: {word.reason}")
        self._news = True

    @workflow.query
    def status(self) -> EndpointStatus:
        known = tuple(self._replicas.values())
        idle_time = self._sleepiness.after(self._on_duty(), known, self._callers.gaps)
        return EndpointStatus(
            name=self._spec.name,
            phase=self._face.phase,
            reason=self._face.reason,
            since=self._face.since,
            replicas=known,
            wanted=sum(each.wanted for each in known),
            in_flight=self._callers.in_flight,
            waiting=self._callers.waiting,
            sleeps_after=idle_time.after,
            why_after=idle_time.reason,
            hourly=self._face.hourly_of(known),
            wakes=self._greeter.wakes,
            tokens=len(self._tokens),
            minimum=self._spec.scale.minimum,
            maximum=self._spec.scale.maximum,
        )

    async def _wake(self, request: WakeRequest) -> Pass:
        self._heard(request)
        if not self._routes():
            patience = min(request.answer_within or ANSWER_WITHIN, ANSWER_WITHIN)
            await _until(lambda: bool(self._routes()) or self._over, patience)
        return self.pass_now()

    def _hear(self) -> None:
        self._news = True

    def _heard(self, request: WakeRequest) -> None:
        news = self._callers.asked(request, workflow.now(), pass_for=self._spec.door.pass_for)
        tired = workflow.info().is_continue_as_new_suggested()
        self._news = news or tired or bool(request.broken) or self._news
        self._greeter.doubt(request.broken)

    def _is_not_woken(self) -> bool:
        late = self._woken_until is None or workflow.now() >= self._woken_until
        return self._resting and late and not self._routes()

    def _why_not_woken(self) -> str:
        return f"{self._spec.name} is kept for a rollback of {self._deployment}, and is not woken"

    # --- phases --------------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        """Decide, and tell the replicas. What is heard while they are told is for the next turn."""
        self._news = False
        self._callers.forget_expired(workflow.now())
        answer = self._sleepiness.decide(self._on_duty(), self._callers, tuple(self._replicas.values()))
        for name in answer.keep:
            self._replicas[name] = replace(self._replicas[name], leaving_since=None)
        to_wake = [self._now_wanted(name) for name in answer.wake]
        for name in answer.retire:
            self._replicas[name] = replace(self._replicas[name], leaving_since=workflow.now())
        to_sleep = [each for name in list(self._replicas) if (each := self._now_off(name))]
        self._show()
        for each in to_wake:
            if await replicas.order_awake(each, self._spec, self._workdir):
                self._replicas[each.name] = replicas.begun(self._replicas[each.name])
            else:
                self._replicas[each.name] = replicas.not_ours(each, workflow.now())
                self._news = True  # for whoever waits
        for each in to_sleep:
            if not await replicas.order_asleep(each, self._spec):
                self._replicas[each.name] = Replica(name=each.name, failures=each.failures)
        heed_cancel()

    def _on_duty(self) -> EndpointSpec:
        """What is kept awake for callers to come is not, while none can come."""
        if not self._resting:
            return self._spec
        scale = ScaleSpec(minimum=0, maximum=self._spec.scale.maximum, in_flight=self._spec.scale.in_flight)
        return self._spec.model_copy(update={"scale": scale, "awake": ()})

    def _now_wanted(self, name: str) -> Replica:
        known = self._replicas.get(name) or Replica(name=name)
        self._replicas[name] = replicas.wanted_awake(known, workflow.now())
        return self._replicas[name]

    def _now_off(self, name: str) -> Replica | None:
        """One that is leaving and has no callers left may sleep. None: it may not."""
        replica = self._replicas[name]
        if replica.leaving_since is None or not self._callers.are_off(name, replica.leaving_since):
            return None
        asleep = replace(replica, wanted=False, leaving_since=None, slept_from=workflow.now(), ready_at=None)
        self._replicas[name] = asleep
        return asleep

    def _routes(self) -> tuple[Route, ...]:
        return tuple(
            Route(replica=each.name, lease=each.lease, port=each.port)
            for each in self._replicas.values()
            if each.wanted and each.ready_at and each.leaving_since is None and each.lease is not None
        )

    async def _wait(self) -> None:
        moments = [each.not_before for each in self._replicas.values() if each.not_before is not None]
        if self._sleepiness.again_at is not None:
            moments.append(self._sleepiness.again_at)
        now = workflow.now()
        left = min((each - now for each in moments if each > now), default=None)
        await _until(lambda: self._news, None if left is None else left + _SOON)

    async def _end(self, reason: str) -> None:
        """Every replica is ended, and said so itself; then there is nothing that could be billed.

        One that is not known to be ours is not touched: should it be, the sweep finds that its endpoint is over.
        """
        self._greeter.stop()
        known = [each for each in self._replicas.values() if each.phase is not None]
        self._replicas.clear()
        self._replicas.update({each.name: replace(each, wanted=False, ready_at=None) for each in known})
        for each in known:
            await replicas.end(each)
        self._show(f"ending: {reason}")
        await steps.until_ended(tuple(names.workload_id(each.name) for each in known))
        await self._greeter.finish()
        self._replicas.clear()
        await steps.close_endpoint(self._spec.name)
        self._face.show(EndpointPhase.STOPPED, reason, (), 0)

    def _show(self, reason: str = "") -> None:
        self._face.show(self._phase(), reason or self._why(), tuple(self._replicas.values()), self._callers.in_flight)

    def _phase(self) -> EndpointPhase:
        known = self._replicas.values()
        if self._routes():
            return EndpointPhase.READY
        if any(each.wanted and each.leaving_since is None for each in known):
            return EndpointPhase.WAKING
        if any(each.wanted or each.phase not in (None, Phase.PAUSED) for each in known):
            return EndpointPhase.DRAINING
        return EndpointPhase.PAUSED if any(each.phase is Phase.PAUSED for each in known) else EndpointPhase.COLD

    def _why(self) -> str:
        """What a caller who waits would like to know: of the replica that does not come, its own words."""
        known = self._replicas.values()
        if serving := sum(each.ready_at is not None for each in known):
            return f"{serving} of {self._spec.scale.maximum} serve; {self._sleepiness.reason}"
        if self._resting:
            return f"kept for a rollback of {self._deployment}"
        of_interest = [each for each in known if each.wanted or each.failures]
        return "; ".join(f"{each.name}: {each.reason}" for each in of_interest if each.reason) or "nobody calls"

    async def _is_tired(self) -> bool:
        """What is news by then is looked at by the next run, which begins with a look."""
        if self._over or not workflow.info().is_continue_as_new_suggested():
            return False
        await _until(self._owes_nothing, _SOON)  # handlers end in the same moment, and after us
        return self._owes_nothing() and not self._over

    def _owes_nothing(self) -> bool:
        writes = self._greeter.is_writing and self._errands.known  # older runs did not wait for that
        return workflow.all_handlers_finished() and not writes

    def _next_run(self) -> EndpointInput:
        state = EndpointState(
            phase=self._face.phase,
            since=self._face.since,
            replicas=tuple(self._replicas.values()),
            holders=self._callers.holders,
            last_call=self._callers.last_call,
            wakes=self._greeter.wakes,
            phases=self._greeter.unfinished,
            costs=self._sleepiness.costs(self._callers.gaps),
            needed=self._sleepiness.needed(),
            resting=self._resting,
            woken_until=self._woken_until,
        )
        return EndpointInput(
            spec=self._spec,
            token_hashes=self._tokens,
            workdir=self._workdir,
            deployment=self._deployment,
            resume=state,
        )


async def _until(happened: Callable[[], bool], within: timedelta | None) -> None:
    try:
        await workflow.wait_condition(happened, timeout=within, timeout_summary="before it is looked at again")
    except TimeoutError:
        return
