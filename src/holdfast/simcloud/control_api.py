"""The control API: ``/sim/...`` beside the providers' APIs, opened by the token in ``control.token``."""

import hmac
from collections.abc import Awaitable, Callable
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


def routes(sim: Sim) -> list[Route]:
    """The control API of a market."""
    panel = _Panel(sim)
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
    ]
    return [Route(path, _guarded(sim, call), methods=[method]) for method, path, call in table]


def _guarded(sim: Sim, call: Call) -> Answer:
    async def answer(request: Request) -> Response:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {sim.control_token}".encode()):
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

    def __init__(self, sim: Sim) -> None:
        self._sim = sim
        self._levers = Levers(sim)
        self._pulls: dict[str, Callable[..., None]] = {
            "kill": self._levers.kill,
            "outbid": self._levers.outbid,
            "take": self._levers.take,
            "release": self._levers.release,
            "partition": self._levers.partition,
            "slow": self._levers.slow,
            "heal": self._levers.heal,
            "offline": self._levers.offline,
            "online": self._levers.online,
            "end-contract": self._levers.end_contract,
            "gpu-load": self._gpu_load,
        }

    async def pull(self, request: Request) -> Any:
        """Pull one lever on all instances that the target names."""
        lever = self._pulls.get(request.path_params["lever"])
        if lever is None:
            raise NothingMatches(f"no such lever; there are: {', '.join(self._pulls)}")
        options = await _options(request)
        found = self._levers.find(request.path_params["target"])
        for instance in found:
            lever(instance, **options)
        await self._sim.conductor.follow()
        return {"instances": [instance.id for instance in found]}

    async def instances(self, _request: Request) -> Any:
        """The living instances: the truth, and what the provider says."""
        return {"instances": [self._instance(instance) for instance in self._sim.store.instances()]}

    async def destroy_all(self, _request: Request) -> Any:
        """End every tenancy."""
        for instance in self._sim.store.instances():
            self._sim.market.destroy(instance.id)
        await self._sim.conductor.follow()
        return {}

    async def bill(self, _request: Request) -> Any:
        """The bill of everything that ever existed."""
        return bill_report(self._sim.market.bill.lines(self._sim.clock.now()))

    async def alive(self, request: Request) -> Any:
        """Which instances existed at a moment (``at``, ISO 8601; default now)."""
        at = request.query_params.get("at")
        moment = datetime.fromisoformat(at) if at else self._sim.clock.now()
        return audit_report(self._sim.market.bill, moment)

    async def offers(self, _request: Request) -> Any:
        """Every slot with its state, offered or not."""
        tenancies = self._sim.store.instances()
        return {"offers": [offer_report(slot, tenancies) for slot in self._sim.store.slots.all()]}

    async def add_offer(self, request: Request) -> Any:
        """One more slot, described as in a profile."""
        slot = self._levers.add_slot(SlotLine.model_validate(await _options(request)))
        return offer_report(slot, [])

    async def change_offer(self, request: Request) -> Any:
        """A slot's price, least bid, flaw, or whether it is on the market."""
        slot = self._levers.change_slot(int(request.path_params["slot"]), await _options(request))
        await self._sim.conductor.follow()
        return offer_report(slot, self._sim.store.instances())

    async def faults(self, _request: Request) -> Any:
        """The API faults that can still strike."""
        return {"faults": [fault.model_dump(mode="json") for fault in self._sim.troubles.pending()]}

    async def add_fault(self, request: Request) -> Any:
        """Script an API fault; ``lasting`` (seconds) instead of an end."""
        options = await _options(request)
        lasting = options.pop("lasting", None)
        fault = Fault.model_validate({"id": 0, **options})
        if lasting is not None:
            fault.until = self._sim.clock.now() + timedelta(seconds=float(lasting))
            fault.times = options.get("times")
        return self._sim.troubles.add(fault).model_dump(mode="json")

    async def clear_faults(self, _request: Request) -> Any:
        """Forget all API faults."""
        self._sim.troubles.clear()
        return {}

    async def account(self, request: Request) -> Any:
        """Set ``credit`` (USD) or ``listing_lag`` (seconds)."""
        options = await _options(request)
        account = self._sim.store.account()  # not earlier: the bill may grow while a body comes slowly
        for name, value in options.items():
            if name not in ("credit", "listing_lag"):
                raise NotPossible(f"{name} of the account cannot be set")
            setattr(account, name, amount(value))
        self._sim.store.put_account(account)
        return account.model_dump(mode="json")

    def _instance(self, instance: Instance) -> dict[str, Any]:
        slot = self._sim.market.slot(instance.slot_id)
        return instance_report(instance, slot, self._sim.machines.folder(instance.id), self._sim.clock.now())

    def _gpu_load(self, instance: Instance, *, percent: int | None = None) -> None:
        path = self._sim.machines.folder(instance.id).home / "bin" / ".gpu-load"
        if percent is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(str(percent))


async def _options(request: Request) -> dict[str, Any]:
    raw = await request.body()
    options = (await request.json()) if raw else {}
    if not isinstance(options, dict):
        raise ValueError("the body must be a JSON object")
    return options
