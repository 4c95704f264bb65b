"""Secrets of the account: SSH keys that a deploy may name, and other texts. They cannot be changed."""

import uuid
from typing import Any

from starlette.requests import Request

from holdfast.simcloud.sim import Sim
from holdfast.simcloud.tensordock.bodies import attributes, text
from holdfast.simcloud.tensordock.envelopes import Row, WireError

_KEPT = "secrets"
_KINDS = ("SSHKey", "GENERIC")
_LONGEST = 16_384


async def every(sim: Sim, _request: Request) -> Row:
    """All secrets, without their values."""
    return {"data": {"secrets": [_row(number, each) for number, each in _kept(sim).items()]}}


async def add(sim: Sim, request: Request) -> Row:
    """Keep one more."""
    found = await attributes(request, "secret")
    if (kind := found.get("type")) not in _KINDS:
        raise WireError(400, f"type must be one of {', '.join(_KINDS)}")
    name, value = text(found.get("name"), "name"), text(found.get("value"), "value", longest=_LONGEST)
    number = str(uuid.uuid4())
    secret = {"name": name, "type": kind, "value": value}
    account = sim.store.account()
    account.notes[_KEPT] = account.notes.get(_KEPT, {}) | {number: secret}
    sim.store.put_account(account)
    return {"data": _row(number, secret)}


async def show(sim: Sim, request: Request) -> Row:
    """One, with its value."""
    number, secret = _one(sim, request)
    return {"data": _row(number, secret) | {"value": secret["value"]}}


async def remove(sim: Sim, request: Request) -> Row:
    """Forget one. Machines keep what they were given."""
    number, secret = _one(sim, request)
    account = sim.store.account()
    del account.notes[_KEPT][number]
    sim.store.put_account(account)
    return {"data": _row(number, secret)}


def ssh_key(sim: Sim, number: Any) -> str:
    """The key that a deploy names. Raises WireError (400)."""
    secret = _kept(sim).get(str(number))
    if secret is None or secret["type"] != "SSHKey":
        raise WireError(400, "ssh_key_id names no SSH key")
    return secret["value"]


def _kept(sim: Sim) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = sim.store.account().notes.get(_KEPT, {})
    return found


def _one(sim: Sim, request: Request) -> tuple[str, dict[str, str]]:
    number = str(request.path_params["secret"])
    secret = _kept(sim).get(number)
    if secret is None:
        raise WireError(404, "Secret not found")
    return number, secret


def _row(number: str, secret: dict[str, str]) -> Row:
    return {"id": number, "name": secret["name"], "type": secret["type"]}
