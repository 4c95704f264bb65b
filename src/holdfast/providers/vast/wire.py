"""Rows of Vast.ai's API as we read them: only the fields that we use, and tolerant of those that are null."""

from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from holdfast.contracts.machines import SshAddress
from holdfast.providers.errors import ProviderUnavailable


def _no_space(value: Any) -> Any:
    # Addresses have been seen with a line break at the end.
    return value.strip() if isinstance(value, str) else value


def _if_readable(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        return None


T = TypeVar("T")
Text = Annotated[str, BeforeValidator(_no_space)]
# One odd detail must not hide a machine, nor all that are listed beside it.
Detail = Annotated[T | None, WrapValidator(_if_readable)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)


class OfferRow(_Row):
    """One search result. Memory is in MiB as the GPU's driver counts it, or in MB for the machine's."""

    id: int
    machine_id: int
    host_id: int | None = None
    gpu_name: str
    num_gpus: int
    gpu_ram: float
    cpu_cores_effective: float | None = None
    cpu_ram: float | None = None
    disk_space: float | None = None
    inet_up: float | None = None
    inet_down: float | None = None
    dph_total: Decimal
    storage_total_cost: Detail[Decimal] = None  # USD per hour, a part of `dph_total`
    min_bid: Decimal | None = None
    reliability2: float | None = None
    verification: str | None = None
    rentable: bool | None = None
    rented: bool | None = None
    geolocation: str | None = None
    end_date: float | None = None


class _Binding(_Row):
    HostPort: str


class InstanceRow(_Row):
    """One instance. `HostPort` is text on the wire, and `ports` is null until the container runs.

    What it is, whose it is and what it does must be readable; a detail that is not counts as not told.
    """

    id: int
    actual_status: str | None = None
    cur_state: str | None = None
    next_state: str | None = None
    intended_status: str | None = None
    status_msg: Detail[str] = None
    label: str | None = None
    machine_id: Detail[int] = None
    host_id: Detail[int] = None
    gpu_name: Detail[str] = None
    num_gpus: Detail[int] = None
    geolocation: Detail[str] = None
    is_bid: bool | None = None
    dph_total: Detail[Decimal] = None
    storage_total_cost: Detail[Decimal] = None
    start_date: Detail[float] = None
    end_date: Detail[float] = None
    image_runtype: Detail[str] = None
    ssh_host: Detail[Text] = None
    ssh_port: Detail[int] = None
    public_ipaddr: Detail[Text] = None
    ports: Detail[dict[str, list[_Binding] | None]] = None

    def ssh(self) -> SshAddress | None:
        """Where its SSH server answers: directly when a port is mapped, else through Vast.ai's proxy."""
        bindings = (self.ports or {}).get("22/tcp")
        if bindings and self.public_ipaddr and bindings[0].HostPort.isdecimal():
            return SshAddress(host=self.public_ipaddr, port=int(bindings[0].HostPort))
        if self.ssh_host and self.ssh_port:
            # With Jupyter the proxy's own port is the notebook's; SSH is the next one.
            jupyter = "jupyter" in (self.image_runtype or "")
            return SshAddress(host=self.ssh_host, port=self.ssh_port + jupyter)
        return None


class ChargeRow(_Row):
    """One line of the bill. `source` names what it is for, as in "instance-123"."""

    source: str
    amount: Decimal


def read_charge(row: Any) -> ChargeRow:
    """Read one line. Raises ProviderUnavailable for one that cannot be understood: a bill is complete or none."""
    try:
        return ChargeRow.model_validate(row)
    except ValidationError as err:
        raise ProviderUnavailable(f"Vast.ai charged something in a way that we cannot read: {_where(err)}") from err


def read_instance(row: Any) -> InstanceRow:
    """Read one instance. Raises ProviderUnavailable for a row that cannot be understood: it is still a machine."""
    try:
        return InstanceRow.model_validate(row)
    except ValidationError as err:
        raise ProviderUnavailable(f"Vast.ai described an instance in a way that we cannot read: {_where(err)}") from err


def read_offer(row: Any) -> OfferRow | None:
    """Read one offer; None for one that cannot be understood, and so cannot be rented either."""
    try:
        return OfferRow.model_validate(row)
    except ValidationError:
        return None


def country(geolocation: str | None) -> str:
    """The two-letter code in "Quebec, CA" or "CA"; "" when there is none."""
    last = (geolocation or "").rpartition(",")[2].strip().upper()
    return last if len(last) == 2 else ""


def _where(err: ValidationError) -> str:
    return ", ".join(".".join(map(str, problem["loc"])) for problem in err.errors(include_input=False))
