"""Typed settings, read once by `workers/wiring` and the CLI, and passed down from there.

Where a value comes from, strongest first:

1. an argument to `load_settings`;
2. a variable `HOLDFAST_<FIELD>`, or `HOLDFAST_<SECTION>__<FIELD>` inside a section, for example
   `HOLDFAST_STORE__BUCKET` or `HOLDFAST_PROVIDERS__VAST__API_KEY`;
3. the embedded stack that `holdfast up` runs on the same data directory, while it lives;
4. the default.

A section is taken from one place as a whole where mixing would be dangerous: as soon as the environment
names a store, a provider or a Temporal server, the embedded stack's own is no longer used for it, so that a
real key is never sent to the simulated market, nor a simulated lease written to a real server.

The connection to Temporal is Temporal's own business (`TEMPORAL_*` variables and profiles); the only thing
found here is the address of an embedded server.
"""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import pydantic_settings
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from holdfast.embedded import DEFAULT_DATA_DIR, StackUnreadable, names_a_server, offered_by_stack
from holdfast.webhooks import key_of

PREFIX = "HOLDFAST_"
# Secrets of workloads, looked up by host workers when they are needed; what the simulated market is told; and what
# `make live` may spend.
_READ_ELSEWHERE = ("HOLDFAST_SECRET_", "HOLDFAST_SIM_", "HOLDFAST_LIVE")

_MIRROR_NAME = r"[a-z0-9][a-z0-9_-]*"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def _duration(given: object) -> object:
    """`1.5`, `250ms`, `20s`, `5m`, `2h` and `60d`, as people write them; pydantic reads the ISO forms."""
    if not isinstance(given, str):
        return given
    written = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", given.strip())
    return timedelta(seconds=float(written[1]) * _UNITS[written[2] or "s"]) if written else given


Port = Annotated[int, Field(ge=0, le=65535)]
Duration = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]


class SettingsError(Exception):
    """A setting is missing or cannot be read. The message names the variable and the remedy; never its value."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoreSettings(_Section):
    """Where checkpoints, artefacts and finished logs are kept."""

    kind: Literal["folder", "s3"] = "folder"
    path: Path | None = None
    """Folder store only. Default: `store` in the data directory."""
    endpoint: str | None = None
    """S3 only. Default: the AWS endpoint of the region."""
    bucket: str | None = None
    prefix: str = ""
    region: str = "us-east-1"
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None

    @model_validator(mode="after")
    def _s3_is_complete(self) -> Self:
        wanted = {
            "bucket": self.bucket,
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
        }
        missing = [name for name, value in wanted.items() if not value]
        if self.kind == "s3" and missing:
            raise ValueError(f"an s3 store also needs {', '.join(missing)}")
        return self


class MirrorSettings(StoreSettings):
    """A further store, near some machines, with copies of the checkpoints. The section's name is the mirror's."""

    near: str
    """Regions as offers name them, `DE,FR`, or patterns, `*`: machines there restore from this store."""

    def regions(self) -> tuple[str, ...]:
        """What `near` lists."""
        return tuple(each.strip() for each in self.near.split(",") if each.strip())

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.kind == "folder" and self.path is None:
            raise ValueError("a mirror in a folder also needs path")
        if not self.regions():
            raise ValueError("near names no region; DE,FR or * for all")
        return self


class ProviderSettings(_Section):
    """One account at one provider. The section's name is the provider's: `vast`, ..."""

    api_key: SecretStr = SecretStr("")
    """Empty where no call is made: of all workers only the provider's own needs the key."""
    base_url: str | None = None
    """Default: the provider's public address, which its driver knows."""
    pace: float = Field(default=1.0, ge=0)
    """Times the least intervals between calls that the provider documents. 0, no interval, is for a simulated market
    that asks for none."""
    image: str | None = None
    """Of providers that rent virtual machines: the machine image to begin with. Default: what its driver knows."""
    legacy_key: SecretStr = SecretStr("")
    legacy_token: SecretStr = SecretStr("")
    """Credentials of the provider's older API, where only that one can do something: docs/providers.md."""
    key_file: Path | None = None
    """Of providers whose key is a file: where it is. Read at each use, so that it may be replaced."""
    project: str | None = None
    """Of providers that have projects: the one to rent in. Default: the one that the key names."""
    network: str | None = None
    """Of providers that have networks: the one that machines stand in. Default: what its driver knows."""
    ssh_port: int | None = Field(default=None, ge=1, le=65_535)
    """Of providers whose machines are entered by an address of their own: where the image's SSH server listens.
    Default: 22."""
    preemption_notice: Duration = Field(default=timedelta(), ge=timedelta(), le=timedelta(seconds=120))
    """Of providers that give as much notice of an interruption as was ordered: how much to order, in whole seconds."""
    listing_lag: Duration | None = None
    """How long a new machine may be missing from the provider's listings. Default: what its driver knows."""


