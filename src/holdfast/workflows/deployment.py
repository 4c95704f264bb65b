"""A name that leads to a model: each new version is an endpoint of its own, and gets the traffic when it is fit.

    STARTING ──▶ TESTING ──▶ SERVING ──▶ STARTING …        any phase ──▶ RETIRED

1. Start the new endpoint, wake it, and wait until it can serve.
2. Ask it what callers would ask.
3. Shift the traffic, in one transaction. What served before is kept for a rollback; what was kept before goes.

Holds throughout: a release that is not fit never has traffic, is removed, and changes nothing for what serves; at most
one release has the traffic; and only this loop changes which, one order after the other.
"""

import asyncio
from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, TimeoutError, is_cancelled_exception

from holdfast.contracts import names
from holdfast.contracts.deployments import (
    DEPLOYER,
    DeploymentInput,
    DeploymentPhase,
    DeploymentState,
    DeploymentStatus,
    Release,
    ReleaseOrder,
    ReleaseState,
    SmokeVerdict,
)
from holdfast.contracts.errors import ErrorType
from holdfast.workflows import releases, steps
from holdfast.workflows.cancelling import heed_cancel, to_its_end
from holdfast.workflows.deployment_face import DeploymentFace
from holdfast.workflows.errands import Errands
from holdfast.workflows.failures import words_of
from holdfast.workflows.releases import Releases


