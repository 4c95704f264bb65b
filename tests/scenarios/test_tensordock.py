"""The main job on another provider: virtual machines, on demand, entered by another login, without any bid."""

import pytest

from holdfast.contracts.incidents import Cause
from holdfast.contracts.workload import Phase
from tests.scenarios.conftest import Tell

ON_DEMAND = {"gpu": "RTX 4090", "terms": "on_demand", "disk_gb": 10}


@pytest.mark.long
async def test_work_on_tensordock_survives_its_machine_and_leaves_nothing_behind(tell: Tell) -> None:
    story = tell("dock", providers=["tensordock"], resources=ON_DEMAND)
    await story.begins()
    first = await story.works()
    assert first.lease is not None and first.lease.ssh is not None
    assert (first.lease.provider, first.lease.ssh.user) == ("tensordock", "user")
    story.market.kill(story.name)
    await story.works(epoch=2)
    await story.finishes()
    report = await story.is_whole()
    assert [incident.cause for incident in report.incidents] in ([Cause.EXITED], [Cause.SILENT])
    assert {line["provider"] for line in story.bill()} == {"tensordock"}
    assert {lease.provider for lease in report.leases} == {"tensordock"}


async def test_a_paused_machine_of_tensordock_costs_its_disk_only_and_resumes(tell: Tell) -> None:
    story = tell("berth", providers=["tensordock"], resources=ON_DEMAND, steps=80)
    await story.begins()
    await story.works()
    await story.holdfast.pause(story.name)
    await story.comes_to(lambda status: status.phase is Phase.PAUSED, "it is paused")
    (machine,) = story.alive()
    assert not machine["granted"], "its GPU is given back"
    assert float(story.bill()[-1]["periods"][-1]["gpu_rate"]) == 0 < float(machine["storage_rate"])
    await story.holdfast.resume(story.name)
    await story.finishes()
    await story.is_whole(steps=80)
    assert len(story.bill()) == 1, "its GPU was free, so it stayed where it was"