class HostSettings(_Section):
    """How patient we are with rented machines."""

    connect_timeout: Duration = timedelta(seconds=10)
    heartbeat_interval: Duration = timedelta(seconds=1)
    watch_interval: Duration = timedelta(seconds=5)
    """Between two listings of a provider's machines."""


class SweepSettings(_Section):
    """How machines that nobody owns are looked for."""

    every: Duration = timedelta(minutes=5)
    """Between two sweeps of a provider."""
    grace: Duration = timedelta(minutes=10)
    """From the first sighting of a stranger to its end. It must cover a launch whose answer was lost."""


class MarketSettings(_Section):
    """How prices are watched."""

    every: Duration = timedelta(hours=1)
    """Between two surveys, and the bucket of time for which a price stands."""
    gpus: str = (
        "RTX 3090,RTX 4090,RTX 5090,RTX A6000,RTX 6000Ada,T4,L4,A10,L40S,A100 PCIE,A100 SXM4,H100 PCIE,H100 SXM,"
        "H100 NVL,H200,B200"
    )
    """What to ask for, of providers that do not show all they have at once; what was rented lately is added."""
    fine_for: Duration = timedelta(days=60)
    """Points older than that become one a day."""
    daily_for: Duration = timedelta(days=1095)
    """Points older than that are deleted. What was imported stays."""
    reference_max_age: Duration = timedelta(days=180)
    """A reference price that is older, at the time that is compared, is flagged as stale."""

    processes: int = Field(default=1, ge=1, le=64)
    """In which one analysis worker forecasts at once. They are opened when there is work."""

    def watched(self) -> tuple[str, ...]:
        """What `gpus` lists."""
        return tuple(each.strip() for each in self.gpus.split(",") if each.strip())

    @model_validator(mode="after")
    def _can_be_used(self) -> Self:
        if not self.watched():
            raise ValueError("gpus names no GPU; RTX 4090,H100 SXM")
        if self.every > timedelta(days=1) or timedelta(days=1) % self.every:
            raise ValueError("every must be a day or a whole part of one, such as 15m, 1h or 6h")
        return self


class ModelSettings(_Section):
    """Where models are registered from. Only host workers fetch."""

    hub_url: str = "https://huggingface.co"
    """A hub that speaks the Hugging Face wire API: the public one, or a mirror of it."""
    s3_endpoint: str | None = None
    """Of `s3://` sources. Default: the store's own, if that is an s3 store; else the AWS endpoint of the region."""
    s3_region: str = "us-east-1"
    s3_access_key_id: SecretStr | None = None
    """Default: the store's own key, endpoint and region, if the store is an s3 store."""
    s3_secret_access_key: SecretStr | None = None

    @model_validator(mode="after")
    def _can_be_used(self) -> Self:
        where = urlsplit(self.hub_url)
        if where.scheme != "https" and not (where.scheme == "http" and where.hostname in _LOOPBACK):
            # A token travels there.
            raise ValueError("hub_url must begin with https:// (http:// only for this computer itself)")
        if (self.s3_access_key_id is None) is not (self.s3_secret_access_key is None):
            raise ValueError("s3_access_key_id and s3_secret_access_key go together")
        return self


