"""Endpoints, for other services: deploy one, ask it, wake it, change who may call, let it go."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

from temporalio.client import Client
from temporalio.common import SearchAttributePair
from temporalio.service import RPCError

from holdfast.client import market, money, shortage, starting
from holdfast.client.calls import ask
from holdfast.client.errors import (
    AlreadyRunning,
    InvalidState,
    OperationFailed,
    SpecInvalid,
    SpecProblem,
    UnknownEndpoint,
)
from holdfast.client.messages import TAKEN_WITHIN
from holdfast.client.operations import Kind, Operations, is_running, refuse_running
from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.deployments import deployment_of
from holdfast.contracts.endpoints import (
    ANSWER_WITHIN,
    ENDPOINT_PATTERN,
    EndpointInput,
    EndpointPhase,
    EndpointSpec,
    EndpointStatus,
    IdleNotice,
    Pass,
    Replica,
    ScaleRequest,
    Wake,
    WakeRequest,
    replica_name,
)
from holdfast.contracts.spec import PauseMode
from holdfast.settings import Settings

Told = Callable[[str], None]

_ASK_EVERY = timedelta(seconds=0.25)
_ENDPOINT = Kind(
    word="endpoint",
    article="an",
    pattern=ENDPOINT_PATTERN,
    prefix=names.endpoint_id(""),
    workflow=names.ENDPOINT,
    unknown=UnknownEndpoint,
    show="holdfast endpoint show",
    end="holdfast endpoint rm",
    begin="holdfast endpoint deploy FILE",
)
_TOKEN = "hfe_"  # noqa: S105 - how all of them begin, so that scanners for leaked secrets know them


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """An endpoint that is the server's own now."""

    name: str
    run_id: str
    token: str  # told once, and kept nowhere; "" where callers need none


