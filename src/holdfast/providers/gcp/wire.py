"""Things of Google's API as we read them: only the fields that we use. A detail that cannot be read is not told."""

from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic.alias_generators import to_camel

from holdfast.providers.errors import ProviderUnavailable

T = TypeVar("T")


def _if_readable(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


Detail = Annotated[T | None, WrapValidator(_if_readable)]


class _Thing(BaseModel):
    model_config = ConfigDict(
        extra="ignore", frozen=True, coerce_numbers_to_str=True, alias_generator=to_camel, populate_by_name=True
    )


class Scheduling(_Thing):
    """At which terms a machine runs."""

    provisioning_model: str = "STANDARD"
    preemptible: bool = False

    @property
    def spot(self) -> bool:
        """Whether Google may take it back."""
        return self.provisioning_model == "SPOT" or self.preemptible


class Cards(_Thing):
    """The GPUs of a machine."""

    accelerator_type: str
    accelerator_count: int


class AttachedDisk(_Thing):
    """A disk of a machine."""

    boot: bool = False
    disk_size_gb: Detail[float] = None
    source: Detail[str] = None


class Access(_Thing):
    """How a machine is reached from outside."""

    nat_ip: Detail[str] = Field(default=None, alias="natIP")


class Interface(_Thing):
    """A network interface."""

    access_configs: list[Access] = Field(default_factory=list)


class Item(_Thing):
    """A line of the metadata."""

    key: str
    value: Detail[str] = None


class Metadata(_Thing):
    """What a machine can read of itself."""

    items: list[Item] = Field(default_factory=list)


class InstanceRow(_Thing):
    """One machine."""

    id: str
    name: str
    status: str
    zone: str
    machine_type: str
    status_message: Detail[str] = None
    labels: Detail[dict[str, str]] = None
    scheduling: Detail[Scheduling] = None
    guest_accelerators: Detail[list[Cards]] = None
    disks: Detail[list[AttachedDisk]] = None
    network_interfaces: Detail[list[Interface]] = None
    metadata: Detail[Metadata] = None
    last_start_timestamp: Detail[datetime] = None


class SnapshotRow(_Thing):
    """A copy of a disk."""

    name: str
    status: str
    labels: Detail[dict[str, str]] = None
    disk_size_gb: Detail[float] = None
    creation_timestamp: Detail[datetime] = None


class OperationError(_Thing):
    """One reason why an operation came to nothing."""

    code: str
    message: str = ""
    error_details: Any = None


class Errors(_Thing):
    """All reasons."""

    errors: list[OperationError] = Field(default_factory=list)


class OperationRow(_Thing):
    """A change in progress, or what the system did."""

    name: str
    status: str
    operation_type: str = ""
    target_id: Detail[str] = None
    insert_time: Detail[datetime] = None
    status_message: Detail[str] = None
    error: Errors | None = None

    @property
    def done(self) -> bool:
        """Whether it is over, well or not."""
        return self.status == "DONE"


def read_instance(thing: Any) -> InstanceRow:
    """Read one machine. Raises ProviderUnavailable for one that cannot be understood: it is still a machine."""
    try:
        return InstanceRow.model_validate(thing)
    except ValidationError as err:
        raise _unreadable("a machine", err) from err


def read_snapshot(thing: Any) -> SnapshotRow:
    """Read one copy of a disk. Raises ProviderUnavailable for one that cannot be understood: it is still paid for."""
    try:
        return SnapshotRow.model_validate(thing)
    except ValidationError as err:
        raise _unreadable("a snapshot", err) from err


def read_operation(thing: Any) -> OperationRow:
    """Read one operation. Raises ProviderUnavailable."""
    try:
        return OperationRow.model_validate(thing)
    except ValidationError as err:
        raise _unreadable("an operation", err) from err


def _unreadable(what: str, err: ValidationError) -> ProviderUnavailable:
    words = ", ".join(".".join(map(str, problem["loc"])) for problem in err.errors(include_input=False))
    return ProviderUnavailable(f"Google described {what} in a way that we cannot read: {words}")