class TelemetrySettings(_Section):
    """Where a process serves its metrics and health. Port 0 takes a free one."""

    bind: str = "127.0.0.1"
    port: Port = 0
    """`/metrics` with Holdfast's own metrics, `/livez`, `/readyz`."""
    sdk_port: Port = 0
    """`/metrics` with the Temporal SDK's runtime metrics."""


class NotifySettings(_Section):
    """Who is told of losses, recoveries and ends, by signed webhook. Only control workers need it."""

    url: SecretStr | None = None
    """Where to; a secret, as whoever knows such an address may often write there."""
    secret: SecretStr | None = None
    """What the messages are signed with: `whsec_` and 24 to 64 random bytes in base64."""

    def receiver(self) -> tuple[str, str] | None:
        """Address and secret; None: nobody is to be told."""
        if self.url is None or self.secret is None:
            return None
        return self.url.get_secret_value(), self.secret.get_secret_value()

    @model_validator(mode="after")
    def _can_be_used(self) -> Self:
        if (self.url is None) is not (self.secret is None):
            raise ValueError("url and secret go together")
        if self.url is not None and self.secret is not None:
            where = urlsplit(self.url.get_secret_value())
            if where.scheme != "https" and not (where.scheme == "http" and where.hostname in _LOOPBACK):
                raise ValueError("url must begin with https:// (http:// only for this computer itself)")
            key_of(self.secret.get_secret_value())
        return self


class GatewaySettings(_Section):
    """Where a gateway listens for the callers of endpoints, and how much it holds."""

    bind: str = "127.0.0.1"
    port: Port = 0
    """0 takes a free one; the log says which."""
    drain: Duration = timedelta(seconds=30)
    """How long requests in flight may go on once the process is told to stop."""
    refresh: Duration = timedelta(seconds=5)
    """Between two readings of the directory of endpoints. A revoked token is refused after so long; a new one counts
    at once, as it is looked up."""
    buffer_mb: float = Field(default=256, gt=0)
    """Of all bodies under `/v1`, which are read whole before their model is known; together, in this process."""
    cert: Path | None = None
    key: Path | None = None
    """Files in PEM format, for TLS. Default: plain HTTP."""

    @model_validator(mode="after")
    def _tls_is_complete(self) -> Self:
        if (self.cert is None) is not (self.key is None):
            raise ValueError("cert and key go together")
        for path in (self.cert, self.key):
            if path is not None and not path.is_file():
                raise ValueError(f"there is no file {path}")
        return self


class ControlSettings(_Section):
    """How much a control worker keeps in its memory, and how much it does at a time."""

    cached_workflows: int = Field(default=4000, ge=0)
    """Each workload is two of them, with the one that saves it. One more than there is room for, and each workflow that
    is asked for is built anew from its history."""
    workflow_tasks: int = Field(default=8, ge=2)
    """Steps of workflows that are decided at a time. Python decides one after the other, so that more of them would
    only wait for each other, and where each has waited for two seconds Temporal gives it to another worker."""


class EmbeddedTemporal(_Section):
    """The server that `holdfast up` runs here."""

    address: str
    namespace: str = "default"
    ui_url: str | None = None


