"""Things of TensorDock's API as we read them, whatever envelope and spelling they come in.

Answers are flat, under `data`, or have their `attributes` apart; names are in camel or snake case. We read only the
fields that we use. What a thing is and what it does must be readable; a detail that is not counts as not told.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from holdfast.providers.errors import ProviderUnavailable

_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")
_SSH = 22
T = TypeVar("T")
Row = TypeVar("Row", bound=BaseModel)


def _if_readable(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


def _no_space(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _ssh_port(value: Any) -> Any:
    """The external port that leads to SSH: from a list of forwards, or from a map in either direction."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, list):
        pairs = [(each.get("internal_port"), each.get("external_port")) for each in value if isinstance(each, dict)]
    elif isinstance(value, dict):
        pairs = [*value.items(), *((outer, inner) for inner, outer in value.items())]
    return next((outer for inner, outer in pairs if str(inner) == str(_SSH)), None)


def _gpus(value: Any) -> Any:
    """The one model of a machine and its count: from a map by name, or from a list."""
    rows = [({"v0_name": name} | row) for name, row in value.items()] if isinstance(value, dict) else value
    row = rows[0] if isinstance(rows, list) and len(rows) == 1 else None
    return row | {"v0_name": row.get("gpu_v0_name") or row.get("v0_name")} if isinstance(row, dict) else None


Detail = Annotated[T | None, WrapValidator(_if_readable)]
Text = Annotated[str, BeforeValidator(_no_space), Field(min_length=1)]
SshPort = Annotated[int | None, WrapValidator(_if_readable), BeforeValidator(_ssh_port)]


class _Thing(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)


class GpusOfMachine(_Thing):
    """What a machine has."""

    v0_name: str
    count: int


class Resources(_Thing):
    """What a machine is made of."""

    gpus: Annotated[GpusOfMachine | None, WrapValidator(_if_readable), BeforeValidator(_gpus)] = None


class InstanceRow(_Thing):
    """One machine. Lists tell little more than its name and status."""

    id: Text
    status: Text
    name: str | None = None
    ip_address: Detail[Text] = None
    ssh_port: SshPort = Field(default=None, alias="port_forwards")
    resources: Detail[Resources] = None
    rate_hourly: Detail[Decimal] = None
    hostnode_id: Detail[Text] = None


class GpusOfNode(_Thing):
    """So many of one model can be had on a node, at most in one machine."""

    v0_name: Text
    available_count: int
    price_per_hr: Decimal


class Available(_Thing):
    """What is left of a node. None: not told."""

    gpus: list[GpusOfNode]
    vcpu_count: Detail[float] = None
    ram_gb: Detail[float] = None
    storage_gb: Detail[float] = None
    max_vcpus: Detail[float] = None
    max_ram_gb: Detail[float] = None
    max_storage_gb: Detail[float] = None
    max_vcpus_per_gpu: Detail[float] = None
    max_ram_per_gpu: Detail[float] = None
    available_ports: Detail[list[int]] = None


class Pricing(_Thing):
    """USD per hour for one of each."""

    per_vcpu_hr: Decimal
    per_gb_ram_hr: Decimal
    per_gb_storage_hr: Decimal


class Location(_Thing):
    """Where something is."""

    city: Detail[str] = None
    stateprovince: Detail[str] = None
    country: Detail[str] = None
    network_speed_gbps: Detail[float] = None
    network_speed_upload_gbps: Detail[float] = None
    organization: Detail[str] = None


class LocationRow(Location):
    """One place of the list of places."""

    id: Text


class HostnodeRow(_Thing):
    """One host node."""

    id: Text
    available_resources: Available
    pricing: Pricing
    location_id: Detail[Text] = None
    uptime_percentage: Detail[float] = None
    location: Detail[Location] = None


def one_of(body: Any) -> dict[str, Any]:
    """The one thing in an answer; empty where there is none."""
    found = body.get("data", body) if isinstance(body, Mapping) else None
    return _unpacked(found) if isinstance(found, Mapping) else {}


def many_of(body: Any, name: str) -> list[Any]:
    """The things in a listing. Raises ProviderUnavailable for an answer that is no listing."""
    for holder in _holders(body):
        found = holder.get(name) if isinstance(holder, Mapping) else holder
        if isinstance(found, list):
            return [_unpacked(each) if isinstance(each, Mapping) else each for each in found]
    raise ProviderUnavailable(f"TensorDock's list of {name} is no list")


def read_instance(thing: Any) -> InstanceRow:
    """Read one machine. Raises ProviderUnavailable for one that cannot be understood: it is still a machine."""
    try:
        return InstanceRow.model_validate(thing)
    except ValidationError as err:
        words = ", ".join(".".join(map(str, problem["loc"])) for problem in err.errors(include_input=False))
        raise ProviderUnavailable(f"TensorDock described a machine in a way that we cannot read: {words}") from err


def read(model: type[Row], thing: Any) -> Row | None:
    """Read anything else; None for what cannot be understood."""
    try:
        return model.model_validate(thing)
    except ValidationError:
        return None


def _holders(body: Any) -> list[Any]:
    """Where a listing may be, from the inside out."""
    data = body.get("data") if isinstance(body, Mapping) else None
    apart = data.get("attributes") if isinstance(data, Mapping) else None
    return [each for each in (apart, data, body) if isinstance(each, Mapping) or (each is data and each is not None)]


def _unpacked(thing: Mapping[str, Any]) -> dict[str, Any]:
    apart = thing.get("attributes")
    merged = dict(thing) | (dict(apart) if isinstance(apart, Mapping) else {})
    snaked: dict[str, Any] = _snake(merged)
    return snaked


def _snake(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_HUMP.sub(r"_\1", str(key)).lower(): _snake(each) for key, each in value.items()}
    return [_snake(each) for each in value] if isinstance(value, list) else value