@workflow.defn(name=names.DEPLOYMENT)
class DeploymentWorkflow:
    @workflow.init
    def __init__(self, order: DeploymentInput) -> None:
        past = order.resume
        self._name = order.name
        self._tokens = order.token_hashes
        self._handover = order.handover
        self._releases = Releases(order.name, past)
        self._face = DeploymentFace(order.name, past)
        self._errands = Errands()
        self._ordered = past.ordered if past else None
        self._underway = self._releases.newest if self._ordered else 0
        self._over = False
        self._failed = False
        self._go_back = False
        self._refused_back = ""  # why the last wish to go back was not granted
        self._given_up = ""  # why nobody waits for the release that is under way
        if past is None and order.first is not None:
            self._take(order.first)

    @workflow.run
    async def run(self, order: DeploymentInput) -> DeploymentStatus:
        try:
            while not self._over:
                await self._turn()
                if self._releases.serving is None and self._ordered is None:
                    self._over = self._failed = True
                    break
                if self._is_tired():
                    workflow.continue_as_new(self._next_run())
                await workflow.wait_condition(self._has_news)
            await to_its_end(self._end(self._releases.last_words if self._failed else "retired"))
        except (asyncio.CancelledError, FailureError) as err:
            self._over = True  # whatever it was that nobody foresaw, no machine is left behind
            await to_its_end(self._end("cancelled" if is_cancelled_exception(err) else str(err)))
            raise
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.status()

    # --- messages ------------------------------------------------------------------------------------------------

    @workflow.update
    def deploy(self, order: ReleaseOrder) -> Release:
        """Bring up another release. Answers when it is taken on; `status` tells what becomes of it."""
        return self._take(order)

    @deploy.validator
    def _can_deploy(self, order: ReleaseOrder) -> None:
        if self._over:
            raise _refused(f"{self._name} is being retired")
        if self._underway or self._go_back:
            raise _refused(f"another release of {self._name} is under way")

    @workflow.update
    async def rollback(self) -> DeploymentStatus:
        """Give up the release that is under way; without one, let the one that is kept serve again."""
        if self._underway:
            number, self._given_up = self._underway, "rolled back"
            await workflow.wait_condition(lambda: self._underway != number)
            if self._over or self._releases[number].state is not ReleaseState.SERVING:
                return self.status()  # else it was fit in the very moment
        self._go_back, self._refused_back = True, ""
        await workflow.wait_condition(lambda: not self._go_back or self._over)
        if self._refused_back:
            raise _refused(self._refused_back)
        return self.status()

    @rollback.validator
    def _can_roll_back(self) -> None:
        if self._over:
            raise _refused(f"{self._name} is being retired")
        if not self._underway and self._releases.kept is None:
            raise _refused(f"no earlier release of {self._name} is kept")

    @workflow.update
    def retire(self) -> DeploymentStatus:
        """Remove every release, and end."""
        self._over = True
        return self.status()

    @workflow.update
    async def set_tokens(self, token_hashes: tuple[str, ...]) -> DeploymentStatus:
        """Who may call from now on, whichever release serves: SHA-256 of each token, in hex."""
        self._tokens = tuple(token_hashes)
        await self._errands.do(self._say_tokens)
        return self.status()

    @workflow.query
    def status(self) -> DeploymentStatus:
        serving, kept = self._releases.serving, self._releases.kept
        return DeploymentStatus(
            name=self._name,
            phase=self._face.phase,
            reason=self._face.reason,
            since=self._face.since,
            serving=serving.endpoint if serving else None,
            kept=kept.endpoint if kept else None,
            releases=self._releases.told,
            tokens=len(self._tokens),
        )

    # --- phases --------------------------------------------------------------------------------------------------

    def _take(self, order: ReleaseOrder) -> Release:
        release = self._releases.begin(order, workflow.now())
        self._ordered, self._underway, self._given_up = order, release.number, ""
        return release

    def _has_news(self) -> bool:
        return bool(self._over or self._ordered or self._go_back or self._is_tired())

    async def _turn(self) -> None:
        """One order, from its beginning to its end."""
        if (order := self._ordered) is not None:
            self._ordered, number = None, self._underway
            await self._bring_up(self._releases[number], order)
            if order.owner:
                await to_its_end(releases.tell_owner(order.owner, self._releases[number]))
        elif self._go_back:
            await to_its_end(self._roll_back())
            self._go_back = False

    async def _bring_up(self, release: Release, order: ReleaseOrder) -> None:
        trying = asyncio.create_task(self._try_out(release, order))
        try:
            await workflow.wait_condition(lambda: trying.done() or self._over or bool(self._given_up))
        finally:
            trying.cancel()
            (outcome,) = await asyncio.gather(trying, return_exceptions=True)
        heed_cancel()
        if self._over:
            return  # it goes with all the others
        match outcome:
            case SmokeVerdict(passed=True, said=said):
                await to_its_end(self._shift(self._releases[release.number], said))
            case SmokeVerdict(said=said):
                await to_its_end(self._refuse(release, said))
            case asyncio.CancelledError() | FailureError():
                await to_its_end(self._refuse(release, self._given_up or str(outcome)))
            case _:
                raise outcome

    async def _try_out(self, release: Release, order: ReleaseOrder) -> SmokeVerdict:
        """Until it has answered what callers would ask, or it is clear that it will not."""
        self._face.show(DeploymentPhase.STARTING, f"{release.endpoint} wakes, with {_of(release)}")
        if not await to_its_end(releases.start(release, order, self._name, self._tokens)):
            self._releases.disown(release.number)
            return SmokeVerdict(passed=False, said=f"there is an endpoint {release.endpoint} already, of somebody else")
        try:
            given = await steps.wake_endpoint(release.endpoint, DEPLOYER, order.within)
            self._releases.note(release.number, ready_at=workflow.now())
            self._face.show(DeploymentPhase.TESTING, f"{release.endpoint} can serve, and is asked {order.smoke.path}")
            route = given.routes[0]
            verdict = await steps.smoke_test(route.lease, route.port, order.smoke)
            self._releases.note(release.number, compared=verdict.compared)
            return verdict
        except ActivityError as err:
            if is_cancelled_exception(err):
                raise
            late = isinstance(err.cause, TimeoutError)
            why = f"it could not serve within {order.within}" if late else words_of(err)
            return SmokeVerdict(passed=False, said=why)

    async def _shift(self, release: Release, said: str) -> None:
        """From the first step on gateways learn of it; whoever still sends to the old one is served there."""
        await steps.shift_traffic(self._name, release.endpoint)
        leaving = self._releases.shift_to(release.number, said)
        self._underway = 0  # the next may be ordered: it waits until this turn is over
        await releases.give_pass_back(release)
        await self._say_duties()
        self._face.show(DeploymentPhase.SERVING, f"{release.endpoint} serves {_of(release)}: {said}")
        await self._remove(leaving)

    async def _refuse(self, release: Release, why: str) -> None:
        await self._remove((release,))
        self._releases.fail(release.number, why)
        self._underway = 0
        serving = self._releases.serving
        phase = DeploymentPhase.SERVING if serving else DeploymentPhase.FAILED
        goes_on = f"; {serving.endpoint} serves on" if serving else ""
        self._face.show(phase, f"{release.endpoint} is not fit: {why}{goes_on}")

    async def _roll_back(self) -> None:
        """Nothing is woken for it: the first caller does that, if it sleeps."""
        kept, served = self._releases.kept, self._releases.serving
        if kept is None or served is None:
            self._refused_back = f"no earlier release of {self._name} is kept"
            return
        if not await self._say_duty(replace(kept, state=ReleaseState.SERVING)):
            self._releases.retire(kept.number, "it was ended by somebody else")
            self._refused_back = f"{kept.endpoint} was ended by somebody else"
            return
        await steps.shift_traffic(self._name, kept.endpoint)
        self._releases.shift_to(kept.number, f"rolled back from {served.endpoint}")
        await self._say_duties()
        reason = f"{kept.endpoint} serves {_of(kept)}, rolled back from {served.endpoint}"
        self._face.show(DeploymentPhase.SERVING, reason)

    async def _say_tokens(self) -> None:
        for each in self._releases.alive:
            await self._say_duty(each)

    async def _say_duty(self, release: Release) -> bool:
        return await releases.say_duty(release, self._tokens, self._handover)

    async def _say_duties(self) -> None:
        for each in (self._releases.serving, self._releases.kept):
            if each is not None:
                await self._say_duty(each)

    async def _remove(self, leaving: tuple[Release, ...]) -> None:
        """Told when there is nothing left that could be billed."""
        ours = tuple(each for each in leaving if each.number in self._releases.alive_numbers)
        for each in ours:
            await releases.end(each)
        if ours:
            await steps.until_ended(tuple(names.endpoint_id(each.endpoint) for each in ours))
        for each in ours:
            self._releases.retire(each.number, each.reason)

    async def _end(self, reason: str) -> None:
        self._face.show(self._face.phase, f"ending: {reason}")
        await steps.close_deployment(self._name)
        await self._remove(self._releases.alive)
        self._face.show(DeploymentPhase.FAILED if self._failed else DeploymentPhase.RETIRED, reason)

    def _is_tired(self) -> bool:
        """When nobody waits for an answer; what was ordered in that moment is the next run's."""
        return (
            not self._over
            and not self._go_back
            and workflow.info().is_continue_as_new_suggested()
            and workflow.all_handlers_finished()
        )

    def _next_run(self) -> DeploymentInput:
        state = DeploymentState(
            newest=self._releases.newest,
            phase=self._face.phase,
            reason=self._face.reason,
            since=self._face.since,
            releases=self._releases.told,
            ordered=self._ordered,
        )
        return DeploymentInput(name=self._name, token_hashes=self._tokens, handover=self._handover, resume=state)


def _of(release: Release) -> str:
    return f"{release.model} version {release.version}"


def _refused(message: str) -> ApplicationError:
    return ApplicationError(message, type=ErrorType.INVALID_STATE)
