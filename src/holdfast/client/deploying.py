"""Deployments, for other services: put a registered model behind a name, see what became of it, go back, end it."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import timedelta

import yaml
from pydantic import TypeAdapter, ValidationError
from temporalio.client import Client

from holdfast.client import models, shortage
from holdfast.client.errors import (
    AlreadyRunning,
    DeploymentFailed,
    DeploymentInvalid,
    InvalidState,
    UnknownDeployment,
)
from holdfast.client.operations import Kind, Operations, is_running, refuse_running
from holdfast.client.serving import Endpoints, hash_of, new_token
from holdfast.contracts import names
from holdfast.contracts.deployments import (
    DEPLOYMENT_PATTERN,
    DeploymentInput,
    DeploymentStatus,
    Release,
    ReleaseOrder,
    ReleaseState,
    SmokeRequest,
    endpoint_of,
)
from holdfast.contracts.endpoints import EndpointSpec, SleepSpec, replica_name
from holdfast.contracts.models import ModelVersion, ServeOptions, Smoke
from holdfast.contracts.spec import PauseMode
from holdfast.models.cookbook import recipes
from holdfast.policy.model_shapes import NotKnown
from holdfast.policy.serving import endpoint_spec, first_checkpoint, smoke_request

Told = Callable[[str], None]

LOOK_EVERY = timedelta(seconds=1)
_SMOKE: TypeAdapter[Smoke] = TypeAdapter(Smoke)
_SMOKE_HELP = "docs/deployments.md shows one"
_DEPLOYMENT = Kind(
    word="deployment",
    article="a",
    pattern=DEPLOYMENT_PATTERN,
    prefix=names.deployment_id(""),
    workflow=names.DEPLOYMENT,
    unknown=UnknownDeployment,
    show="holdfast deployment show",
    end="holdfast deployment retire",
    begin="holdfast deploy MODEL",
)
_MARGIN = timedelta(seconds=30)  # of a pass, that a smoke test leaves over
_WORDS = shortage.Words(
    price="--max-hourly",
    gpu="--gpu",
    gpu_memory="nothing instead: any that has the memory is taken",
    less="ask for less (--gpu; -o context, sequences, gpus, region)",
)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How a model is to be deployed. `options.endpoint` is the deployment's name; "": the model's."""

    model: str
    version: int | None = None  # None: the newest
    options: ServeOptions
    recipe: str = ""  # "": by the model's kind and files
    mode: PauseMode = PauseMode.STOP
    smoke: Smoke | None = None  # None: the recipe's
    within: timedelta = timedelta(hours=1)  # from the order to the first answer to a health check


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """A release that a deployment has taken on."""

    name: str
    release: int
    endpoint: str
    token: str  # for callers; told once, and only with the first release


class Deployments:
    """The operations on deployments, over one connection to Temporal."""

    def __init__(self, client: Client, endpoints: Endpoints) -> None:
        self._client = client
        self._endpoints = endpoints
        self._all = Operations(client, _DEPLOYMENT)

    async def deploy(self, wish: Wish) -> Ordered:
        """Order a new release, and start the deployment if there is none. `decided` waits for what becomes of it.

        Before anything is spent the market is asked whether a machine with enough memory can be had.

        Raises:
            UnknownModel: no such model, or version.
            DeploymentInvalid: the recipe cannot serve it so, or what memory it needs is not known.
            NoOffers: nobody offers such a machine; the message has what comes nearest.
            InvalidState: another release is under way.
            AlreadyRunning: an endpoint has this name.
            SpecInvalid, BudgetExceeded, NoProvider, NoWorker, ProviderUnavailable, TemporalUnavailable.
        """
        view = await models.view(self._client, wish.model, wish.version, context=None, sequences=1, gpus=1)
        name = wish.options.endpoint or wish.model
        order = await self.made_ready(view.model, wish, wish.recipe or view.recipe, name)
        if (token := await self._started(name, order)) is not None:
            return Ordered(name=name, release=1, endpoint=endpoint_of(name, 1), token=token)
        release = await self._all.order(name, "deploy", Release, order)
        return Ordered(name=name, release=release.number, endpoint=release.endpoint, token="")

    async def made_ready(self, model: ModelVersion, wish: Wish, recipe: str, name: str) -> ReleaseOrder:
        """A release as `deploy` would order it, for a workflow that orders it. Raises as it, but for InvalidState."""
        spec, smoke, recipe = planned(model, wish, recipe, name)
        taken = AlreadyRunning(f"an endpoint named {name!r} exists already", remedy="choose another name: --as NAME")
        await refuse_running(self._client, names.endpoint_id(name), taken)
        return ReleaseOrder(
            spec=await self._endpoints.that_can_be(spec, words=_WORDS),
            model=model.name,
            version=model.version,
            recipe=recipe,
            smoke=smoke,
            files=first_checkpoint(model, replica_name(name, 0)),
            within=wish.within,
        )

    async def exists(self, name: str) -> bool:
        """Whether there is a deployment of this name."""
        return await is_running(self._client, names.deployment_id(name))

    async def decided(self, name: str, release: int, *, told: Told = lambda _: None) -> DeploymentStatus:
        """Wait until a release has the traffic. `told` hears how it gets on.

        Raises:
            DeploymentFailed: it was not fit, and is removed.
        """
        said = ""
        while True:
            status = await self.status(name)
            found = status.release(release)
            if status.reason != said:
                told(said := status.reason)
            if found is None or found.state in (ReleaseState.FAILED, ReleaseState.RETIRED):
                why = found.reason if found and found.reason else status.reason
                goes_on = f"{status.serving} serves on" if status.serving else "nothing is left of it"
                raise DeploymentFailed(f"release {release} of {name} is not fit: {why}; {goes_on}").about(name)
            if found.state is not ReleaseState.UNDER_WAY:
                return status
            await asyncio.sleep(LOOK_EVERY.total_seconds())

    async def all(self) -> tuple[DeploymentStatus, ...]:
        """Every deployment that exists, by name."""
        return tuple([await self.status(each) for each in await self._all.running()])

    async def status(self, name: str) -> DeploymentStatus:
        """What a deployment does, also after its end while the server remembers it. Raises `UnknownDeployment`."""
        return await self._all.ask(name, "status", DeploymentStatus)

    async def refuse_use_of(self, model: str, version: int | None) -> None:
        """Raise `InvalidState` where a release that exists is of this model; None: of any version of it."""
        for deployment in await self.all():
            alive = [each for each in deployment.releases if each.state.is_alive and each.model == model]
            if used := [each for each in alive if version in (None, each.version)]:
                told = f"{model} version {used[0].version} is what release {used[0].number} of {deployment.name} serves"
                remedy = f"`holdfast deployment retire {deployment.name}` ends it; or deploy another version there"
                raise InvalidState(told, remedy=remedy)

    async def rollback(self, name: str) -> DeploymentStatus:
        """Give up the release that is under way, or let the one that is kept serve again; nothing is woken for it.

        Raises:
            UnknownDeployment, NoWorker.
            InvalidState: no earlier release is kept.
        """
        return await self._all.order(name, "rollback", DeploymentStatus)

    async def new_token(self, name: str) -> str:
        """A token that callers need from now on, in place of all before it. It is told once, and kept nowhere."""
        token = new_token()
        await self._all.order(name, "set_tokens", DeploymentStatus, (hash_of(token),))
        return token

    async def retire(self, name: str) -> DeploymentStatus:
        """End a deployment and let every machine of it go. Answers when that has begun; `ended` waits for it."""
        return await self._all.order(name, "retire", DeploymentStatus)

    async def ended(self, name: str) -> None:
        """Wait until a deployment that was retired has let everything go."""
        await self._all.ended(name)

    async def _started(self, name: str, order: ReleaseOrder) -> str | None:
        """The token of a deployment that begins with this release; None: there is one already."""
        token = new_token()
        begun = DeploymentInput(name=name, token_hashes=(hash_of(token),), first=order)
        try:
            await self._all.start(name, begun, summary=f"deployment {name}: {order.model}")
        except AlreadyRunning:
            return None
        return token


