"""Registered models: what they are, where they came from, what they need, and how they are served."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from holdfast.contracts.training import Lineage

MODEL_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
HUB_SECRET = "hf_token"  # noqa: S105 (how the secret is called, not what it is)
"""The secret that is shown to the hub where the order names none and the host workers have it."""


class ModelKind(StrEnum):
    """What a model is for."""

    LLM = "llm"
    SPEECH = "speech"
    IMAGE = "image"
    EMBEDDING = "embedding"
    OTHER = "other"  # served by a command of one's own


@dataclass(frozen=True, kw_only=True)
class CacheLayers:
    """Layers of a model that keep the same amount of cache."""

    layers: int
    values_per_token: int  # in one layer, keys and values together
    window: int | None = None  # tokens that they keep at most; None: the whole context
    always: int | None = None  # tokens that they keep whatever the context is, as of an encoder's output


@dataclass(frozen=True, kw_only=True)
class ModelNeeds:
    """What is known of a model's appetite. Nothing is guessed: None means that it is not known, and `unknown` why."""

    architecture: str = ""
    parameters: int | None = None
    weights_bytes: int | None = None  # as they are loaded
    weights_from: str = ""  # how that is known
    dtype: str = ""
    context: int | None = None  # tokens, the longest that it was made for
    attention_heads: int | None = None
    kv_heads: int | None = None
    cache: tuple[CacheLayers, ...] = ()
    cache_value_bytes: float = 2
    stated_bytes: int | None = None  # GPU memory in all, as a person said; it wins over all else
    unknown: str = ""

    @property
    def cache_bytes_per_token(self) -> int:
        """Of one sequence shorter than every window."""
        return int(sum(each.layers * each.values_per_token for each in self.cache) * self.cache_value_bytes)


@dataclass(frozen=True, kw_only=True)
class MemoryNeed:
    """GPU memory to serve a model, in bytes; `per_gpu` is what each of the GPUs must have."""

    weights: int
    cache: int
    overhead: int
    total: int
    gpus: int
    per_gpu: int
    assumed: str  # what the figure stands on


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """One file of a model."""

    path: str  # in the model's folder
    size: int  # bytes
    sha256: str = ""  # in hex; "" where a source does not tell it beforehand
    mark: str = ""  # what the source gives it anew with each change; "" where it gives none


@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """What a source says that it has, before anything is fetched."""

    source: str  # such as hf:org/name, without the revision
    revision: str  # the commit that was meant; what is fetched does not change under a retry. "" where there is none
    files: tuple[ModelFile, ...]
    licence: str = ""
    gated: bool = False  # given only to those who agreed to its terms
    left_out: int = 0  # files that hold the same weights in another form

    @property
    def bytes_total(self) -> int:
        return sum(each.size for each in self.files)


@dataclass(frozen=True, kw_only=True)
class StoredModel:
    """A model whose files are in the store, before it has a version."""

    digest: str  # SHA-256 over all paths, sizes and hashes: equal for equal content
    files: tuple[ModelFile, ...]
    manifest: str  # key in the store
    kind: ModelKind
    needs: ModelNeeds
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class FetchProgress:
    """How far a fetch is: heartbeat details of `fetch_model`."""

    doing: str  # a file's path, or what else is done
    bytes_done: int = 0
    bytes_total: int = 0
    files_done: int = 0
    files: int = 0


@dataclass(frozen=True, kw_only=True)
class RegisterModelInput:
    """Fetch a model and give it a version."""

    name: str
    source: str  # hf:org/name, hf:org/name@revision or s3://bucket/prefix
    kind: ModelKind | None = None  # None: as its files say
    licence: str = ""  # "": as its source says
    memory_bytes: int | None = None  # stated by a person
    only: tuple[str, ...] = ()  # patterns of the files that are wanted; empty: all but second copies
    token_secret: str = ""  # name of a secret of the host workers; "": hf_token, if they have it


@dataclass(frozen=True, kw_only=True)
class AddModelInput:
    """Give stored files a version. The same content under the same name again is the same version."""

    name: str
    source: str
    revision: str
    stored: StoredModel
    licence: str = ""
    gated: bool = False
    lineage: Lineage | None = None  # of a model that was fine-tuned
    kind_stated: bool = False  # then it replaces what is on record of the same content; so do a licence and a memory


@dataclass(frozen=True, kw_only=True)
class FindModelInput:
    """Ask for a version that came from this source and revision."""

    name: str
    source: str
    revision: str


@dataclass(frozen=True, kw_only=True)
class ModelKey:
    """A model's version; without a number the newest that is not retired."""

    name: str
    version: int | None = None


@dataclass(frozen=True, kw_only=True)
class ListModelsInput:
    name: str = ""  # "": all
    retired: bool = False  # with those that were removed


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One version of a registered model. All but its facts stated by people is for ever."""

    name: str
    version: int
    kind: ModelKind
    source: str
    revision: str
    licence: str
    gated: bool
    digest: str
    manifest: str  # key in the store of the checkpoint that holds its files
    files: int
    bytes_total: int
    needs: ModelNeeds
    registered_at: datetime
    retired_at: datetime | None = None
    contents: tuple[ModelFile, ...] = ()  # told where one version is asked for
    lineage: Lineage | None = None  # of a model that was fine-tuned


@dataclass(frozen=True, kw_only=True)
class Smoke:
    """What a server of a recipe is asked before it gets traffic. Texts may name what the recipe's words may."""

    path: str
    method: str = "POST"
    json: Any = None  # the body, as data
    form: Mapping[str, str] = field(default_factory=dict)  # multipart instead of JSON
    sound_seconds: float = 0.0  # with the form goes a WAV file with a tone of this length, as `file`
    answer: str = ""  # what must be in the JSON answer and not be empty, such as data.0.text; "": 2xx will do
    may_be_empty: bool = False  # it must be a text, and that may be empty
    contains: str = ""  # text that the answer must contain
    within_seconds: float = 240.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a kind of model is served. Names in braces are replaced; every word reaches the shell quoted.

    `command` is a list of lists of words: one that names something which is not given is left out.
    """

    name: str
    kinds: tuple[ModelKind, ...]
    image: str = ""  # "": to be given
    command: tuple[tuple[str, ...], ...] = ()  # empty: to be given
    health: str = "/health"
    port: int | None = 8000  # None: one that the machine's agent finds free, told to the command as PORT
    setup: str = ""
    serves: str = "{name}"  # the name by which its /v1 knows the model
    memory_share: float = 1.0  # of each GPU's memory that the server may take
    most_gpus: int = 16  # over which it spreads a model
    environment: Mapping[str, str] = field(default_factory=dict)
    compares: bool = False  # of an adapter it serves the base as well, and speaks OpenAI's words: both are asked
    smoke: Mapping[ModelKind, Smoke] = field(default_factory=dict)  # none for a kind: its health check again


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What is asked for where a model is put onto an endpoint. Only the price must be said."""

    max_hourly: Decimal  # USD for one machine
    endpoint: str = ""  # its name; "": the model's
    models: tuple[str, ...] = ()  # further names for /v1
    gpu: str | None = None
    gpus: int = 1
    context: int | None = None  # tokens; None: 8192, or as long as the model was made for if that is less
    sequences: int = 8  # that are served at a time
    regions: tuple[str, ...] = ()
    command: str = ""  # run by /bin/sh instead of the recipe's
    image: str = ""
    port: int | None = None
    health: str = ""
    arguments: tuple[str, ...] = ()  # further words for the recipe's command
    minimum: int = 0  # replicas
    maximum: int = 1
