"""Training: what is learned and how, what a data set was found to hold, what it all needs, and what comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator

from holdfast.contracts.written import HOUR, Duration, Strict, Text, Word


class Method(StrEnum):
    """What of the base model is learned."""

    LORA = "lora"  # an adapter beside the weights
    QLORA = "qlora"  # the same, with the base in 4 bits
    FULL = "full"  # every weight
    DPO = "dpo"  # an adapter, from pairs of a better and a worse answer


class DataFormat(StrEnum):
    """What each line of a data set holds."""

    MESSAGES = "messages"  # a conversation
    COMPLETION = "completion"  # a prompt and its completion
    TEXT = "text"
    PREFERENCE = "preference"  # a prompt, a chosen and a rejected answer


class Schedule(StrEnum):
    """How the learning rate goes after its warm-up."""

    COSINE = "cosine"
    LINEAR = "linear"
    CONSTANT = "constant"


class TooLong(StrEnum):
    """What becomes of an example with more tokens than `max_length`."""

    REFUSE = "refuse"  # nothing is trained, and its line is named
    SKIP = "skip"
    CUT = "cut"


class Precision(StrEnum):
    """In which numbers it is computed. What is learned is held in 32 bits either way."""

    BF16 = "bf16"
    FP32 = "fp32"


RATES: Final[Mapping[Method, float]] = {
    Method.LORA: 2e-4,  # QLoRA (arXiv 2305.14314), table 9, for 7 and 13 billion parameters
    Method.QLORA: 2e-4,
    Method.FULL: 2e-5,  # Alpaca's and Vicuna's for LLaMA
    Method.DPO: 5e-6,  # ten times that of zephyr (arXiv 2310.16944), which learned every weight
}
"""Learning rates where none is given."""


class LoraSpec(Strict):
    """The adapter's shape."""

    rank: int = Field(default=16, ge=1, le=1024)
    alpha: float = Field(default=32, gt=0, le=8192, description="its weight is alpha over rank")
    dropout: float = Field(default=0.05, ge=0, le=0.9)
    targets: tuple[Word, ...] = Field(
        default=(), max_length=100, description="names of layers, such as q_proj; none: every linear layer but the last"
    )


class SamplesSpec(Strict):
    """What the model is asked before, now and then, and after."""

    prompts: tuple[Text, ...] = Field(default=(), max_length=20)
    every: int = Field(default=0, ge=0, le=1_000_000, description="steps; 0: only before and after")
    tokens: int = Field(default=64, ge=1, le=4096, description="the longest answer")


