"""Operations: what a call that changes something answers, and how it goes on.

A call that is accepted has not succeeded: an operation can end with errors, such as that a zone has no capacity. It is
looked at anew whenever somebody asks for it. The same `requestId` with the same call gets the same operation again.
"""

import asyncio
import zlib
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from starlette.requests import Request

from holdfast.simcloud.gcp import filters
from holdfast.simcloud.gcp.envelopes import Row, WireError, not_found
from holdfast.simcloud.gcp.names import last, link, path, time, wire_id
from holdfast.simcloud.gcp.paging import page
from holdfast.simcloud.gcp.records import Machine, Operation, Waits
from holdfast.simcloud.model import Container, Instance
from holdfast.simcloud.sim import Rules, Sim

SYSTEM = "system"
_KEPT = timedelta(days=3)
_LOOK, _LOOKS = 0.05, 30  # seconds, and how often: not Google's two minutes, for Google may answer earlier
_NUMBER = 3  # which part of a name is the number
Error = dict[str, Any]
STATUS_WORDS: Final = {
    400: "BAD REQUEST",
    403: "FORBIDDEN",
    404: "NOT FOUND",
    409: "CONFLICT",
    429: "TOO MANY REQUESTS",
}


def begin(
    rules: Rules,
    kind: str,
    scope: str,
    target: str,
    target_id: int,
    *,
    call: "Call | None" = None,
    waits: Waits = Waits.NOTHING,
    errors: list[Error] | None = None,
    status: int | None = None,
    words: str | None = None,
) -> Operation:
    """Write an operation down. Without a caller it is the system's, and done."""
    now, number = rules.clock.now(), rules.store.next_id("operation", 1)
    takes = timedelta(seconds=rules.profile.operation.draw(Random(f"{rules.profile.seed}/{number}")))  # noqa: S311
    prefix = "systemevent" if call is None else "operation"
    operation = Operation(
        id=number,
        name=f"{prefix}-{int(now.timestamp() * 1000)}-{number:013x}-{number * 7919 & 0xFFFFFFFF:08x}",
        kind=kind,
        scope=scope,
        target=target,
        target_id=target_id,
        user=SYSTEM if call is None else call.user,
        words=words,
        request=None if call is None else call.request,
        call="" if call is None else call.told,
        inserted_at=now,
        starts_at=now if call is None else now + takes / 4,
        ready_at=now if call is None else now + takes,
        waits=waits,
        done_at=now if call is None else None,
        errors=errors or [],
        status=status,
        status_words=None if status is None else STATUS_WORDS.get(status, "SERVICE UNAVAILABLE"),
    )
    _forget_old(rules, now)
    rules.store.shelf(Operation).put(operation, owner=_owner(operation.request))
    return operation


def on(
    rules: Rules,
    kind: str,
    instance: Instance,
    call: "Call",
    *,
    waits: Waits = Waits.NOTHING,
    errors: list[Error] | None = None,
    status: int | None = None,
) -> Operation:
    """Write down what a call has started on a machine."""
    scope = f"zones/{Machine.model_validate(instance.notes).zone}"
    target = path(scope, "instances", instance.alias)
    return begin(rules, kind, scope, target, instance.id, call=call, waits=waits, errors=errors, status=status)


class Call:
    """Who called what, under which `requestId`."""

    def __init__(self, request: Request, user: str) -> None:
        """Raises WireError (400) when the id is no UUID."""
        self.user = user
        self.told = f"{request.method} {request.url.path}"
        self.request = request.query_params.get("requestId")
        if self.request is not None and (len(self.request) != 36 or not self.request.replace("-", "").strip("0")):
            words = f"Invalid value for field 'requestId': '{self.request}'. The request ID must be a valid UUID."
            raise WireError(400, "invalid", words)

    def before(self, rules: Rules) -> Operation | None:
        """The operation that the same call has started already. Raises WireError (400) for another call's id."""
        if self.request is None:
            return None
        for operation in rules.store.shelf(Operation).owned_by(_owner(self.request)):
            if operation.request == self.request and operation.call == self.told:
                return operation
            if operation.request == self.request:
                raise WireError(400, "invalid", f"The request ID {self.request} was used for another request")
        return None


async def show(sim: Sim, request: Request) -> Row:
    """One operation, as it stands."""
    return row(sim, _named(sim, request))


