"""A place for stories about money: a server, and lanes with a market, records and a crew that may be killed, each."""

import asyncio
import multiprocessing
import shutil
import signal
import sys
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from holdfast.client.payloads import PAYLOADS
from holdfast.contracts import names
from holdfast.contracts.machines import LaunchOrder, Requirements
from holdfast.contracts.money import CostLine, Scope, SetBudgetInput, Span, StandingsInput
from holdfast.contracts.spec import CheckpointSpec, FailoverSpec, PriceSpec, ResourcesSpec, WorkloadSpec
from holdfast.contracts.sweeping import SweepInput, SweepResult
from holdfast.contracts.workload import WorkloadInput, WorkloadStatus
from holdfast.providers.vast.config import VastConfig
from holdfast.providers.vast.driver import connect
from holdfast.records.schema import migrate
from holdfast.records.store import Records
from holdfast.simcloud.control import SimControl
from tests.chaos.money.crew import GLANCE, Crew, settings_of, without_a_death, work
from tests.scenarios.stage import slots
from tests.simmarket import RunningMarket, run_market
from tests.temporal_servers import started
from tests.workflows.conftest import DYNAMIC_CONFIG

PATIENCE = 600.0  # seconds for a story to end once nothing fails any more; far more than a slow machine takes
SWEEPS = 20  # in which every orphan must have been found and ended
GRACE = timedelta(milliseconds=300)
A_WHILE = timedelta(seconds=4)
"""So long a rival stays: the market must not run out of machines, or later stories would prove nothing."""
FOREIGN = ("somebody else's", "", "w0.e1.zzzz")  # the last is another installation's
_ROUNDED = 1.1
"""Seconds at a machine's price that the bill may be above our meter for each of its periods: it rounds them up."""
_LEARNT = 20
"""Seconds that our meter may be above the bill: a crew that was killed learns late that a machine is gone."""