def planned(model: ModelVersion, wish: Wish, recipe: str, name: str) -> tuple[EndpointSpec, SmokeRequest, str]:
    """The endpoint that serves the model, what it is asked first, and the recipe's name.

    Raises:
        DeploymentInvalid: that cannot be.
    """
    if not re.fullmatch(DEPLOYMENT_PATTERN, name):
        told = f"{name[:60]!r} is no name for a deployment: lower-case letters, digits and dashes, 34 at most"
        raise DeploymentInvalid(told, remedy="choose another name: --as NAME")
    if (found := recipes().get(recipe)) is None:
        raise DeploymentInvalid(f"there is no recipe {recipe[:60]!r}; there are: {', '.join(recipes())}")
    if model.retired_at is not None:
        raise DeploymentInvalid(f"{model.name} version {model.version} was removed", remedy="register it again")
    options = replace(wish.options, endpoint=name)
    try:
        spec = endpoint_spec(model, found, options).model_copy(update={"sleep": SleepSpec(mode=wish.mode)})
        smoke = smoke_request(model, found, options, wish.smoke)
    except NotKnown as err:
        told = f"what GPU memory {model.name} needs is not known: {err}"
        raise DeploymentInvalid(told, remedy="state it: `holdfast model register … --memory-gb`") from None
    except ValidationError as err:
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in err.errors())
        raise DeploymentInvalid(told.replace("Value error, ", "")) from None
    except ValueError as err:
        raise DeploymentInvalid(str(err)) from None
    return spec, replace(smoke, within=min(smoke.within, spec.door.pass_for - _MARGIN)), found.name


def read_smoke(text: str, *, source: str) -> Smoke:
    """A smoke test of one's own, as YAML.

    Raises:
        DeploymentInvalid: it is none.
    """
    known = {each.name for each in fields(Smoke)}
    try:
        found = yaml.safe_load(text)
        if not isinstance(found, dict):
            raise DeploymentInvalid(f"{source} is no smoke test", remedy=_SMOKE_HELP)
        if unknown := sorted(str(key) for key in found if key not in known):
            told = f"{source}: there is no {unknown[0]!r}; there are: {', '.join(sorted(known))}"
            raise DeploymentInvalid(told, remedy=_SMOKE_HELP)
        smoke = _SMOKE.validate_python(found)
    except (yaml.YAMLError, ValidationError) as err:
        first = err.errors()[0]["msg"] if isinstance(err, ValidationError) else str(err)
        raise DeploymentInvalid(f"{source} is no smoke test: {first}", remedy=_SMOKE_HELP) from None
    request_line = re.fullmatch(r"[A-Z]{1,10} /[!-~]{0,1000}", f"{smoke.method} {smoke.path}")
    if not request_line or not 0 < smoke.within_seconds <= 3600 or not 0 <= smoke.sound_seconds <= 60:
        told = f"{source}: a smoke test has a path such as /ask, a method such as POST, and more than 0 seconds"
        raise DeploymentInvalid(told, remedy=_SMOKE_HELP)
    return smoke