class HyperParameters(Strict):
    """How a model is trained. Left as they are, they suit most."""

    method: Method = Method.LORA
    epochs: float = Field(default=3, gt=0, le=1000, description="how often each example is learned")
    steps: int | None = Field(default=None, ge=1, le=10_000_000, description="instead of epochs")
    batch: int = Field(default=1, ge=1, le=4096, description="examples at a time on each GPU")
    accumulate: int = Field(default=16, ge=1, le=4096, description="such batches for one step")
    rate: Annotated[float, Field(gt=0, le=1)] | None = Field(default=None, description="None: the method's usual one")
    schedule: Schedule = Schedule.COSINE
    warmup: float = Field(default=0.03, ge=0, le=1, description="share of the steps in which the rate rises")
    weight_decay: float = Field(default=0, ge=0, le=1)
    clip: float = Field(default=1, gt=0, le=1000, description="the largest norm of the gradients")
    max_length: int = Field(default=2048, ge=8, le=1_048_576, description="tokens of an example")
    too_long: TooLong = TooLong.REFUSE
    seed: int = Field(default=7, ge=0, le=2**31 - 1)
    precision: Precision = Precision.BF16
    gradient_checkpointing: bool = Field(default=True, description="less memory for a third more time")
    lora: LoraSpec = Field(default_factory=LoraSpec)
    beta: float = Field(default=0.1, gt=0, le=10, description="of dpo: how near it stays to the base")
    held_out: float = Field(default=0, ge=0, le=0.5, description="share of the examples that is asked, not learned")
    evaluate_every: int = Field(default=0, ge=0, le=1_000_000, description="steps; 0: only after the last")
    samples: SamplesSpec = Field(default_factory=SamplesSpec)
    save_every: Duration = Field(
        default=timedelta(minutes=1), ge=timedelta(), le=HOUR, description="from one written state to the next"
    )
    save_share: float = Field(
        default=0.035, gt=0, le=1, description="of the time that may go into that; else it is done less often"
    )
    merge: bool = Field(default=False, description="write base and adapter as one model, too")
    threads: int = Field(
        default=1, ge=1, le=256, description="of a process on the CPU; another number, other last bits"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.method is Method.FULL and self.merge:
            raise ValueError("merge is for adapters: the method full makes a whole model anyhow")
        return self

    @property
    def chosen_rate(self) -> float:
        return RATES[self.method] if self.rate is None else self.rate

    def document(self) -> dict[str, Any]:
        """As the trainer reads it: every value said, times in seconds."""
        told = self.model_dump(mode="json")
        return told | {"rate": self.chosen_rate, "save_every": self.save_every.total_seconds()}


@dataclass(frozen=True, kw_only=True)
class TrainingOrder:
    """What is to be trained on a machine: the file `run.json`. Paths are relative to the workspace."""

    base: str  # folder
    base_name: str  # with its revision, for the adapter's card
    data: str  # file
    data_format: DataFormat
    data_sha256: str
    parameters: HyperParameters
    output: str = "output"
    state: str = "state"

    def document(self) -> dict[str, Any]:
        return {
            "base": self.base,
            "base_name": self.base_name,
            "data": self.data,
            "data_format": self.data_format.value,
            "data_sha256": self.data_sha256,
            "output": self.output,
            "state": self.state,
            "parameters": self.parameters.document(),
        }


@dataclass(frozen=True, kw_only=True)
class DatasetRemark:
    """Something about a line of a data set."""

    line: int  # from 1; 0: about the file
    text: str
    refuses: bool  # nothing can be trained on it; else it is only told


@dataclass(frozen=True, kw_only=True)
class OtherKey:
    """A key of examples that no training looks at."""

    name: str
    lines: int


@dataclass(frozen=True, kw_only=True)
class DatasetReport:
    """What a data set was found to hold. It is usable if nothing refuses it."""

    path: str
    sha256: str
    format: DataFormat | None  # None: no line told it
    examples: int
    bytes_total: int
    characters: int  # of all texts together
    shortest: int  # characters of an example
    median: int
    longest: int
    duplicates: int  # lines that say the same as an earlier one; they are kept
    refusals: int
    warnings: int
    remarks: tuple[DatasetRemark, ...]  # the first of each kind
    other_keys: tuple[OtherKey, ...]
    sample: tuple[str, ...]  # the first examples, whole, as JSON

    @property
    def usable(self) -> bool:
        return not self.refusals and self.examples > 0


@dataclass(frozen=True, kw_only=True)
class MemoryPart:
    """One thing that takes GPU memory in training, and how it was counted."""

    name: str
    size: int  # bytes
    formula: str
    source: str  # of the formula


@dataclass(frozen=True, kw_only=True)
class TrainingMemory:
    """GPU memory that a training takes, on each GPU."""

    method: Method
    parameters: int  # of the base
    learned: int  # parameters
    parts: tuple[MemoryPart, ...]
    total: int  # bytes
    gpu_memory_gb: float  # to ask the market for: of the smallest size that holds it
    assumed: str


@dataclass(frozen=True, kw_only=True)
class Template:
    """A way to fine-tune that is known to work, to begin from."""

    name: str
    about: str
    formats: tuple[DataFormat, ...]  # of the data sets that it takes
    disk_gb: int
    parameters: HyperParameters


@dataclass(frozen=True, kw_only=True)
class DataPin:
    """The data set that was trained on."""

    name: str  # as it was called where it came from
    sha256: str
    format: DataFormat
    examples: int
    bytes_total: int


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Where a fine-tuned model comes from: enough to make it again, and to say what it cost."""

    base: str  # with its revision
    base_sha256: str  # over all of its files
    data: DataPin
    parameters: HyperParameters
    trainer: str  # SHA-256 of its code
    holdfast: str  # release
    job: str
    steps: int
    loss: float  # of the last step
    held_out_loss: float | None
    attempts: int
    incidents: int  # machines lost or left on the way
    cost: Decimal  # USD, all machines together
    differs: tuple[str, ...]  # where it went on with other hardware or software; none: it is as if nothing had happened
    place: Mapping[str, str]  # hardware and software
