"""How long the first caller of an endpoint that sleeps waits, by what it wakes from: `serverless.py --wakes`.

An endpoint serves `examples/serverless`, with random bytes beside it, on the simulated market. It is put to sleep and
called through the gateway, again and again. What the caller waited is taken at the caller; where that time went, from
the record of wakes.

- **cold**: an endpoint that was never called; its files come from the store.
- **stop**: its machine was stopped, and is started again.
- **checkpoint**: its machine was let go; another one is rented, and the checkpoint restored.
- **failover**: it was awake, and its machine is outbid the moment before the call.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from failover import BOOTS, PROFILE
from recoveries import quantile
from stack import running_stack, say

from holdfast.cli import words
from holdfast.cli.demo.serverless.stage import WEIGHTS, load_model
from holdfast.cli.demo.stage import find_example
from holdfast.client import Holdfast
from holdfast.client.specs import read_endpoint_spec
from holdfast.contracts.endpoints import EndpointPhase, EndpointSpec, Wake, WakePhases, WokenFrom, replica_name
from holdfast.contracts.spec import PauseMode
from holdfast.embedded import MARKET_FOLDER
from holdfast.settings import load_settings
from holdfast.simcloud.control import SimControl
from holdfast.workers.stack.commands import status

MODES = tuple(each.value for each in WokenFrom)
LOOK_EVERY = 0.2
REST = 6.0  # seconds between two wakes: the provider lets nobody rent more often than every 4.5 s
PATIENCE = 300.0  # seconds for one wake, or whatever else is waited for
PHASES = tuple(each.name for each in fields(WakePhases))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One wake."""

    boots: str
    mode: str
    waited: float  # seconds, by the caller
    took: float  # seconds, by the record
    phases: dict[str, float]  # seconds

    def ours(self) -> float:
        """What is neither the machine's boot nor the loading of what it serves."""
        return self.waited - self.phases["boot"] - self.phases["load"]


def measure(boots: Sequence[str], modes: Sequence[str], *, size: int, rounds: int, seed: int) -> list[Measured]:
    found: list[Measured] = []
    for kind in boots:
        with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
            home = Path(folder)
            profile = home / "profile.yaml"
            profile.write_text(PROFILE.format(seed=seed, boot=BOOTS[kind]))
            with running_stack(home, profile, gateway=True):
                found += asyncio.run(_measure(home, kind, modes, size=size, rounds=rounds))
    return found


async def _measure(home: Path, boots: str, modes: Sequence[str], *, size: int, rounds: int) -> list[Measured]:
    workdir = _plant(home / "work", size)
    found = []
    async with (
        Holdfast.connect(load_settings(data_dir=home)) as holdfast,
        httpx.AsyncClient(base_url=status(home).addresses["Gateway"], timeout=PATIENCE, trust_env=False) as http,
    ):
        with SimControl.of_data_dir(home / MARKET_FOLDER) as market:
            bench = Bench(holdfast, http, market, workdir)
            for mode in modes:
                async for waited, wake in bench.wakes(mode, rounds):
                    found.append(_measured(boots, mode, waited, wake))
                    say(f"{boots} boots, {mode}: the caller waited {waited:.1f} s")
    return found


