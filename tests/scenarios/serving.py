"""One endpoint's story on the stage: its callers, who go through the gateway, and what must hold in the end."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from holdfast.client.holdfast import Holdfast
from holdfast.contracts.endpoints import EndpointPhase, EndpointSpec, EndpointStatus, replica_name
from holdfast.contracts.workload import Phase
from holdfast.simcloud.control import SimControl
from tests.scenarios.looking import look_until
from tests.scenarios.stage import PATIENCE, Stage, eventually
from tests.scenarios.witness import Witness

REPLICA = Path(__file__).parent / "replica"
COMMAND = "exec python3 serve.py"


def serving(name: str, *, command: str = COMMAND, work: dict[str, Any] | None = None, **changes: Any) -> EndpointSpec:
    """An endpoint that sleeps a second after its last call, as far as its gateways let it."""
    workload = {
        "command": command,
        "resources": {"gpu": "H100 SXM", "terms": "interruptible", "disk_gb": 10},
        "price": {"max_hourly": "0.60"},
        "providers": ["vast"],
        "checkpoint": {"every": "1h"},
        "failover": {"silence": "2s", "boot_timeout": "30s"},
        "stop_grace": "1s",
    }
    return EndpointSpec.model_validate(
        {
            "name": name,
            "workload": workload | (work or {}),
            "sleep": {"after": "1s", "least": "0s"},
            "door": {"wait": f"{PATIENCE:g}s"},
        }
        | changes
    )


class Stream:
    """An event stream that is being read."""

    def __init__(self, response: httpx.Response) -> None:
        self.pieces: list[dict[str, Any]] = []
        self.done = False  # it said so itself
        self._lines = response.aiter_lines()

    async def piece(self) -> dict[str, Any]:
        """The next one."""
        async for line in self._lines:
            if line.startswith("data: {"):
                self.pieces.append(json.loads(line.removeprefix("data: ")))
                return self.pieces[-1]
            self.done = self.done or line == "data: [DONE]"
        raise EOFError

    async def to_its_end(self) -> None:
        """Raises what httpx raises when it breaks off."""
        try:
            while True:
                await self.piece()
        except EOFError:
            return


@dataclass
class Served:
    """An endpoint of its own on a stage that is shared."""

    spec: EndpointSpec
    stage: Stage
    holdfast: Holdfast
    witness: Witness
    token: str = ""

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def replica(self) -> str:
        """The workload that is its first replica."""
        return replica_name(self.name, 0)

    @property
    def market(self) -> SimControl:
        return self.stage.market

    async def begins(self) -> None:
        deployed = await self.holdfast.endpoints.deploy(self.spec, workdir=REPLICA)
        self.token = deployed.token
        await asyncio.to_thread(eventually, lambda: self.is_known_to(self.stage.gateway), "the gateway knows it")

    def is_known_to(self, gateway: str) -> bool:
        """Who shows no token wakes nobody, and hears that he needs one."""
        try:
            return httpx.get(f"{gateway}/{self.name}/").status_code == httpx.codes.UNAUTHORIZED
        except httpx.TransportError:
            return False

    async def status(self) -> EndpointStatus:
        return await self.holdfast.endpoints.status(self.name)

    async def comes_to(self, reached: Callable[[EndpointStatus], bool], what: str) -> EndpointStatus:
        """Wait until the status is so. Servers may be down meanwhile: then nobody knows, and we look again."""
        return await look_until(self.status, reached, f"{self.name}: {what}", within=PATIENCE)

    async def sleeps(self) -> EndpointStatus:
        """Wait until it does, all of it."""
        return await self.comes_to(
            lambda status: (
                status.phase is EndpointPhase.PAUSED and all(each.phase is Phase.PAUSED for each in status.replicas)
            ),
            "it sleeps",
        )

    async def replica_is(self, phase: Phase) -> EndpointStatus:
        """Wait until its first replica says so."""
        return await self.comes_to(lambda status: status.replicas[0].phase is phase, f"its replica is {phase}")

    # Callers

    @asynccontextmanager
    async def caller(self, *, gateway: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """Somebody with the token."""
        base = f"{gateway or self.stage.gateway}/{self.name}"
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=2 * PATIENCE) as client:
            yield client

    async def asks(self, said: str = "hello", *, path: str = "/echo", gateway: str | None = None) -> httpx.Response:
        async with self.caller(gateway=gateway) as client:
            return await client.post(path, content=said)

    async def tells(self, said: str = "hello", *, path: str = "/echo", gateway: str | None = None) -> dict[str, Any]:
        """The answer, which must be one of a replica."""
        answer = await self.asks(said, path=path, gateway=gateway)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    @asynccontextmanager
    async def streams(self, pieces: int, *, gateway: str | None = None) -> AsyncIterator[Stream]:
        """A stream, a tenth of a second for each piece."""
        async with self.caller(gateway=gateway) as client, client.stream("GET", f"/stream?pieces={pieces}") as answer:
            assert answer.status_code == 200, await answer.aread()
            yield Stream(answer)

    # What must hold in the end

    async def is_over(self) -> None:
        """Removed, it leaves nothing on the market's own bill; and no replica ever ran twice at a time."""
        await self.holdfast.endpoints.remove(self.name)
        await self.holdfast.endpoints.ended(self.name)
        await self.leaves_no_machine()
        for number in range(self.spec.scale.maximum):
            assert self.witness.doubles(replica_name(self.name, number)) == []

    async def leaves_no_machine(self) -> None:
        """By the market's own books."""
        await asyncio.to_thread(eventually, lambda: not self.alive(), f"{self.name} has no machine any more")
        assert all(line["until"] is not None for line in self.bill())

    def alive(self) -> list[dict[str, Any]]:
        """Our machines that the market still has."""
        return [each for each in self.market.instances() if self._is_ours(each["label"])]

    def bill(self) -> list[dict[str, Any]]:
        """The market's lines for our machines, oldest first."""
        return [each for each in self.market.bill()["lines"] if self._is_ours(each["label"])]

    def _is_ours(self, label: str | None) -> bool:
        return (label or "").startswith(f"{self.name}-r")