async def every(sim: Sim, request: Request) -> Row:
    """The operations of a zone, a region or the project; the newest last."""
    scope = scope_of(request)
    rows = [row(sim, one) for one in sim.store.shelf(Operation).all() if one.scope == scope]
    return page(request, "compute#operationList", path(scope, "operations"), filters.matching(request, rows))


async def wait(sim: Sim, request: Request) -> Row:
    """One operation when it is done, or after a while as it stands."""
    for _ in range(_LOOKS):
        operation = settled(sim, _named(sim, request))
        if operation.done_at is not None:
            break
        await asyncio.sleep(_LOOK)
    return row(sim, operation)


def settled(rules: Rules, operation: Operation) -> Operation:
    """The operation, done if there is nothing left that it waits for."""
    now = rules.clock.now()
    if operation.done_at is None and operation.ready_at <= now and _has_come(rules, operation):
        if operation.waits is Waits.RUNNING and rules.store.instance(operation.target_id) is None:
            words = f"The resource '{operation.target}' was deleted while it was being created"
            operation.errors = [{"code": "RESOURCE_OPERATION_CONFLICT", "message": words}]
            operation.status, operation.status_words = 409, STATUS_WORDS[409]
        operation.done_at = now
        rules.store.shelf(Operation).put(operation, owner=_owner(operation.request))
    return operation


def row(rules: Rules, operation: Operation) -> Row:
    """An operation as it is told."""
    operation, now = settled(rules, operation), rules.clock.now()
    done = operation.done_at is not None
    status = "DONE" if done else "RUNNING" if operation.starts_at <= now else "PENDING"
    found: Row = {
        "kind": "compute#operation",
        "id": wire_id(5_000_000_000 + operation.id),
        "name": operation.name,
        "operationType": operation.kind,
        "status": status,
        "progress": 100 if done else 0,
        "user": operation.user,
        "targetLink": link(operation.target),
        "targetId": wire_id(operation.target_id),
        "insertTime": time(operation.inserted_at),
        "selfLink": link(path(operation.scope, "operations", operation.name)),
    }
    place, _, name = operation.scope.partition("/")
    if name:
        found[place.removesuffix("s")] = link(path(operation.scope))
    optional: Row = {
        "clientOperationId": operation.request,
        "statusMessage": operation.words,
        "startTime": time(operation.starts_at) if status != "PENDING" else None,
        "endTime": None if operation.done_at is None else time(operation.done_at),
    }
    if done and operation.errors:
        optional |= {
            "httpErrorStatusCode": operation.status,
            "httpErrorMessage": operation.status_words,
            "error": {"errors": operation.errors},
        }
    return found | {name: value for name, value in optional.items() if value is not None}


def scope_of(request: Request) -> str:
    """Where a path looks: `zones/…`, `regions/…` or `global`."""
    for place in ("zone", "region"):
        if place in request.path_params:
            return f"{place}s/{request.path_params[place]}"
    return "global"


def _has_come(rules: Rules, operation: Operation) -> bool:
    if operation.errors or operation.waits is Waits.NOTHING:
        return True
    instance = rules.store.instance(operation.target_id)
    if instance is None or operation.waits is Waits.GONE:
        return instance is None
    if operation.waits is Waits.STOPPED:
        return not instance.granted
    return is_up(instance) or not instance.granted


def is_up(instance: Instance) -> bool:
    """Whether Google says that it runs. It says so of a machine whose system never comes up, too."""
    if instance.container is Container.RUNNING:
        return True
    hangs = instance.granted and instance.ready_at is None and instance.container is not Container.EXITED
    return hangs and Machine.model_validate(instance.notes).down_at is None


def _named(sim: Sim, request: Request) -> Operation:
    name, scope = last(request.path_params["operation"]), scope_of(request)
    parts = name.split("-")
    try:
        found = sim.store.shelf(Operation).get(int(parts[_NUMBER - 1], 16))
    except (ValueError, IndexError, OverflowError):
        found = None
    if found is None or found.name != name or found.scope != scope:
        raise not_found(path(scope, "operations", name))
    return found


def _owner(request: str | None) -> int:
    """Under which number an operation is filed, so that a repeated request finds it."""
    return zlib.crc32((request or "").encode())


def _forget_old(rules: Rules, now: datetime) -> None:
    shelf = rules.store.shelf(Operation)
    for operation in shelf.all():
        if operation.inserted_at + _KEPT > now:
            return
        shelf.remove(operation.id)
