"""The other side of the gateway's contract, in this process: what the `endpoint` workflow would keep and answer."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import monotonic

from holdfast.contracts.endpoints import (
    DoorSpec,
    EndpointCard,
    EndpointPhase,
    IdleNotice,
    Pass,
    Route,
    WakeRequest,
    replica_name,
)
from holdfast.contracts.machines import Lease, SshAddress, Terms
from holdfast.workers.gateway.doorkeeper import Away

TOKEN = "hf-a-token-of-chat"
PATIENCE = 20.0


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition without ever waiting longer than needed."""
    give_up = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < give_up, "waited in vain"
        await asyncio.sleep(0.01)


def card(
    name: str = "chat",
    *,
    tokens: tuple[str, ...] = (TOKEN,),
    models: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    **door: object,
) -> EndpointCard:
    return EndpointCard(
        name=name,
        models=models,
        token_hashes=tuple(hashlib.sha256(token.encode()).hexdigest() for token in tokens),
        door=DoorSpec.model_validate({"open": False} | door),
        aliases=aliases,
    )


def route(port: int, number: int = 0, *, epoch: int = 1, ssh: SshAddress | None = None, host_key: str = "") -> Route:
    name = replica_name("chat", number)
    lease = Lease(
        workload=name,
        epoch=epoch,
        label=f"{name}.e{epoch}",
        provider="test",
        instance_id="1",
        machine_id="1",
        gpu="none",
        gpu_count=0,
        terms=Terms.ON_DEMAND,
        hourly=Decimal(0),
        since=datetime(2026, 1, 1, tzinfo=UTC),
        ssh=ssh,
        host_key=host_key,
    )
    return Route(replica=name, lease=lease, port=port)


@dataclass
class Desk:
    """One endpoint's workflow and the directory. It answers `wake` once it is `awake`, or with no routes if told so."""

    directory: list[EndpointCard] = field(default_factory=lambda: [card()])
    routes: tuple[Route, ...] = ()
    room: int | None = None
    valid_for: timedelta = timedelta(minutes=5)
    away: str = ""  # why nobody answers
    reason: str = ""
    refused: bool = False
    phase: EndpointPhase = EndpointPhase.READY
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[WakeRequest] = field(default_factory=list)
    notices: list[IdleNotice] = field(default_factory=list)
    passes: dict[str, Pass] = field(default_factory=dict)  # that gateways hold
    readings: int = 0

    def __post_init__(self) -> None:
        self.awake.set()

    async def cards(self) -> tuple[EndpointCard, ...]:
        self.readings += 1
        if self.away:
            raise Away(self.away)
        return tuple(self.directory)

    async def wake(self, endpoint: str, request: WakeRequest) -> Pass:
        self.asked.append(request)
        await self.awake.wait()
        if self.away:
            raise Away(self.away)
        routes = tuple(each for each in self.routes if each.lease.label not in request.broken)
        given = Pass(
            phase=self.phase,
            reason=self.reason,
            routes=routes,
            refused=self.refused,
            room=self.room,
            valid_for=self.valid_for,
        )
        self.passes[request.gateway] = given
        return given

    async def idle(self, endpoint: str, notice: IdleNotice) -> None:
        if self.away:
            raise Away(self.away)
        self.notices.append(notice)
        self.passes.pop(notice.gateway, None)

    def set_door(self, **door: object) -> None:
        """Other limits for the first endpoint of the directory."""
        first, *others = self.directory
        self.directory = [replace(first, door=DoorSpec.model_validate(first.door.model_dump() | door)), *others]