@dataclass
class Lane:
    """One market and one crew; one story at a time."""

    client: Client
    market: RunningMarket
    control: SimControl
    crew: Crew
    context: ForkServerContext
    records: Records
    foreign: set[int] = field(default_factory=set)
    overdrawn: set[str] = field(default_factory=set)
    process: ForkServerProcess | None = None

    # The crew

    def begin(self, *, dies_at: str = "", blind: bool = False) -> None:
        self.crew = replace(self.crew, dies_at=dies_at, blind=blind)
        self.crew.notes.unlink(missing_ok=True)
        self._start(self.crew)

    def go_on(self) -> bool:
        """Replace the crew if it has died; whether it had."""
        if self.process is None or self.process.is_alive():
            return False
        assert self.process.exitcode == -signal.SIGKILL, "the crew died by itself; its error is above"
        self._start(without_a_death(self.crew))
        return True

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()

    def passed(self) -> list[str]:
        """Every boundary that the crew came to, in order."""
        return self.crew.notes.read_text().splitlines()

    def _start(self, crew: Crew) -> None:
        self.process = self.context.Process(target=work, args=(crew,), daemon=True)
        self.process.start()

    # Workloads

    async def run(self, name: str, *, seconds: float, tenant: str = "default") -> WorkflowHandle[Any, Any]:
        """A workload whose work takes so long on a machine that is not taken away."""
        spec = WorkloadSpec(
            name=name,
            tenant=tenant,
            command=str(seconds),
            price=PriceSpec(max_hourly=Decimal(1)),
            resources=ResourcesSpec(gpu="RTX 4090"),
            checkpoint=CheckpointSpec(every=timedelta(hours=1)),
            failover=FailoverSpec(silence=timedelta(seconds=2), boot_timeout=timedelta(seconds=20)),
            stop_grace=timedelta(seconds=1),
        )
        return await self.client.start_workflow(
            names.WORKLOAD,
            WorkloadInput(spec=spec, workdir=None),
            id=names.workload_id(name),
            task_queue=names.CONTROL_QUEUE,
            task_timeout=timedelta(seconds=3),
        )

    async def status(self, handle: WorkflowHandle[Any, Any]) -> WorkloadStatus | None:
        """None while nobody can tell."""
        with suppress(RPCError, WorkflowFailureError):
            return await handle.query("status", result_type=WorkloadStatus, rpc_timeout=timedelta(seconds=2))
        return None

    async def ends(self, handle: WorkflowHandle[Any, Any]) -> str:
        """Wait for the end of a workload, with a crew that lives; why it does not come, or ""."""
        waiting = asyncio.create_task(_outcome(handle))
        try:
            async with asyncio.timeout(PATIENCE):
                while not waiting.done():
                    self.go_on()
                    await asyncio.wait([waiting], timeout=0.1)
            return ""
        except TimeoutError:
            status = await self.status(handle)
            return f"it does not end: {status.phase}, {status.reason}" if status else "it does not end, nor answer"
        finally:
            waiting.cancel()

    # Money

    def limit(self, tenant: str, usd: Decimal) -> None:
        """What all workloads of a tenant may cost together."""
        limit = SetBudgetInput(scope=Scope.TENANT, name=tenant, span=Span.TOTAL, amount=usd)
        self.records.set_budget(limit)

    @asynccontextmanager
    async def audited(self, tenant: str) -> AsyncIterator[None]:
        """Look again and again whether more is promised than there is."""
        watching = asyncio.create_task(self._audit(tenant))
        try:
            yield
        finally:
            watching.cancel()

    async def _audit(self, tenant: str) -> None:
        while True:
            for each in await asyncio.to_thread(self.records.standings, StandingsInput(tenant=tenant)):
                if each.left < 0:
                    self.overdrawn.add(f"{tenant} may spend {each.budget.amount}, and {-each.left} more is promised")
            await asyncio.sleep(0.1)

    def _miscounted(self, workloads: list[str]) -> list[str]:
        """Our cost lines beside the market's bill."""
        lines = {line.label: line for line in _pages(self.records) if line.workload in workloads}
        found = [f"the cost line of {line.label} is left open" for line in lines.values() if line.closed_at is None]
        for billed in self.control.bill()["lines"]:
            if _workload(billed["label"]) not in workloads:
                continue
            ours = lines.get(billed["label"])
            if ours is None:
                found.append(f"no cost line for {billed['label']}")
            elif not -_ROUNDED * len(billed["periods"]) <= _apart(ours, billed) <= _LEARNT:
                found.append(f"{ours.label} cost {ours.cost} by our meter and {billed['total']} by the bill: {billed}")
        return found

    # What must hold

    async def sweep(self) -> SweepResult:
        result: SweepResult = await self.client.execute_workflow(
            names.SWEEP,
            SweepInput(provider="vast", grace=GRACE),
            id=f"sweep/{uuid.uuid4().hex}",
            task_queue=names.CONTROL_QUEUE,
            result_type=SweepResult,
            task_timeout=timedelta(seconds=3),
            execution_timeout=timedelta(seconds=PATIENCE),
        )
        return result

    async def wrongs(self, workloads: list[str], *, twice: bool = False) -> list[str]:
        """What the market's own books say against us, when nothing fails any more and the sweeps have had their time.

        `twice`: the market was made to carry out an order twice, and that is for the sweep to find.
        """
        found = (
            [] if twice else [f"left to the sweep: {each['label']} ({each['id']})" for each in self._ours(workloads)]
        )
        for _ in range(SWEEPS):
            self.go_on()
            if not self._ours(workloads):
                break
            await self.sweep()
            await asyncio.sleep(GRACE.total_seconds())
        found += [f"orphan {each['label']} ({each['id']}, {each['state']})" for each in self._ours(workloads)]
        alive = {each["id"] for each in self.control.instances()}
        found += [f"a foreign machine was ended: {each}" for each in sorted(self.foreign - alive)]
        found += sorted(self.overdrawn)
        if not twice:  # the second machine of an order has no cost line of its own, and its label has two on the bill
            found += self._doubles(workloads) + self._miscounted(workloads)
        return found

    def _ours(self, workloads: list[str]) -> list[dict[str, Any]]:
        return [each for each in self.control.instances() if _workload(each["label"]) in workloads]

    def _doubles(self, workloads: list[str]) -> list[str]:
        """Labels under which two machines existed at once."""
        lives = defaultdict(list)
        for line in self.control.bill()["lines"]:
            if _workload(line["label"]) in workloads:
                lives[line["label"]].append((line["from"], line["until"] or "9"))
        return [
            f"two machines at once under {label}"
            for label, spans in lives.items()
            for (_, ended), (began, _) in zip(sorted(spans), sorted(spans)[1:], strict=False)
            if began < ended
        ]

    # Making and unmaking

    async def plant_foreign(self) -> None:
        """Machines of the same account that are nobody's business."""
        provider = connect(VastConfig.of(settings_of(self.crew).providers["vast"]))
        offers = await provider.search_offers(Requirements(gpu="RTX 4090"))
        for offer, label in zip(offers[-len(FOREIGN) :], FOREIGN, strict=True):
            order = LaunchOrder(offer=offer, label=label, image="x", disk_gb=10, ssh_public_key=_KEY)
            launched = await provider.launch(order)
            assert launched.instance is not None
            self.foreign.add(int(launched.instance.instance_id))
        await provider.close()

    def stand_by(self) -> None:
        """Have a crew that lives; the one of the last story will do."""
        if self.process is None or not self.process.is_alive():
            self.begin()

    def clear(self, *, keep_crew: bool = False) -> None:
        """Nothing of the last story is left: not its faults nor its machines, nor its crew unless that is kept."""
        if not keep_crew:
            self.kill()
        self.overdrawn.clear()
        self.control.clear_faults()
        self.control.set_listing_lag(timedelta(0))
        for each in self.control.instances():
            if each["id"] not in self.foreign:
                self.control.destroy(each["id"])