class Endpoints:
    """The operations on endpoints, over one connection to Temporal."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._all = Operations(client, _ENDPOINT)

    async def deploy(self, spec: EndpointSpec, *, workdir: Path | None = None) -> Deployed:
        """Start an endpoint; it rents nothing until somebody calls, unless its minimum says so.

        `workdir` is saved to the store first: what each replica finds in its workspace. The token that callers need
        is in the answer, and nowhere else.

        Raises:
            AlreadyRunning: there is an endpoint of this name, or a workload with the name of one of its replicas; or
                the name is one of a deployment's releases.
            SpecInvalid: no provider that it may use can stop a machine and start it again, as `sleep.mode: stop` wants.
            NoOffers, BudgetExceeded, SecretMissing, NoProvider, CredentialsRefused, ProviderUnavailable,
            StoreUnavailable, NoWorker, TemporalUnavailable.
        """
        await refuse_running(self._client, names.endpoint_id(spec.name), self._all.taken(spec.name))
        await refuse_running(self._client, names.deployment_id(spec.name), _is_a_deployment(spec.name))
        if deployment := deployment_of(spec.name):
            await refuse_running(self._client, names.deployment_id(deployment), _is_a_release(spec.name, deployment))
        await asyncio.gather(*(self._refuse_workload(spec.name, n) for n in range(spec.scale.maximum)))
        checked = await self.that_can_be(spec)
        saved = await starting.save_workdir(checked.workload, workdir, self._settings) if workdir else None
        token = "" if spec.door.open else new_token()
        order = EndpointInput(spec=checked, token_hashes=(hash_of(token),) if token else (), workdir=saved)
        return Deployed(name=spec.name, run_id=await self._start(order), token=token)

    async def that_can_be(self, spec: EndpointSpec, *, words: shortage.Words = shortage.IN_A_SPEC) -> EndpointSpec:
        """The spec with the providers that it may use, if a machine for it can be had and paid for. See `deploy`."""
        asked = market.providers_for(spec.workload.providers, self._settings)
        await market.refuse_unknown(self._client, asked, self._settings)
        if spec.sleep.mode is PauseMode.STOP:
            asked = await self._that_pause(spec, asked)
        work = spec.workload.model_copy(update={"providers": asked, "name": replica_name(spec.name, 0)})
        found = await shortage.require_offers(self._client, asked, work.requirements(), words=words)
        await money.refuse_spent_budget(self._client, work, found.offers[0])
        await starting.refuse_missing_secrets(self._client, work)
        return spec.model_copy(update={"workload": work})

    async def all(self) -> tuple[EndpointStatus, ...]:
        """Every endpoint that exists, by name."""
        return tuple([await self.status(each) for each in await self._all.running()])

    async def status(self, name: str) -> EndpointStatus:
        """What an endpoint does, also after its end while the server remembers it. Raises `UnknownEndpoint`."""
        return await self._all.ask(name, "status", EndpointStatus)

    async def wake(self, name: str, *, told: Told = lambda _: None) -> Pass:
        """Wake it as a caller would, and wait until a replica can serve; the idle time begins with the answer.

        `told` hears what it waits for, each time that this is something else.

        Raises:
            OperationFailed: a replica was tried meanwhile and cannot serve; the message says why.
            UnknownEndpoint, InvalidState, NoWorker.
        """
        failed = await self._failures(name)
        caller = f"client-{secrets.token_hex(4)}"
        try:
            given = await self._served(name, WakeRequest(gateway=caller, waiting=1), failed, told)
        finally:  # also when whoever asked gives up: nobody waits for it any more
            notice = IdleNotice(gateway=caller, quiet_for=timedelta())
            with suppress(RPCError):  # it has ended, or the server is away: then the pass runs out by itself
                await self._all.handle(name).signal("idle", notice, rpc_timeout=TAKEN_WITHIN)
        return replace(given, valid_for=timedelta())

    async def _failures(self, name: str) -> dict[str, Replica]:
        """The replicas that did not do what was wanted of them."""
        return {each.name: each for each in (await self.status(name)).replicas if each.failures}

    async def _served(self, name: str, request: WakeRequest, failed: Mapping[str, Replica], told: Told) -> Pass:
        """Call as gateways do, until a replica can serve or has shown that it cannot."""
        call_again, said = -inf, ""
        while True:
            if monotonic() >= call_again:  # so that the call does not run out while we wait
                await self._all.signal(name, "called", request)
                call_again = monotonic() + ANSWER_WITHIN.total_seconds()
            given = await self._all.ask(name, "pass_now", Pass)
            if given.routes:
                return given
            if given.refused:
                raise InvalidState(given.reason, remedy=self._all.look_at(name))
            if given.phase is EndpointPhase.STOPPED:
                raise InvalidState(f"the endpoint {name!r} has ended")
            if given.reason != said:
                told(said := given.reason)
                for each in (await self._failures(name)).values():
                    if each.name not in failed or each.failures > failed[each.name].failures:
                        raise OperationFailed(
                            f"{each.name} cannot serve: {each.reason}", remedy=self._all.look_at(name)
                        )
            await asyncio.sleep(_ASK_EVERY.total_seconds())

    async def sleep(self, name: str) -> EndpointStatus:
        """Do not wait for the idle time: sleep as soon as nobody calls."""
        return await self._all.order(name, "sleep", EndpointStatus)

    async def scale(self, name: str, *, minimum: int | None = None, maximum: int | None = None) -> EndpointStatus:
        """Keep other numbers of replicas from now on."""
        return await self._all.order(name, "scale", EndpointStatus, ScaleRequest(minimum=minimum, maximum=maximum))

    async def new_token(self, name: str) -> str:
        """A token that callers need from now on, in place of all before it. It is told once, and kept nowhere.

        Raises:
            InvalidState: the deployment that this is, or belongs to, has the token.
            UnknownEndpoint, NoWorker.
        """
        deployment = deployment_of(name) or name
        if await is_running(self._client, names.deployment_id(deployment)):
            raise InvalidState(
                f"the deployment {deployment!r} has the token of all its releases",
                remedy=f"`holdfast deployment token {deployment}` makes a new one",
            )
        token = new_token()
        await self._all.order(name, "set_tokens", EndpointStatus, (hash_of(token),))
        return token

    async def wakes(self, name: str, *, newest: int = 1000) -> list[Wake]:
        """How an endpoint woke, oldest first, also after its end."""
        order = acts.ReadWakesInput(endpoint=name, newest=newest)
        queue = names.CONTROL_QUEUE
        return await ask(self._client, acts.read_wakes, order, queue=queue, summary=f"how {name} woke")

    async def remove(self, name: str, *, force: bool = False) -> EndpointStatus:
        """End an endpoint and let every machine of it go. Answers when that has begun; `ended` waits for it.

        Raises:
            InvalidState: it is a release of a deployment that goes on; with `force` it is ended all the same.
            UnknownEndpoint, NoWorker.
        """
        deployment = deployment_of(name)
        if deployment and not force and await is_running(self._client, names.deployment_id(deployment)):
            raise InvalidState(
                f"{name} is a release of the deployment {deployment!r}",
                remedy=f"`holdfast deployment retire {deployment}` ends all of it; --force ends this endpoint alone",
            )
        return await self._all.order(name, "remove", EndpointStatus)

    async def ended(self, name: str) -> None:
        """Wait until an endpoint that was removed has let everything go."""
        await self._all.ended(name)

    async def _start(self, order: EndpointInput) -> str:
        spec = order.spec
        pairs: list[SearchAttributePair[Any]] = [SearchAttributePair(names.SA_STATE, EndpointPhase.COLD.value)]
        summary = f"endpoint {spec.name}: {spec.scale.minimum} to {spec.scale.maximum} replicas"
        return await self._all.start(spec.name, order, summary=summary, attributes=pairs)

    async def _refuse_workload(self, endpoint: str, number: int) -> None:
        replica = replica_name(endpoint, number)
        taken = AlreadyRunning(
            f"a workload named {replica!r} is running: so is a replica to be called",
            remedy=f"`holdfast stop {replica}` ends it; or choose another name",
        )
        await refuse_running(self._client, names.workload_id(replica), taken)

    async def _that_pause(self, spec: EndpointSpec, providers: Sequence[str]) -> tuple[str, ...]:
        """Those that can stop a machine and start it again: on others it would never sleep."""
        able, why = [], []
        for provider in providers:
            queue = names.provider_queue(provider)
            try:
                await ask(self._client, acts.require_pausing, provider, queue=queue, summary=f"can {provider} pause")
            except OperationFailed as err:  # the driver cannot, as it is set up
                why.append(str(err))
            else:
                able.append(provider)
        if not able:
            told = f"stop is not possible: {'; '.join(why)}. checkpoint is"
            raise SpecInvalid(spec.name, (SpecProblem(path="sleep.mode", message=told, line=1, column=1),))
        return tuple(able)


def new_token() -> str:
    """256 random bits; nobody guesses them, so a plain hash of them may lie in a database."""
    return _TOKEN + secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """As gateways compare it: SHA-256, in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def _is_a_release(name: str, deployment: str) -> AlreadyRunning:
    told = f"{name!r} is what a release of the deployment {deployment!r} is called"
    return AlreadyRunning(told, remedy="choose another name")


def _is_a_deployment(name: str) -> AlreadyRunning:
    remedy = f"`holdfast deployment retire {name}` ends it; or choose another name"
    return AlreadyRunning(f"a deployment named {name!r} exists already", remedy=remedy)
