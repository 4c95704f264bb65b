"""A machine is taken away or dies; the work goes on elsewhere and ends as if nothing had happened."""

from datetime import timedelta

from holdfast.contracts.incidents import Cause
from tests.scenarios.conftest import Tell


async def test_an_outbid_machine_is_replaced_and_the_weights_equal_an_undisturbed_run(tell: Tell) -> None:
    story = tell("outbid")
    await story.begins()
    await story.works()
    story.market.outbid(story.name)
    await story.works(epoch=2)
    await story.finishes()
    report = await story.is_whole()
    assert [incident.cause for incident in report.incidents] == [Cause.OUTBID]
    assert report.incidents[0].recovery_time is not None


async def test_a_host_that_dies_without_notice_is_given_up_although_the_provider_still_says_running(tell: Tell) -> None:
    story = tell("dies")
    await story.begins()
    await story.works()
    story.market.kill(story.name, word_lag=timedelta(minutes=10))
    await story.works(epoch=2)
    await story.finishes()
    report = await story.is_whole()
    assert [incident.cause for incident in report.incidents] == [Cause.SILENT]


async def test_two_losses_in_a_row_still_end_with_the_same_weights(tell: Tell) -> None:
    story = tell("twice", steps=80)
    await story.begins()
    await story.works()
    story.market.outbid(story.name)
    await story.works(epoch=2)
    story.market.kill(story.name)
    await story.works(epoch=3)
    await story.finishes()
    report = await story.is_whole(steps=80)
    assert len(report.incidents) == 2
