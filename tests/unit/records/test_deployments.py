"""A deployment's name leads to one endpoint, and gateways know no other of its endpoints."""

from datetime import timedelta
from decimal import Decimal

from holdfast.contracts.activities import RecordEndpointInput, ShiftTrafficInput
from holdfast.contracts.endpoints import EndpointSpec
from holdfast.contracts.spec import PriceSpec, WorkloadSpec
from holdfast.records.store import Records
from tests.unit.records.makers import NOON


def opened(records: Records, name: str, deployment: str = "chat") -> None:
    work = WorkloadSpec(name=f"{name}-r0", command="true", price=PriceSpec(max_hourly=Decimal(1)))
    spec = EndpointSpec(name=name, models=("tiny",), workload=work)
    records.record_endpoint(RecordEndpointInput(spec=spec, token_hashes=("aa",), at=NOON, deployment=deployment))


def shifted(records: Records, endpoint: str, *, seconds: int) -> None:
    at = NOON + timedelta(seconds=seconds)
    records.shift_traffic(ShiftTrafficInput(deployment="chat", endpoint=endpoint, at=at))


def known(records: Records) -> list[tuple[str, tuple[str, ...]]]:
    return [(each.name, each.aliases) for each in records.endpoints()]


def test_a_release_is_known_when_the_name_leads_to_it_and_not_before_nor_after(records: Records) -> None:
    opened(records, "chat-v1")
    assert known(records) == []
    shifted(records, "chat-v1", seconds=1)
    opened(records, "chat-v2")
    assert known(records) == [("chat-v1", ("chat",))]
    shifted(records, "chat-v2", seconds=2)
    assert known(records) == [("chat-v2", ("chat",))]
    shifted(records, "chat-v1", seconds=3)
    assert known(records) == [("chat-v1", ("chat",))]


def test_a_shift_that_comes_late_changes_nothing(records: Records) -> None:
    for name in ("chat-v1", "chat-v2"):
        opened(records, name)
    shifted(records, "chat-v2", seconds=2)
    shifted(records, "chat-v1", seconds=1)
    assert known(records) == [("chat-v2", ("chat",))]


def test_a_deployment_that_ended_leads_nowhere_and_one_that_begins_again_does(records: Records) -> None:
    opened(records, "chat-v1")
    opened(records, "alone", deployment="")
    shifted(records, "chat-v1", seconds=1)
    records.close_deployment("chat")
    records.close_deployment("chat")
    records.close_deployment("nobody")
    assert known(records) == [("alone", ())]
    shifted(records, "chat-v1", seconds=2)
    assert known(records) == [("alone", ()), ("chat-v1", ("chat",))]
