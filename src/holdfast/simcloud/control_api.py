"""The control API: ``/sim/...`` beside the providers' APIs, opened by the token in ``control.token``.

Targets are looked for in the markets of all providers, whose numbers never meet. What is about a market as a whole
(a new offer, a fault, the account) names its provider, or means the first one.
"""

import hmac
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from holdfast.simcloud.levers import Levers, NothingMatches, NotPossible, amount
from holdfast.simcloud.model import Fault, Instance
from holdfast.simcloud.profile import SlotLine
from holdfast.simcloud.reports import audit_report, bill_report, instance_report, offer_report
from holdfast.simcloud.sim import Sim

Call = Callable[[Request], Awaitable[Any]]
Answer = Callable[[Request], Awaitable[Response]]


def routes(sims: Sequence[Sim]) -> list[Route]:
    """The control API over the markets of all providers."""
    panel = _Panel(sims)
    table: list[tuple[str, str, Call]] = [
        ("GET", "/sim/instances", panel.instances),
        ("DELETE", "/sim/instances", panel.destroy_all),
        ("POST", "/sim/instances/{target}/{lever}", panel.pull),
        ("GET", "/sim/bill", panel.bill),
        ("GET", "/sim/alive", panel.alive),
        ("GET", "/sim/offers", panel.offers),
        ("POST", "/sim/offers", panel.add_offer),
        ("PATCH", "/sim/offers/{slot:int}", panel.change_offer),
        ("GET", "/sim/faults", panel.faults),
        ("POST", "/sim/faults", panel.add_fault),
        ("DELETE", "/sim/faults", panel.clear_faults),
        ("PATCH", "/sim/account", panel.account),
        ("POST", "/sim/knobs/{knob}", panel.turn),
    ]
    token = sims[0].control_token
    return [Route(path, _guarded(token, call), methods=[method]) for method, path, call in table]


def _guarded(token: str, call: Call) -> Answer:
    async def answer(request: Request) -> Response:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return JSONResponse({"error": "the control token is missing or wrong"}, status_code=401)
        try:
            return JSONResponse(await call(request))
        except NothingMatches as missing:
            return JSONResponse({"error": str(missing)}, status_code=404)
        except NotPossible as refused:
            return JSONResponse({"error": str(refused)}, status_code=409)
        except (TypeError, ValueError, ValidationError) as nonsense:
            return JSONResponse({"error": str(nonsense)}, status_code=400)

    return answer


