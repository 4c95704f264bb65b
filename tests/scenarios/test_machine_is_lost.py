"""A machine is taken away or dies; the work goes on elsewhere and ends as if nothing had happened."""

from datetime import timedelta

from holdfast.contracts.incidents import Cause
from tests.scenarios.conftest import Tell


async def test_an_outbid_machine_and_the_next_one_that_dies_cost_nothing_of_the_result(tell: Tell) -> None:
    story = tell("outbid", steps=80)
    await story.begins()
    await story.works()
    story.market.outbid(story.name)
    await story.works(epoch=2)
    story.market.kill(story.name)
    await story.works(epoch=3)
    await story.finishes()
    report = await story.is_whole(steps=80)
    assert [incident.cause for incident in report.incidents] == [Cause.OUTBID, Cause.EXITED]
    assert all(incident.recovery_time for incident in report.incidents)
    decisions = await story.holdfast.why(story.name)
    again = await story.holdfast.recompute(story.name, decisions)
    assert len(again) >= 3 and all(each.same for each in again), again


async def test_a_host_that_dies_without_notice_is_given_up_although_the_provider_still_says_running(tell: Tell) -> None:
    story = tell("dies")
    await story.begins()
    await story.works()
    story.market.kill(story.name, word_lag=timedelta(minutes=10))
    await story.works(epoch=2)
    await story.finishes()
    report = await story.is_whole()
    assert [incident.cause for incident in report.incidents] == [Cause.SILENT]
