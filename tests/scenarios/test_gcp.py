"""The main job at Google: kinds of machines in zones, as Spot, entered by another login."""

from datetime import timedelta

from holdfast.contracts.incidents import Cause
from holdfast.contracts.workload import Phase
from tests.scenarios.conftest import Tell

SPOT = {"gpu": "L4", "terms": "interruptible", "disk_gb": 50}


async def test_work_at_google_survives_its_preemption_and_leaves_nothing_behind(tell: Tell) -> None:
    story = tell("spot", providers=["gcp"], resources=SPOT)
    await story.begins()
    first = await story.works()
    assert first.lease is not None and first.lease.ssh is not None
    assert (first.lease.provider, first.lease.ssh.user) == ("gcp", "holdfast")
    story.market.take(story.name)  # and with it all that its zone has of the kind
    await story.works(epoch=2)
    await story.finishes()
    report = await story.is_whole()
    assert [incident.cause for incident in report.incidents] in ([Cause.OUTBID], [Cause.SILENT])
    assert {lease.provider for lease in report.leases} == {"gcp"}
    assert len(report.leases) == 2


async def test_a_notice_of_thirty_seconds_is_enough_to_save_and_to_leave(tell: Tell) -> None:
    story = tell("warned", providers=["gcp"], resources=SPOT)
    await story.begins()
    await story.works()
    story.market.preempt(story.name, notice=timedelta())
    await story.works(epoch=2)
    await story.finishes()
    report = await story.is_whole()
    (incident,) = report.incidents
    assert (incident.cause, incident.work_lost) == (Cause.NOTICE, timedelta())
    assert "saved as checkpoint" in incident.reason


async def test_work_at_google_goes_on_after_a_preemption_with_notice(tell: Tell) -> None:
    story = tell("notice", providers=["gcp"], resources=SPOT)
    await story.begins()
    await story.works()
    story.market.preempt(story.name, notice=timedelta(seconds=2))
    await story.works(epoch=2)
    await story.finishes()
    report = await story.is_whole()
    # Two seconds may be too few to hear of it. While it shuts down, its processes may be gone and SSH still answer.
    (cause,) = [incident.cause for incident in report.incidents]
    assert cause in (Cause.NOTICE, Cause.OUTBID, Cause.SILENT, Cause.REBOOTED)


async def test_a_paused_machine_at_google_costs_its_disk_only_and_resumes(tell: Tell) -> None:
    story = tell("idle", providers=["gcp"], resources=SPOT | {"terms": "on_demand"}, steps=80, price={"max_hourly": 1})
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
    assert len(story.bill()) == 1, "its zone had room, so it stayed where it was"
