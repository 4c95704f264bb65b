"""SSH keys, the account, logs."""

import base64
import json
from itertools import count
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from holdfast.simcloud.model import AccountKey, Instance
from holdfast.simcloud.sim import Sim
from holdfast.simcloud.vast.bodies import read_body, whole_number
from holdfast.simcloud.vast.callers import Caller
from holdfast.simcloud.vast.envelopes import WireError, no_such_instance
from holdfast.simcloud.vast.queries import Row

_USER = 77001
_TAIL = 1000


async def account_keys(sim: Sim, caller: Caller, _request: Request) -> list[Row]:
    """The account's SSH keys; none is an error, as the provider has it."""
    caller.require(None)
    keys = sim.store.keys.all()
    if not keys:
        raise WireError(404, "not_found", "No SSH keys found for the user.")
    return [_key_row(key, "key") for key in keys]


async def add_account_key(sim: Sim, caller: Caller, request: Request) -> Row:
    """Add a key; it is copied into the instances created from now on."""
    caller.require(None)
    text = _public_key((await read_body(request)).get("ssh_key"))
    known = next((key for key in sim.store.keys.all() if key.key == text), None)
    key = known or AccountKey(id=sim.store.next_id("key", 501), key=text, created_at=sim.clock.now())
    sim.store.keys.put(key)
    return {"success": True, "key": _key_row(key, "public_key")}


async def remove_account_key(sim: Sim, caller: Caller, request: Request) -> Row:
    """Remove a key from the account; instances keep their copies."""
    caller.require(None)
    number = int(request.path_params["key"])
    if sim.store.keys.get(number) is None:
        raise WireError(400, "no_ssh_key", f"no ssh key {number}")
    sim.store.keys.remove(number)
    return {"success": True}


async def instance_keys(sim: Sim, caller: Caller, request: Request) -> Row:
    """The keys of one instance, as JSON text inside the JSON, as the provider has it."""
    caller.require(None)
    keys = [{"id": number, "public_key": key} for number, key in _instance(sim, request).keys.items()]
    return {"success": True, "ssh_keys": json.dumps(keys)}


async def attach_key(sim: Sim, caller: Caller, request: Request) -> Row:
    """Let a key into one instance, from its next login on."""
    caller.require(None)
    text = _public_key((await read_body(request)).get("ssh_key"))
    instance = _instance(sim, request)  # not earlier: it may be changed or destroyed while a body comes slowly
    if text not in instance.keys.values():
        instance.keys[sim.store.next_id("key", 501)] = text
        sim.market.change(instance)
        await sim.conductor.follow()
    return {"success": True, "msg": "ssh key attached"}


async def detach_key(sim: Sim, caller: Caller, request: Request) -> Row:
    """Take a key from one instance."""
    caller.require(None)
    instance = _instance(sim, request)
    if instance.keys.pop(int(request.path_params["key"]), None) is None:
        raise WireError(404, "no_such_ssh_key", "no such ssh key on this instance")
    sim.market.change(instance)
    await sim.conductor.follow()
    return {"success": True, "msg": "ssh key detached"}


async def current_user(sim: Sim, caller: Caller, _request: Request) -> Row:
    """The account and what is left on it."""
    caller.require(None)
    credit = float(round(sim.market.credit(), 4))
    return {
        "id": _USER,
        "email": "tenant@example.com",
        "credit": credit,
        "balance": 0.0,
        "balance_threshold": 0.0,
        "ssh_key": None,
    }


class Logs:
    """Logs are asked for, then fetched from an address that answers 404 for a while."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._misses: dict[str, int] = {}

    async def request(self, sim: Sim, caller: Caller, request: Request) -> Row:
        """Answers with the address where the log will be."""
        caller.require(None)
        tail = whole_number((await read_body(request)).get("tail") or _TAIL, "tail")
        if tail < 0:
            raise WireError(400, "invalid_args", "error 400/2401: tail is below zero")
        instance = _instance(sim, request)
        url = f"{sim.url}/results/{instance.id}/{next(self._numbers)}/{tail}"
        return {"success": True, "result_url": url, "msg": "Logs requested."}

    async def fetch(self, sim: Sim, request: Request) -> Response:
        """The log itself, without authentication: the address is the secret, as with the provider's object store."""
        path = request.url.path
        self._misses[path] = self._misses.get(path, 0) + 1
        if self._misses[path] <= sim.profile.log_misses:
            return PlainTextResponse("NoSuchKey", status_code=404)
        log = sim.machines.folder(request.path_params["instance"]).home / "onstart.log"
        lines = log.read_text(errors="replace").splitlines(keepends=True) if log.exists() else []
        return PlainTextResponse("".join(lines[-request.path_params["tail"] :]))


def _instance(sim: Sim, request: Request) -> Instance:
    number = int(request.path_params["instance"])
    found = sim.store.instance(number)
    if found is None:
        raise no_such_instance(number)
    return found


def _public_key(text: Any) -> str:
    """A key in OpenSSH's one-line form: its kind, then base64 that begins with the kind again, its length before it."""
    kind, _, rest = str(text).strip().partition(" ")
    try:
        blob = base64.b64decode(rest.split()[0], validate=True)
    except (IndexError, ValueError) as broken:
        raise WireError(400, "invalid_args", "ssh_key is not a public key") from broken
    if not blob.startswith(len(kind).to_bytes(4, "big") + kind.encode()):
        raise WireError(400, "invalid_args", "ssh_key is not a public key")
    return str(text).strip()


def _key_row(key: AccountKey, name: str) -> Row:
    return {"id": key.id, "user_id": _USER, name: key.key, "created_at": key.created_at.isoformat(), "deleted_at": None}
