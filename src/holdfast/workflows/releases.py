"""The releases of a deployment: which one serves, which one is kept, and what their endpoints are told."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError

from holdfast.contracts import names
from holdfast.contracts.deployments import (
    DEPLOYER,
    DeploymentState,
    Release,
    ReleaseOrder,
    ReleaseState,
    endpoint_of,
)
from holdfast.contracts.endpoints import Duty, EndpointInput, IdleNotice, replica_name
from holdfast.workflows import steps
from holdfast.workflows.cancelling import heed_cancel

TOLD = 20
"""Releases that are remembered."""


class Releases:
    """What is known of them. It decides nothing."""

    def __init__(self, deployment: str, past: DeploymentState | None) -> None:
        self._deployment = deployment
        self._known = {each.number: each for each in (past.releases if past else ())}
        self.newest = past.newest if past else 0

    def __getitem__(self, number: int) -> Release:
        return self._known[number]

    @property
    def told(self) -> tuple[Release, ...]:
        """Oldest first."""
        return tuple(self._known.values())

    @property
    def alive(self) -> tuple[Release, ...]:
        """Those whose endpoints may exist."""
        return tuple(each for each in self._known.values() if each.state.is_alive)

    @property
    def alive_numbers(self) -> frozenset[int]:
        return frozenset(each.number for each in self.alive)

    @property
    def serving(self) -> Release | None:
        return self._in(ReleaseState.SERVING)

    @property
    def kept(self) -> Release | None:
        return self._in(ReleaseState.KEPT)

    @property
    def last_words(self) -> str:
        """Of the newest release."""
        return self._known[self.newest].reason if self.newest in self._known else ""

    def begin(self, order: ReleaseOrder, now: datetime) -> Release:
        """The next number."""
        self.newest += 1
        release = Release(
            number=self.newest,
            endpoint=endpoint_of(self._deployment, self.newest),
            model=order.model,
            version=order.version,
            recipe=order.recipe,
            state=ReleaseState.UNDER_WAY,
            began_at=now,
            owner=order.owner,
        )
        self._known[release.number] = release
        for each in self.told[:-TOLD]:
            if not each.state.is_alive:
                del self._known[each.number]
        return release

    def note(self, number: int, **found: Any) -> None:
        """What was found out about it."""
        self._known[number] = replace(self._known[number], **found)

    def shift_to(self, number: int, said: str) -> tuple[Release, ...]:
        """The one that served is kept. What was kept until now, and is not what serves now, is to leave."""
        served, kept = self.serving, self.kept
        if served is not None:
            self._state(served.number, ReleaseState.KEPT)
        self._state(number, ReleaseState.SERVING, said)
        return (kept,) if kept is not None and kept.number != number else ()

    def fail(self, number: int, why: str) -> None:
        self._state(number, ReleaseState.FAILED, why)

    def retire(self, number: int, reason: str) -> None:
        self._state(number, ReleaseState.RETIRED, reason)

    def disown(self, number: int) -> None:
        """The endpoint of this name is somebody else's: it is left alone."""
        self._state(number, ReleaseState.FAILED)

    def _state(self, number: int, state: ReleaseState, reason: str | None = None) -> None:
        known = self._known[number]
        self._known[number] = replace(known, state=state, reason=known.reason if reason is None else reason)

    def _in(self, state: ReleaseState) -> Release | None:
        return next((each for each in reversed(self.told) if each.state is state), None)


async def start(release: Release, order: ReleaseOrder, deployment: str, tokens: tuple[str, ...]) -> bool:
    """False: there is an endpoint of this name already, and it is not ours."""
    replica = replica_name(release.endpoint, 0)
    work = order.spec.workload.model_copy(update={"name": replica})
    endpoint = EndpointInput(
        spec=order.spec.model_copy(update={"name": release.endpoint, "workload": work}),
        token_hashes=tokens,
        workdir=replace(order.files, workload=replica) if order.files else None,
        deployment=deployment,
    )
    try:
        started = await workflow.start_child_workflow(
            names.ENDPOINT,
            endpoint,
            id=names.endpoint_id(release.endpoint),
            task_queue=names.CONTROL_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=f"release {release.number} of {deployment}: {release.model} version {release.version}",
        )
    except WorkflowAlreadyStartedError:
        return False
    steps.unheard(started)
    return True


async def say_duty(release: Release, tokens: tuple[str, ...], handover: timedelta) -> bool:
    """False: its endpoint is no more."""
    duty = Duty(serving=release.state is not ReleaseState.KEPT, token_hashes=tokens, handover=handover)
    return await _told(release, "duty", duty)


async def give_pass_back(release: Release) -> None:
    """The deployment has asked all that it wanted to know; from now on it stays awake for callers alone."""
    await _told(release, "idle", IdleNotice(gateway=DEPLOYER, quiet_for=timedelta()))


async def end(release: Release) -> None:
    """Cancelled, it lets every machine go. One that is no more has done so."""
    with suppress(FailureError):
        await workflow.get_external_workflow_handle(names.endpoint_id(release.endpoint)).cancel()


async def tell_owner(owner: str, release: Release) -> None:
    """Whoever ordered it and waits. One that is no more does not wait."""
    with suppress(FailureError):
        await workflow.get_external_workflow_handle(owner).signal("release_said", release)


async def _told(release: Release, signal: str, word: Duty | IdleNotice) -> bool:
    try:
        await workflow.get_external_workflow_handle(names.endpoint_id(release.endpoint)).signal(signal, word)
    except FailureError:
        heed_cancel()
        return False
    return True
