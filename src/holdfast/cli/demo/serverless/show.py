"""Endpoints that sleep while nobody calls: deployed, called through the gateway, and billed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from holdfast.cli import console, words
from holdfast.cli.commands.endpoint import tell_wakes
from holdfast.cli.demo.findings import DemoFailed, Finding, nothing_left
from holdfast.cli.demo.serverless.bill import show_bill
from holdfast.cli.demo.serverless.calls import PATIENCE, Caller
from holdfast.cli.demo.serverless.stage import Stage, set_stage
from holdfast.cli.demo.serverless.story import Story
from holdfast.cli.demo.telling import Teller, web_ui
from holdfast.client.errors import HoldfastError
from holdfast.client.holdfast import Holdfast
from holdfast.contracts.endpoints import EndpointSpec, replica_name
from holdfast.contracts.spec import PauseMode
from holdfast.settings import load_settings

PLAYED_WITHIN = timedelta(minutes=5)
GONE_WITHIN = timedelta(minutes=1)
LOOK_EVERY = 0.5


async def show(home: Path) -> list[Finding]:
    """Play every scene; what was found, up to the scene that broke off."""
    with set_stage(home) as stage:
        async with Holdfast.connect(load_settings(data_dir=home)) as holdfast:
            findings: list[Finding] = []
            try:
                async with asyncio.timeout(PLAYED_WITHIN.total_seconds()):
                    await _play(holdfast, stage, findings)
            except (DemoFailed, HoldfastError, httpx.HTTPError, TimeoutError) as err:
                findings.append(Finding("the play comes to its end", False, str(err) or type(err).__name__))
            await _remove(holdfast, stage)
            _where_to_look(home, stage)
            findings.append(await asyncio.to_thread(nothing_left, stage.market))
            return findings


def _where_to_look(home: Path, stage: Stage) -> None:
    console.answer(f"\nThe same story in the Temporal Web UI: {web_ui(home)}/namespaces/default/workflows")
    console.answer(f"(endpoint/{stage.stopping.name}, endpoint/{stage.leaving.name}; --keep leaves it running)")


async def _play(holdfast: Holdfast, stage: Stage, findings: list[Finding]) -> None:
    """Findings are added as they are made, so that a play that breaks off keeps those before."""
    async with _http(stage) as http, _telling(holdfast, stage):
        callers: dict[str, Caller] = {}
        deployed: dict[str, datetime] = {}
        for spec in (stage.stopping, stage.leaving):
            made = await holdfast.endpoints.deploy(spec, workdir=stage.workdir)
            deployed[spec.name] = datetime.now(UTC)
            callers[spec.name] = Caller(http, spec.name, made.token)
            console.say(f"{spec.name} is deployed; {_how_it_sleeps(spec)}")
        for caller in callers.values():
            await caller.is_known()
        for scene in Story(holdfast, stage, callers, console.say).scenes():
            found = await scene()
            findings.append(found)
    console.answer("")
    tell_wakes([wake for name in deployed for wake in await holdfast.endpoints.wakes(name)])
    console.answer("")
    findings.append(await show_bill(holdfast, deployed))


def _how_it_sleeps(spec: EndpointSpec) -> str:
    how = "its machine is stopped" if spec.sleep.mode is PauseMode.STOP else "its machine is let go"
    return f"after {words.duration(spec.sleep.after)} without calls {how}"


def _http(stage: Stage) -> httpx.AsyncClient:
    crowd = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(base_url=stage.gateway, timeout=PATIENCE, limits=crowd, trust_env=False)


@asynccontextmanager
async def _telling(holdfast: Holdfast, stage: Stage) -> AsyncIterator[None]:
    """Meanwhile, each line of the replicas' timelines."""
    names = [replica_name(spec.name, 0) for spec in (stage.stopping, stage.leaving)]
    tellers = [asyncio.create_task(_tell(holdfast, name)) for name in names]
    try:
        yield
    finally:
        for each in tellers:
            each.cancel()
        await asyncio.gather(*tellers, return_exceptions=True)


async def _tell(holdfast: Holdfast, name: str) -> None:
    teller = Teller(console.say, of=name)
    while True:
        with suppress(HoldfastError):  # before the first call there is no such workload
            teller.tell(await holdfast.timeline(name))
        await asyncio.sleep(LOOK_EVERY)


async def _remove(holdfast: Holdfast, stage: Stage) -> None:
    """Whatever became of the play, nothing of it is left; what cannot be removed is found by the market's books."""
    with suppress(TimeoutError):
        async with asyncio.timeout(GONE_WITHIN.total_seconds()):
            for spec in (stage.stopping, stage.leaving):
                with suppress(HoldfastError):
                    await holdfast.endpoints.remove(spec.name)
                    await holdfast.endpoints.ended(spec.name)