_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDu1fUDgHGXQdUpu9X8qvY2XWnUeYyNUsLsrjcFTTcTt nobody"


@asynccontextmanager
async def a_yard(
    folder: Path,
    lanes: int,
    *,
    machines: Sequence[dict[str, Any]] = slots("RTX 4090", 12, first_machine=100),
    glance: float = GLANCE,
    patient: bool = False,
) -> AsyncIterator["asyncio.Queue[Lane]"]:
    """So many lanes, to be taken and put back, each with those machines on its market."""
    binary = Path(sys.executable).parent / "temporal"
    flags = [flag for value in DYNAMIC_CONFIG[:-1] for flag in ("--dynamic-config-value", value)]
    numbers = [f"lane-{number}" for number in range(lanes)]
    flags += [flag for name in numbers for flag in ("--namespace", name)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__])
    async with await started(
        lambda: WorkflowEnvironment.start_local(
            dev_server_existing_path=str(binary) if binary.exists() else shutil.which("temporal"),
            dev_server_log_level="error",
            data_converter=PAYLOADS,
            search_attributes=list(names.SEARCH_ATTRIBUTES),
            dev_server_extra_args=flags,
        )
    ) as environment:
        address = environment.client.service_client.config.target_host
        free: asyncio.Queue[Lane] = asyncio.Queue()
        with ExitStack() as stack:
            for name in numbers:
                market = run_market(folder / name, hosts=False, credit=100_000, slots=list(machines))
                lane = await _open(folder / name, name, address, context, stack.enter_context(market))
                lane.crew = replace(lane.crew, glance=glance, patient=patient)
                stack.callback(lane.control.close)
                stack.callback(lane.records.close)
                stack.callback(lane.kill)
                free.put_nowait(lane)
            yield free


async def _open(folder: Path, name: str, address: str, context: ForkServerContext, market: RunningMarket) -> Lane:
    home = folder / "home"
    home.mkdir()
    migrate(f"sqlite:///{home / 'records.db'}")
    token = (market.data_dir / "control.token").read_text().strip()
    crew = Crew(
        address=address,
        namespace=name,
        home=home,
        market_url=market.base_url,
        market_key=market.api_key,
        control_token=token,
        notes=folder / "passed",
    )
    client = await Client.connect(address, namespace=name, data_converter=PAYLOADS)
    records = Records.open(f"sqlite:///{home / 'records.db'}")
    lane = Lane(client, market, market.control, crew, context, records)
    await lane.plant_foreign()
    return lane


@asynccontextmanager
async def a_lane(free: "asyncio.Queue[Lane]", *, keep_crew: bool = False) -> AsyncIterator[Lane]:
    lane = await free.get()
    try:
        yield lane
    finally:
        lane.clear(keep_crew=keep_crew)
        free.put_nowait(lane)


async def _outcome(handle: WorkflowHandle[Any, Any]) -> None:
    while True:
        try:
            await handle.result(rpc_timeout=timedelta(seconds=30))
        except WorkflowFailureError:
            return
        except RPCError:
            await asyncio.sleep(0.1)
        else:
            return


def _pages(records: Records) -> Iterator[CostLine]:
    after = ""
    while True:
        page = records.costs_after(after)
        yield from page.lines
        if not (after := page.last):
            return


def _apart(ours: CostLine, billed: dict[str, Any]) -> float:
    """By how much our meter is above the bill, in seconds of the machine's price."""
    return float((ours.cost - Decimal(billed["total"])) / ours.hourly * 3600)


def _workload(label: str | None) -> str:
    parsed = names.parse_label(label or "")
    return parsed[0] if parsed else ""