class _Panel:
    """One method per call. Each returns when the market's machines have followed the change."""

    def __init__(self, sims: Sequence[Sim]) -> None:
        self._sims = {sim.provider: sim for sim in sims}

    async def pull(self, request: Request) -> Any:
        """Pull one lever on all instances that the target names."""
        target, lever = request.path_params["target"], request.path_params["lever"]
        options = await _options(request)
        found: list[int] = []
        known = {name: None for sim in self._sims.values() for name in _pulls(sim)}
        if lever not in known:
            raise NothingMatches(f"no such lever; there are: {', '.join(known)}")
        for sim in self._sims.values():
            pulls, hit = _pulls(sim), Levers(sim).find(target)
            if hit and lever not in pulls:
                raise NotPossible(f"{sim.provider} does nothing like {lever}")
            for instance in hit:
                pulls[lever](instance, **options)
            if hit:
                await sim.conductor.follow()
                found += [instance.id for instance in hit]
        if not found:
            raise NothingMatches(f"no living instance is called {target!r}{_called_otherwise(self._sims.values())}")
        return {"instances": found}

    async def instances(self, _request: Request) -> Any:
        """The living instances: the truth, and what the provider says."""
        everyone = ((sim, instance) for sim in self._sims.values() for instance in sim.store.instances())
        return {"instances": [_told(sim, instance) for sim, instance in everyone]}

    async def destroy_all(self, _request: Request) -> Any:
        """End every tenancy."""
        for sim in self._sims.values():
            for instance in sim.store.instances():
                sim.market.destroy(instance.id)
            await sim.conductor.follow()
        return {}

    async def bill(self, _request: Request) -> Any:
        """The bill of everything that ever existed."""
        return bill_report({name: sim.market.bill.lines(sim.clock.now()) for name, sim in self._sims.items()})

    async def alive(self, request: Request) -> Any:
        """Which instances existed at a moment (``at``, ISO 8601; default now)."""
        at = request.query_params.get("at")
        moment = datetime.fromisoformat(at) if at else self._first.clock.now()
        return audit_report((sim.market.bill for sim in self._sims.values()), moment)

    async def offers(self, _request: Request) -> Any:
        """Every slot with its state, offered or not."""
        return {"offers": [offer for sim in self._sims.values() for offer in _offers(sim)]}

    async def add_offer(self, request: Request) -> Any:
        """One more slot, described as in a profile, at the provider that is named."""
        options = await _options(request)
        sim = self._named(options)
        slot = Levers(sim).add_slot(SlotLine.model_validate(options))
        return offer_report(sim.provider, slot, [])

    async def change_offer(self, request: Request) -> Any:
        """A slot's price, least bid, flaw, or whether it is on the market."""
        number = int(request.path_params["slot"])
        options = await _options(request)
        sim = next((sim for sim in self._sims.values() if sim.store.slots.get(number)), self._first)
        slot = Levers(sim).change_slot(number, options)
        await sim.conductor.follow()
        return offer_report(sim.provider, slot, sim.store.instances())

    async def faults(self, _request: Request) -> Any:
        """The API faults that can still strike."""
        pending = ((name, fault) for name, sim in self._sims.items() for fault in sim.troubles.pending())
        return {"faults": [{"provider": name} | fault.model_dump(mode="json") for name, fault in pending]}

    async def add_fault(self, request: Request) -> Any:
        """Script an API fault; ``lasting`` (seconds) instead of an end."""
        options = await _options(request)
        sim = self._named(options)
        lasting = options.pop("lasting", None)
        fault = Fault.model_validate({"id": 0, **options})
        if lasting is not None:
            fault.until = sim.clock.now() + timedelta(seconds=float(lasting))
            fault.times = options.get("times")
        return sim.troubles.add(fault).model_dump(mode="json")

    async def clear_faults(self, _request: Request) -> Any:
        """Forget all API faults."""
        for sim in self._sims.values():
            sim.troubles.clear()
        return {}

    async def turn(self, request: Request) -> Any:
        """Turn a knob that only the named provider's market has; the options are its arguments."""
        options, knob = await _options(request), request.path_params["knob"]
        sim = self._named(options)
        knobs = {} if sim.place.knobs is None else sim.place.knobs(sim)
        if knob not in knobs:
            raise NothingMatches(f"no such knob at {sim.provider}; there are: {', '.join(knobs) or 'none'}")
        result = knobs[knob](**options)
        await sim.conductor.follow()
        return result

    async def account(self, request: Request) -> Any:
        """Set ``credit`` (USD) or ``listing_lag`` (seconds)."""
        options = await _options(request)
        sim = self._named(options)
        account = sim.store.account()  # not earlier: the bill may grow while a body comes slowly
        for name, value in options.items():
            if name not in ("credit", "listing_lag"):
                raise NotPossible(f"{name} of the account cannot be set")
            setattr(account, name, amount(value))
        sim.store.put_account(account)
        return account.model_dump(mode="json")

    @property
    def _first(self) -> Sim:
        return next(iter(self._sims.values()))

    def _named(self, options: dict[str, Any]) -> Sim:
        """The market of the provider that the options name; it is taken out of them."""
        name = options.pop("provider", self._first.provider)
        if name not in self._sims:
            raise NothingMatches(f"no provider {name!r} is simulated; there are: {', '.join(self._sims)}")
        return self._sims[name]


def _pulls(sim: Sim) -> dict[str, Callable[..., None]]:
    levers = Levers(sim)
    own = {} if sim.place.levers is None else sim.place.levers(sim)
    return {
        "kill": levers.kill,
        "outbid": levers.outbid,
        "take": levers.take,
        "release": levers.release,
        "disassociate": levers.disassociate,
        "partition": levers.partition,
        "slow": levers.slow,
        "heal": levers.heal,
        "offline": levers.offline,
        "online": levers.online,
        "end-contract": levers.end_contract,
        "gpu-load": levers.gpu_load,
        "relabel": levers.relabel,
        "destroy": levers.destroy,
        **own,
    }


def _called_otherwise(sims: Iterable[Sim]) -> str:
    known = {(one.label or one.alias or str(one.id)).partition(".")[0] for sim in sims for one in sim.store.instances()}
    return f"; there are: {', '.join(sorted(known)[:8])}" if known else ""


def _told(sim: Sim, instance: Instance) -> dict[str, Any]:
    slot, folder = sim.market.slot(instance.slot_id), sim.machines.folder(instance.id)
    return instance_report(sim.provider, instance, slot, folder, sim.clock.now())


def _offers(sim: Sim) -> list[dict[str, Any]]:
    tenancies = sim.store.instances()
    return [offer_report(sim.provider, slot, tenancies) for slot in sim.store.slots.all()]


async def _options(request: Request) -> dict[str, Any]:
    raw = await request.body()
    options = (await request.json()) if raw else {}
    if not isinstance(options, dict):
        raise ValueError("the body must be a JSON object")
    return options