class Settings(BaseSettings):
    """Everything a process of Holdfast may be told. Frozen; secrets print as asterisks."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    data_dir: Path = DEFAULT_DATA_DIR
    records_url: SecretStr | None = None
    """A SQLAlchemy URL, `postgresql+psycopg://...` or `sqlite:///...`; a secret, as it may hold a password."""
    store: StoreSettings = StoreSettings()
    mirrors: dict[str, MirrorSettings] = {}
    """Only host workers need them."""
    providers: dict[str, ProviderSettings] = {}
    hosts: HostSettings = HostSettings()
    sweep: SweepSettings = SweepSettings()
    market: MarketSettings = MarketSettings()
    models: ModelSettings = ModelSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    notify: NotifySettings = NotifySettings()
    gateway: GatewaySettings = GatewaySettings()
    control: ControlSettings = ControlSettings()
    embedded_temporal: EmbeddedTemporal | None = None
    """Set by a living stack, unless `TEMPORAL_*` variables say where the server is."""
    market_url: str | None = None
    """The simulated market's own address, for `holdfast sim`."""
    market_key: SecretStr | None = None

    def records_location(self) -> str:
        """The URL to open the records with. Default: `records.db` in the data directory."""
        if self.records_url is not None:
            return self.records_url.get_secret_value()
        return f"sqlite:///{self.data_dir / 'records.db'}"

    def store_folder(self) -> Path:
        """The folder of a folder store."""
        return self.store.path or self.data_dir / "store"

    @model_validator(mode="after")
    def _every_store_is_another(self) -> Self:
        taken = {_place(self.store, self.store_folder()): "store"}
        for name, mirror in self.mirrors.items():
            if not re.fullmatch(_MIRROR_NAME, name):
                raise ValueError(f"{variable('mirrors', name)}: a mirror's name has letters, digits, '_' and '-' only")
            place = _place(mirror, mirror.path)
            if place in taken:
                raise ValueError(f"{variable('mirrors', name)}: it is the same place as {variable(taken[place])}")
            taken[place] = f"mirrors__{name}"
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the embedded stack. No dotenv: what is read is what is exported."""
        return init_settings, env_settings, _EmbeddedStack(settings_cls)


class _EmbeddedStack(PydanticBaseSettingsSource):
    """What a living `holdfast up` on the same data directory offers, section by section."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError("sections are read together, in __call__")

    def __call__(self) -> dict[str, Any]:
        stronger = self.current_state
        try:
            offered = offered_by_stack(Path(stronger.get("data_dir", DEFAULT_DATA_DIR)))
        except StackUnreadable as err:
            raise SettingsError(str(err)) from None
        if names_a_server(os.environ):
            offered.pop("embedded_temporal", None)
        return {section: values for section, values in offered.items() if section not in stronger}


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; the data directory comes back absolute.

    Raises `SettingsError` for the first thing that cannot be used, by the name of its variable.
    """
    try:
        settings = Settings(**overrides)
    except ValidationError as err:
        raise SettingsError(_explain(err)) from None
    except pydantic_settings.SettingsError as err:
        raise SettingsError(f"{err}; give its fields one by one, as {PREFIX}<SECTION>__<FIELD>") from None
    return settings.model_copy(update={"data_dir": settings.data_dir.expanduser().absolute()})


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """`HOLDFAST_*` variables that nobody reads: misspelt, or of another version."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    ours = (name for name in environ if name.startswith(PREFIX) and not name.startswith(_READ_ELSEWHERE))
    return sorted(name for name in ours if name.split("__")[0].upper() not in known)


def variable(*path: str) -> str:
    """The environment variable of a setting: `variable("store", "bucket")` is `HOLDFAST_STORE__BUCKET`."""
    return PREFIX + "__".join(path).upper()


def _place(store: StoreSettings, folder: Path | None) -> tuple[str | None, ...]:
    """What tells two stores apart."""
    if store.kind == "folder":
        return ("folder", str((folder or Path()).expanduser().absolute()))
    return ("s3", (store.endpoint or f"aws {store.region}").rstrip("/"), store.bucket, store.prefix.strip("/"))


def _explain(err: ValidationError) -> str:
    lines = []
    for problem in err.errors(include_input=False, include_url=False):
        said = problem["msg"].removeprefix("Value error, ")
        # What is wrong between sections names its variables itself.
        lines.append(f"{variable(*(str(part) for part in problem['loc']))}: {said}" if problem["loc"] else said)
    return "; ".join(lines) + ". Correct or unset the variable; docs/settings.md lists them all"