class Bench:
    """One stack, on which one way to wake after the other is measured."""

    def __init__(self, holdfast: Holdfast, http: httpx.AsyncClient, market: SimControl, workdir: Path) -> None:
        self._holdfast = holdfast
        self._http = http
        self._market = market
        self._workdir = workdir

    async def wakes(self, mode: str, rounds: int) -> AsyncIterator[tuple[float, Wake]]:
        """Each with what its caller waited, in seconds."""
        if mode == WokenFrom.COLD:
            for number in range(rounds):
                async with self._endpoint(f"cold-{number}", mode) as name:
                    yield await self._called(name), await self._newest(name, mode, 1)
                await asyncio.sleep(REST)
            return
        async with self._endpoint(mode, mode) as name:
            await self._called(name)
            for number in range(rounds):
                await self._recorded(name, number + 1)
                await self._bring_down(name, mode)
                yield await self._called(name), await self._newest(name, mode, number + 2)

    async def _bring_down(self, name: str, mode: str) -> None:
        if mode == WokenFrom.FAILOVER:
            await asyncio.sleep(REST)
            # A rival who stayed for good would leave the market empty in the end.
            await asyncio.to_thread(self._market.outbid, replica_name(name, 0), lasting=timedelta(seconds=30))
            return
        await self._holdfast.endpoints.sleep(name)
        await _until(lambda: self._is_paused(name), f"{name} sleeps")
        await asyncio.sleep(REST)

    async def _is_paused(self, name: str) -> bool:
        return (await self._holdfast.endpoints.status(name)).phase is EndpointPhase.PAUSED

    async def _called(self, name: str) -> float:
        began = time.monotonic()
        answer = await self._http.get(f"/{name}/stats")
        if answer.status_code != httpx.codes.OK:
            raise SystemExit(f"{name} answered {answer.status_code}: {answer.text}")
        return time.monotonic() - began

    async def _newest(self, name: str, mode: str, count: int) -> Wake:
        """The wake of this number, once it is on record; it must have been of the kind that is measured."""
        await self._recorded(name, count)
        wake = (await self._holdfast.endpoints.wakes(name))[-1]
        if wake.woken_from != mode:
            raise SystemExit(f"{name} woke from {wake.woken_from}, not from {mode}")
        return wake

    async def _recorded(self, name: str, count: int) -> None:
        async def all_are() -> bool:
            return len(await self._holdfast.endpoints.wakes(name)) >= count

        await _until(all_are, f"{words.count(count, 'wake')} of {name} are on record")

    @asynccontextmanager
    async def _endpoint(self, name: str, mode: str) -> AsyncIterator[str]:
        """The gateway knows it; afterwards nothing of it is left."""
        await self._holdfast.endpoints.deploy(_spec(name, mode), workdir=self._workdir)
        await _until(lambda: self._is_known(name), f"the gateway knows {name}")
        yield name
        await self._holdfast.endpoints.remove(name)
        await self._holdfast.endpoints.ended(name)

    async def _is_known(self, name: str) -> bool:
        """Asking for the list of models wakes nobody."""
        answer = await self._http.get("/v1/models")
        return answer.is_success and any(each["id"] == name for each in answer.json()["data"])


async def _until(reached: Callable[[], Awaitable[bool]], what: str) -> None:
    given_up = time.monotonic() + PATIENCE
    while not await reached():
        if time.monotonic() > given_up:
            raise SystemExit(f"still waiting until {what}")
        await asyncio.sleep(LOOK_EVERY)


def _spec(name: str, mode: str) -> EndpointSpec:
    """The example, open to all callers; it sleeps when it is told to, and not before."""
    spec = read_endpoint_spec((find_example("serverless") / "endpoint.yaml").read_text())
    pause = PauseMode.CHECKPOINT if mode == WokenFrom.CHECKPOINT else PauseMode.STOP
    workload = spec.workload.model_copy(update={"name": replica_name(name, 0), "command": "exec python3 server.py"})
    return spec.model_copy(
        update={
            "name": name,
            "workload": workload,
            "sleep": spec.sleep.model_copy(update={"mode": pause, "after": timedelta(hours=1)}),
            "door": spec.door.model_copy(update={"open": True}),
        }
    )


def _plant(folder: Path, size: int) -> Path:
    shutil.copytree(find_example("serverless"), folder, ignore=shutil.ignore_patterns("__pycache__", WEIGHTS))
    (folder / WEIGHTS).write_bytes(load_model(folder / "model.py").draw_weights(1).tobytes())
    (folder / "random.bin").write_bytes(os.urandom(size))
    return folder


def _measured(boots: str, mode: str, waited: float, wake: Wake) -> Measured:
    phases = {name: getattr(wake.phases, name).total_seconds() for name in PHASES}
    took = (wake.ready_at - wake.asked_at).total_seconds()
    return Measured(boots=boots, mode=mode, waited=waited, took=took, phases=phases)


def show(found: Sequence[Measured], size: int) -> None:
    """Medians of the phases; `waited` is the caller's, `ours` is that without boot and load."""
    for boots in dict.fromkeys(each.boots for each in found):
        print(f"{size / 1e6:g} MB of files, {boots} boots, seconds; phases are medians")
        heads = ("wakes", "waited p50", "p95", "ours p50", "p95", *(name.replace("_", " ") for name in PHASES))
        print(f"{'woken from':>12}" + "".join(f"{head:>11}" for head in heads))
        for mode in dict.fromkeys(each.mode for each in found):
            those = [each for each in found if (each.boots, each.mode) == (boots, mode)]
            waited, ours = [each.waited for each in those], [each.ours() for each in those]
            cells = [quantile(values, share) for values in (waited, ours) for share in (0.5, 0.95)]
            cells += [quantile([each.phases[name] for each in those], 0.5) for name in PHASES]
            print(f"{mode:>12}{len(those):11}" + "".join(f"{cell:11.2f}" for cell in cells))


def as_json(found: Sequence[Measured]) -> list[dict[str, Any]]:
    return [asdict(each) | {"ours": each.ours()} for each in found]
