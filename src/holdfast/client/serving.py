"""Endpoints, for other services: deploy one, ask it, wake it, change who may call, let it go."""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle, WorkflowQueryFailedError
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from holdfast.client import market, money, shortage, starting
from holdfast.client.calls import ask
from holdfast.client.errors import (
    AlreadyRunning,
    HoldfastError,
    InvalidState,
    NoWorker,
    OperationFailed,
    SpecInvalid,
    SpecProblem,
    UnknownEndpoint,
)
from holdfast.client.messages import TAKEN_WITHIN, send, shortened
from holdfast.client.translation import from_rpc, is_timeout
from holdfast.contracts import activities as acts
from holdfast.contracts import names
from holdfast.contracts.endpoints import (
    ENDPOINT_PATTERN,
    EndpointInput,
    EndpointPhase,
    EndpointSpec,
    EndpointStatus,
    IdleNotice,
    Pass,
    ScaleRequest,
    Wake,
    WakeRequest,
    replica_name,
)
from holdfast.contracts.spec import PauseMode
from holdfast.settings import Settings

Answer = TypeVar("Answer")

_ASK_EVERY = timedelta(seconds=0.25)
_CALL_AGAIN = timedelta(seconds=20)  # each call is an event of the endpoint's history
_RUNNING = f"WorkflowType = '{names.ENDPOINT}' AND ExecutionStatus = 'Running'"
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

    async def deploy(self, spec: EndpointSpec, *, workdir: Path | None = None) -> Deployed:
        """Start an endpoint; it rents nothing until somebody calls, unless its minimum says so.

        `workdir` is saved to the store first: what each replica finds in its workspace. The token that callers need
        is in the answer, and nowhere else.

        Raises:
            AlreadyRunning: there is an endpoint of this name, or a workload with the name of one of its replicas.
            SpecInvalid: no provider that it may use can stop a machine and start it again, as `sleep.mode: stop` wants.
            NoOffers, BudgetExceeded, SecretMissing, NoProvider, CredentialsRefused, ProviderUnavailable,
            StoreUnavailable, NoWorker, TemporalUnavailable.
        """
        await refuse_running(self._client, names.endpoint_id(spec.name), _exists(spec.name))
        await refuse_running(self._client, names.deployment_id(spec.name), _is_a_deployment(spec.name))
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
        try:
            found = sorted([each.id async for each in self._client.list_workflows(_RUNNING)])
        except RPCError as err:
            raise from_rpc(err, self._client.service_client.config.target_host) from err
        return tuple([await self.status(each.removeprefix(names.endpoint_id(""))) for each in found])

    async def status(self, name: str) -> EndpointStatus:
        """What an endpoint does, also after its end while the server remembers it. Raises `UnknownEndpoint`."""
        return await self._ask(name, "status", EndpointStatus)

    async def _ask(self, name: str, question: str, answer: type[Answer]) -> Answer:
        try:
            told: Answer = await self._handle(name).query(question, result_type=answer, rpc_timeout=TAKEN_WITHIN)
        except WorkflowQueryFailedError as err:
            raise OperationFailed(f"the endpoint {name!r} cannot answer: {err}") from err
        except RPCError as err:
            raise await self._explained(name, err) from err
        return told

    async def wake(self, name: str) -> Pass:
        """Wake it as a caller would, and wait until a replica can serve; the idle time begins with the answer.

        Raises:
            UnknownEndpoint, InvalidState, NoWorker.
        """
        caller = f"client-{secrets.token_hex(4)}"
        try:
            given = await self._served(name, WakeRequest(gateway=caller, waiting=1))
        finally:  # also when whoever asked gives up: nobody waits for it any more
            notice = IdleNotice(gateway=caller, quiet_for=timedelta())
            with suppress(RPCError):  # it has ended, or the server is away: then the pass runs out by itself
                await self._handle(name).signal("idle", notice, rpc_timeout=TAKEN_WITHIN)
        return replace(given, valid_for=timedelta())

    async def _served(self, name: str, request: WakeRequest) -> Pass:
        """Call as gateways do, until a replica can serve."""
        call_again = -inf
        while True:
            if monotonic() >= call_again:  # so that the call does not run out while we wait
                await self._signal(name, "called", request)
                call_again = monotonic() + _CALL_AGAIN.total_seconds()
            given = await self._ask(name, "pass_now", Pass)
            if given.routes:
                return given
            if given.refused:
                raise InvalidState(given.reason, remedy=f"`holdfast endpoint show {name}` shows how it is")
            if given.phase is EndpointPhase.STOPPED:
                raise InvalidState(f"the endpoint {name!r} has ended")
            await asyncio.sleep(_ASK_EVERY.total_seconds())

    async def _signal(self, name: str, signal: str, word: object) -> None:
        try:
            await self._handle(name).signal(signal, word, rpc_timeout=TAKEN_WITHIN)
        except RPCError as err:
            raise await self._explained(name, err) from err

    async def sleep(self, name: str) -> EndpointStatus:
        """Do not wait for the idle time: sleep as soon as nobody calls."""
        return await self._order(name, "sleep", EndpointStatus)

    async def scale(self, name: str, *, minimum: int | None = None, maximum: int | None = None) -> EndpointStatus:
        """Keep other numbers of replicas from now on."""
        return await self._order(name, "scale", EndpointStatus, ScaleRequest(minimum=minimum, maximum=maximum))

    async def new_token(self, name: str) -> str:
        """A token that callers need from now on, in place of all before it. It is told once, and kept nowhere."""
        token = new_token()
        await self._order(name, "set_tokens", EndpointStatus, (hash_of(token),))
        return token

    async def wakes(self, name: str, *, newest: int = 1000) -> list[Wake]:
        """How an endpoint woke, oldest first, also after its end."""
        order = acts.ReadWakesInput(endpoint=name, newest=newest)
        queue = names.CONTROL_QUEUE
        return await ask(self._client, acts.read_wakes, order, queue=queue, summary=f"how {name} woke")

    async def remove(self, name: str) -> EndpointStatus:
        """End an endpoint and let every machine of it go. Answers when that has begun; `ended` waits for it."""
        return await self._order(name, "remove", EndpointStatus)

    async def ended(self, name: str) -> None:
        """Wait until an endpoint that was removed has let everything go."""
        try:
            await self._handle(name).result()
        except RPCError as err:
            raise await self._explained(name, err) from err

    async def _order(self, name: str, update: str, answer: type[Answer], *args: Any) -> Answer:
        try:
            return await send(
                self._handle(name), name, update, answer, args, explain=lambda err: self._explained(name, err)
            )
        except InvalidState as err:
            raise InvalidState(str(err), remedy=f"`holdfast endpoint show {name}` shows how it is") from err

    async def _start(self, order: EndpointInput) -> str:
        spec = order.spec
        pairs: list[SearchAttributePair[Any]] = [SearchAttributePair(names.SA_STATE, EndpointPhase.COLD.value)]
        try:
            handle = await self._client.start_workflow(
                names.ENDPOINT,
                order,
                id=names.endpoint_id(spec.name),
                task_queue=names.CONTROL_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                search_attributes=TypedSearchAttributes(pairs),
                static_summary=f"endpoint {spec.name}: {spec.scale.minimum} to {spec.scale.maximum} replicas",
            )
        except WorkflowAlreadyStartedError as err:
            raise _exists(spec.name) from err
        except RPCError as err:
            raise from_rpc(err, self._client.service_client.config.target_host) from err
        return handle.first_execution_run_id or handle.result_run_id or ""

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

    def _handle(self, name: str) -> WorkflowHandle[Any, Any]:
        if not re.fullmatch(ENDPOINT_PATTERN, name):
            raise UnknownEndpoint(f"there is no endpoint {shortened(name)!r}")
        return self._client.get_workflow_handle(names.endpoint_id(name))

    async def _explained(self, name: str, err: RPCError) -> HoldfastError:
        if is_timeout(err):
            return NoWorker(f"no worker answered for the endpoint {name!r} in time")
        if err.status is RPCStatusCode.NOT_FOUND and "amespace" not in err.message:
            return await self._gone(name)
        return from_rpc(err, self._client.service_client.config.target_host)

    async def _gone(self, name: str) -> HoldfastError:
        try:
            found = await self._handle(name).describe()
        except RPCError:
            return UnknownEndpoint(f"there is no endpoint {name!r}")
        if found.status is WorkflowExecutionStatus.RUNNING:
            return NoWorker(f"no worker answers for the endpoint {name!r}")
        return InvalidState(f"the endpoint {name!r} has ended", remedy="`holdfast endpoint deploy FILE` starts it anew")


def new_token() -> str:
    """256 random bits; nobody guesses them, so a plain hash of them may lie in a database."""
    return _TOKEN + secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """As gateways compare it: SHA-256, in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


async def refuse_running(client: Client, workflow_id: str, refusal: AlreadyRunning) -> None:
    """Raise the refusal where such a workflow runs."""
    try:
        found = await client.get_workflow_handle(workflow_id).describe()
    except RPCError as err:
        if err.status is RPCStatusCode.NOT_FOUND and "amespace" not in err.message:
            return
        raise from_rpc(err, client.service_client.config.target_host) from err
    if found.status is WorkflowExecutionStatus.RUNNING:
        raise refusal


def _is_a_deployment(name: str) -> AlreadyRunning:
    remedy = f"`holdfast deployment retire {name}` ends it; or choose another name"
    return AlreadyRunning(f"a deployment named {name!r} exists already", remedy=remedy)


def _exists(name: str) -> AlreadyRunning:
    remedy = f"`holdfast endpoint rm {name}` ends it; or choose another name"
    return AlreadyRunning(f"an endpoint named {name!r} exists already", remedy=remedy)
