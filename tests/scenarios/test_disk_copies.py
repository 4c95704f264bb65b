"""A failover at Google that begins with a copy of the lost machine's disk, and one whose copy is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

from holdfast.client.holdfast import Holdfast
from holdfast.contracts import names
from holdfast.contracts.activities import ResumeResult
from holdfast.contracts.checkpoints import RestoreSummary
from holdfast.contracts.disks import DiskCopy
from holdfast.contracts.incidents import Incident
from holdfast.contracts.workload import WorkloadStatus
from holdfast.providers import registry
from holdfast.providers.base import KeepsSnapshots, SnapshotState
from holdfast.settings import SweepSettings
from tests.scenarios.conftest import Tell
from tests.scenarios.stage import PATIENCE, Stage, eventually
from tests.scenarios.story import Story

pytestmark = pytest.mark.long

ANOTHERS = "hf-strange-1-zzzz"  # of an installation with another mark
STEPS = 200
BULK = 8_000_000
WANTED: dict[str, Any] = {
    "providers": ["gcp"],
    "resources": {"gpu": "L4", "terms": "interruptible", "disk_gb": 50},
    "steps": STEPS,
    # What was written once and never changes is most of what a restore would have to fetch.
    "command": f"[ -f bulk ] || head -c {BULK} /dev/urandom > bulk; "
    f"exec python3 train.py --steps {STEPS} --pace 0.1 --save-every 2",
    "failover": {"silence": "2s", "boot_timeout": "30s", "disk_every": "10m", "ladder": ["regional"]},
}


async def test_a_machine_in_another_zone_begins_with_the_disk_and_fetches_what_it_lacks(tell: Tell) -> None:
    story = tell("disk", **WANTED)
    first = await begins_and_has_a_copy(story)
    story.market.take(story.name)  # and with it all that its zone has of the kind
    incident = await recovers(story)
    assert (incident.strategy, incident.attempts[-1].began_with) == ("regional", first.name)
    machines = {lease.epoch: lease.machine_id for lease in (await story.report()).leases}
    assert machines[incident.epoch_lost] != machines[incident.epoch_gained or 0], "in another zone"
    restored = await restore_of(story, incident)
    assert restored.bytes_total > BULK
    assert restored.bytes_fetched < BULK // 10, "it was on the disk"
    assert any("kept at gcp" in event.what for event in await story.holdfast.timeline(story.name))
    leaves_no_copy(story)


async def test_a_copy_that_is_gone_is_done_without(tell: Tell) -> None:
    story = tell("nodisk", **WANTED)
    first = await begins_and_has_a_copy(story)
    async with account(story) as google:
        await drop(google, first.name)
    story.market.take(story.name)
    incident = await recovers(story)
    assert (incident.attempts[-1].outcome, incident.attempts[-1].began_with) == ("running", "")
    assert (await restore_of(story, incident)).bytes_fetched > BULK
    leaves_no_copy(story)


async def test_what_a_terminated_workload_left_is_swept_and_others_copies_are_not(tell: Tell, stage: Stage) -> None:
    story = tell("leftdisk", **WANTED)
    mine = await begins_and_has_a_copy(story)
    async with account(story) as google:
        await google.take_snapshot(machine_id_of(await story.status()), ANOTHERS)
        try:
            for workflow_id in (names.workload_id(story.name), names.disk_id(story.name)):
                await story.client.get_workflow_handle(workflow_id).terminate("by hand")
            settings = stage.settings.model_copy(update={"sweep": SweepSettings(grace=timedelta(seconds=1))})
            sweeper = Holdfast(story.client, settings=settings)
            (first,) = await sweeper.sweep(providers=("gcp",))
            assert first.copies == (), "it was seen once"
            async with asyncio.timeout(PATIENCE):
                while not (swept := (await sweeper.sweep(providers=("gcp",)))[0]).copies:
                    await asyncio.sleep(0.3)
            assert swept.copies == (mine.name,)
            leaves_no_copy(story)
            assert (await google.find_snapshot(ANOTHERS)).state is SnapshotState.READY
            await story.leaves_no_machine()
        finally:
            await drop(google, ANOTHERS)


async def begins_and_has_a_copy(story: Story) -> DiskCopy:
    await story.begins()
    await story.works()
    status = await story.comes_to(lambda status: status.disk is not None, "a copy of its disk is whole")
    assert status.disk is not None
    assert (status.disk.provider, status.disk.disk_gb) == ("gcp", 50)
    assert [line["label"] for line in copies(story)] == [status.disk.name], "it costs money, and is on record"
    return status.disk


async def recovers(story: Story) -> Incident:
    """Work that lost its only machine goes on to an end that is as it would have been."""
    await story.comes_to(lambda status: status.incidents == 1, "it has another machine")
    await story.finishes()
    (incident,) = (await story.is_whole(steps=STEPS)).incidents
    return incident


@asynccontextmanager
async def account(story: Story) -> AsyncIterator[KeepsSnapshots]:
    """Our account at Google, used behind Holdfast's back."""
    provider = registry.build("gcp", story.stage.settings.providers["gcp"])
    assert isinstance(provider, KeepsSnapshots)
    try:
        yield provider
    finally:
        await provider.close()


async def drop(google: KeepsSnapshots, name: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await google.drop_snapshot(name):
            await asyncio.sleep(0.1)


def machine_id_of(status: WorkloadStatus) -> str:
    assert status.lease is not None
    return status.lease.instance_id


async def restore_of(story: Story, incident: Incident) -> RestoreSummary:
    """What the failover's restore has moved, from its history."""
    handle = story.client.get_workflow_handle(names.failover_id(story.name, incident.epoch_lost))
    ordered: dict[int, str] = {}
    async for event in handle.fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            ordered[event.event_id] = event.activity_task_scheduled_event_attributes.activity_type.name
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            done = event.activity_task_completed_event_attributes
            if ordered[done.scheduled_event_id] == "resume_work":
                (resumed,) = await story.client.data_converter.decode(done.result.payloads, [ResumeResult])
                return resumed.restored
    raise AssertionError("nothing was restored")


def copies(story: Story) -> list[dict[str, Any]]:
    """The market's lines for copies of its disks."""
    return [line for line in story.market.bill()["lines"] if line["label"].startswith(f"hf-{story.name}-")]


def leaves_no_copy(story: Story) -> None:
    eventually(lambda: all(line["until"] is not None for line in copies(story)), "no copy is billed any more")
