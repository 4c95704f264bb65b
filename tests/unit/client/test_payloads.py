"""What travels is what the SDK's own converter writes; only what was learned of types is shared."""

from temporalio.contrib.pydantic import pydantic_data_converter

from holdfast.client.payloads import PAYLOADS, PayloadConverter, _learned
from holdfast.contracts.jobs import JobPhase, JobStatus
from tests.cli.standins import NOON

STATUS = JobStatus(
    name="a",
    phase=JobPhase.RUNNING,
    reason="runs",
    since=NOON,
    submitted_at=NOON,
    tenant="default",
    priority=3,
    fairness_key="a",
)


async def test_either_reads_what_the_other_wrote():
    ours, theirs = await PAYLOADS.encode([STATUS]), await pydantic_data_converter.encode([STATUS])
    assert ours == theirs
    assert await PAYLOADS.decode(theirs, [JobStatus]) == [STATUS]
    assert await pydantic_data_converter.decode(ours, [JobStatus]) == [STATUS]


def test_the_next_converter_learns_nothing_anew():
    (payload,) = PayloadConverter().to_payloads([STATUS])
    PayloadConverter().from_payload(payload, JobStatus)
    misses = _learned.cache_info().misses
    assert PayloadConverter().from_payload(payload, JobStatus) == STATUS
    assert _learned.cache_info().misses == misses
