"""Every activity stub in the contracts has one body of the same shape, and every body has a stub."""

import inspect
import typing
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from temporalio import activity

from holdfast.activities.advising import Advising
from holdfast.activities.checkpoints import CheckpointActivities, VerifyActivities
from holdfast.activities.disk_records import DiskRecords
from holdfast.activities.disks import DiskActivities
from holdfast.activities.endpoints import EndpointActivities
from holdfast.activities.fitting import FitActivities
from holdfast.activities.forecasts import ForecastRecords
from holdfast.activities.garbage import GarbageActivities
from holdfast.activities.hosts import HostActivities
from holdfast.activities.inputs import InputActivities
from holdfast.activities.job_records import JobRecords
from holdfast.activities.machine_watch import MachineWatch
from holdfast.activities.machines import MachineActivities
from holdfast.activities.mirroring import MirrorActivities
from holdfast.activities.model_records import ModelRecords
from holdfast.activities.models import ModelActivities
from holdfast.activities.money import MoneyActivities
from holdfast.activities.pools import PoolActivities
from holdfast.activities.prices import PriceRecords
from holdfast.activities.provider_watch import ProviderWatch
from holdfast.activities.records import RecordActivities
from holdfast.activities.releases import ReleaseActivities
from holdfast.activities.resuming import ResumeActivities
from holdfast.activities.services import ServiceActivities
from holdfast.activities.stock import StockActivities
from holdfast.activities.surveying import SurveyActivities
from holdfast.activities.tuned import TunedActivities
from holdfast.contracts import activities as contracts

ROOMS = (
    RecordActivities,
    MoneyActivities,
    PriceRecords,
    ForecastRecords,
    FitActivities,
    SurveyActivities,
    StockActivities,
    TunedActivities,
    PoolActivities,
    MachineActivities,
    DiskRecords,
    ModelRecords,
    ModelActivities,
    DiskActivities,
    ProviderWatch,
    HostActivities,
    MachineWatch,
    CheckpointActivities,
    GarbageActivities,
    MirrorActivities,
    VerifyActivities,
    ReleaseActivities,
    ResumeActivities,
    ServiceActivities,
    EndpointActivities,
    InputActivities,
    JobRecords,
    Advising,
)


def _name(function: Callable[..., Any]) -> str | None:
    definition = activity._Definition.from_callable(function)
    return definition.name if definition else None


def _of(owner: object) -> dict[str, Callable[..., Any]]:
    found = {}
    for _, member in inspect.getmembers(owner, inspect.isfunction):
        if (name := _name(member)) is not None:
            found[name] = member
    return found


STUBS = _of(contracts)
BODIES = {name: body for room in ROOMS for name, body in _of(room).items()}


def test_every_stub_has_exactly_one_body():
    count = Counter(name for room in ROOMS for name in _of(room))
    assert set(count) == set(STUBS)
    assert max(count.values()) == 1


@pytest.mark.parametrize("name", sorted(STUBS))
def test_stub_and_body_agree(name: str):
    stub, body = typing.get_type_hints(STUBS[name]), typing.get_type_hints(BODIES[name])
    assert stub.pop("return") == body.pop("return")
    assert list(stub.values()) == list(body.values())


@pytest.mark.parametrize("name", sorted(STUBS))
def test_the_wire_name_is_the_function_name(name: str):
    assert STUBS[name].__name__ == name
