"""The stage that all stories share, and what is shown of it when one fails."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from holdfast.client.holdfast import Holdfast
from tests.scenarios.jobs import Job, counting
from tests.scenarios.serving import Served, serving
from tests.scenarios.stage import Stage, run_stage, slots
from tests.scenarios.story import Story, Undisturbed, training
from tests.scenarios.witness import Witness

# One kind of GPU for each story that spoils machines, and plenty of one kind for the rest.
MARKET = [
    *slots("RTX 4090", 24, first_machine=100),
    *slots("RTX 3090", 1, first_machine=200, flaw="never_boots"),
    *slots("RTX 3090", 2, first_machine=210, price=0.40, bid=0.30),
    *slots("RTX 5090", 1, first_machine=300, flaw="wrong_gpu"),
    *slots("RTX 5090", 2, first_machine=310, price=0.40, bid=0.30),
    *slots("RTX A6000", 3, first_machine=400),
    *slots("L40S", 2, first_machine=500),
    *slots("A100 SXM4", 1, first_machine=600),
    *slots("A100 SXM4", 1, first_machine=610, region="Canada, CA", price=0.40, bid=0.30),
    *slots("RTX 4090", 2, first_machine=150, region="Iceland, IS", price=0.58, bid=0.50),  # dear, for one story
    *slots("H100 SXM", 24, first_machine=700),  # for endpoints
]

Tell = Callable[..., Story]
Serve = Callable[..., Awaitable[Served]]
Submit = Callable[..., Job]
_names = itertools.count(1)


@pytest.fixture(scope="package")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Witness]]:
    with run_stage(tmp_path_factory.mktemp("stack"), MARKET) as running:
        yield running


@pytest.fixture
def stage(_running: tuple[Stage, Witness]) -> Iterator[Stage]:
    """The running stack, calm again afterwards."""
    yield _running[0]
    _running[0].calm()


@pytest.fixture
def witness(_running: tuple[Stage, Witness]) -> Witness:
    return _running[1]


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def holdfast(_running: tuple[Stage, Witness]) -> AsyncIterator[Holdfast]:
    """The client, over one connection that outlives restarts of the server."""
    async with Holdfast.connect(_running[0].settings) as connected:
        yield connected


@pytest.fixture(scope="package")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest_asyncio.fixture(loop_scope="session")
async def tell(
    stage: Stage, witness: Witness, holdfast: Holdfast, undisturbed: Undisturbed, tmp_path: Path
) -> AsyncIterator[Tell]:
    """Make a story about a workload: `tell("outbid", steps=80)`."""
    told: list[Story] = []

    def make(name: str, **changes: Any) -> Story:
        spec = training(f"{name}-{next(_names)}", **changes)
        folder = tmp_path / spec.name
        folder.mkdir()
        told.append(Story(spec, stage, holdfast, witness, undisturbed, folder))
        return told[-1]

    yield make
    for story in told:
        await story.is_over()


@pytest_asyncio.fixture(loop_scope="session")
async def serve(stage: Stage, witness: Witness, holdfast: Holdfast) -> AsyncIterator[Serve]:
    """Deploy an endpoint: `await serve("taken", sleep={"mode": "checkpoint"})`. It is removed in the end."""
    deployed: list[Served] = []

    async def deploy(name: str, **changes: Any) -> Served:
        spec = serving(f"{name}-{next(_names)}", **changes)
        deployed.append(Served(spec, stage, holdfast, witness))
        await deployed[-1].begins()
        return deployed[-1]

    yield deploy
    for endpoint in deployed:
        await endpoint.is_over()


@pytest_asyncio.fixture(loop_scope="session")
async def submit(stage: Stage, holdfast: Holdfast, tmp_path: Path) -> AsyncIterator[Submit]:
    """Make a story about a job: `submit("counts", steps=20)`. It is cancelled in the end, if it goes on."""
    told: list[Job] = []

    def make(name: str, **changes: Any) -> Job:
        spec = counting(f"{name}-{next(_names)}", **changes)
        folder = tmp_path / spec.name
        folder.mkdir()
        told.append(Job(spec, stage, holdfast, folder))
        return told[-1]

    yield make
    for job in told:
        await job.is_over()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A story that failed shows the ends of the logs of all processes of its stage."""
    report = yield
    running = getattr(item, "funcargs", {}).get("_running")
    if report.failed and running is not None:
        report.sections += [(f"the end of {name}", text) for name, text in running[0].log_tails()]
    return report
