"""A workload that has lived very long, read from real records through a real server: nothing is too large to tell."""

from collections.abc import Iterator

import pytest

from holdfast.records.store import Records
from tests.unit.records.longlived import live_long
from tests.unit.records.makers import on_record

from .conftest import Run
from .standins import World

MANY = 2_500


@pytest.fixture(scope="module")
def long_records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Records]:
    with on_record(tmp_path_factory.mktemp("long")) as records:
        live_long(records, MANY)
        yield records


@pytest.fixture(autouse=True)
def remembered(world: World, long_records: Records) -> None:
    world.records = long_records


async def test_report_tells_the_newest_and_how_much_there_is(online: Run) -> None:
    document = (await online("report", "train", "--json")).document
    assert [document[f"{part}_total"] for part in ("incidents", "leases", "checkpoints", "decisions")] == [MANY] * 4
    assert document["incidents"][-1]["epoch_lost"] == MANY
    assert document["worst_recovery_time"] == 180.0
    told = await online("report", "train")
    assert f"over {MANY} machines" in told.out
    assert f"of {MANY} incidents; `holdfast report train --all` shows them all" in told.err


async def test_report_reads_everything_when_asked(online: Run) -> None:
    document = (await online("report", "train", "--all", "--json")).document
    assert [each["epoch_lost"] for each in document["incidents"]] == list(range(1, MANY + 1))
    assert [len(document[part]) for part in ("leases", "checkpoints", "decisions")] == [MANY] * 3


async def test_why_shows_the_newest_few_and_as_many_as_are_asked_for(online: Run) -> None:
    told = await online("why", "train")
    assert (told.out.count("by placement"), "the newest 10;" in told.err) == (10, True)
    assert [each["epoch"] for each in (await online("why", "train", "-n", "2", "--json")).document] == [MANY - 1, MANY]
    assert [each["epoch"] for each in (await online("why", "train", "--epoch", "7", "--json")).document] == [7]
    assert len((await online("why", "train", "--json")).document) == MANY


async def test_checkpoint_ls_lists_them_all(online: Run) -> None:
    listed = (await online("checkpoint", "ls", "train", "--json")).document
    assert [each["sequence"] for each in listed] == list(range(1, MANY + 1))
