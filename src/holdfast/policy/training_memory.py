"""How much GPU memory a fine-tuning takes on each GPU: what is held, what is learned, and what a step keeps.

Each part says how it is counted and after whom. The counts stand on the shapes in the base model's config; where those
are not known, neither is the need.
"""

from dataclasses import dataclass
from typing import Final

from holdfast.contracts.training import HyperParameters, MemoryPart, Method, Precision, TrainingMemory
from holdfast.policy.model_linears import Linear, adapter_parameters, linears
from holdfast.policy.model_memory import GIB, RUNTIME_PER_GPU, weights_bytes
from holdfast.policy.model_shapes import Config, NotKnown, parameters

SIZES_GB: Final = (8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 141, 180, 192, 288)
"""Memory of cards that are for rent, as their makers state it."""
_NF4 = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True}
_ZERO = "ZeRO, arXiv 1910.02054, section 3"
_QLORA = "QLoRA, arXiv 2305.14314, section 3"
_KEPT = "counted as in arXiv 2205.05198, section 4"


class NothingFits(Exception):
    """No card that is for rent holds it; the message says what would make it smaller."""


@dataclass(frozen=True)
class _Run:
    """What the parts are counted from."""

    config: Config
    order: HyperParameters
    count: int  # parameters of the base
    learned: int
    layers: tuple[Linear, ...]

    @property
    def width(self) -> int:
        """Bytes of a number that is computed with."""
        return 2 if self.order.precision is Precision.BF16 else 4

    @property
    def tokens(self) -> int:
        """Read at a time on one GPU, at most."""
        pairs = 2 if self.order.method is Method.DPO else 1
        return self.order.batch * self.order.max_length * pairs

    @property
    def adapted(self) -> tuple[Linear, ...]:
        if self.order.method is Method.FULL:
            return ()
        wanted = self.order.lora.targets
        return tuple(each for each in self.layers if not wanted or each.name in wanted)


def training_memory(config: Config, order: HyperParameters, *, gpus: int = 1) -> TrainingMemory:
    """What a training needs on each of so many GPUs; each holds all of it.

    Raises:
        NotKnown: the base's shapes are not known, or it is quantized already.
        ValueError: the order names layers that the model does not have.
        NothingFits: no card holds it.
    """
    run = _run(config, order)
    parts = tuple(_parts(run, gpus))
    total = sum(each.size for each in parts)
    return TrainingMemory(
        method=order.method,
        parameters=run.count,
        learned=run.learned,
        parts=parts,
        total=total,
        gpu_memory_gb=_smallest(total, order),
        assumed=f"{order.batch} examples of {order.max_length} tokens at a time; 1.5 GiB for driver, kernels and "
        "fragments; fused attention, which keeps no table of all pairs of tokens",
    )


def _run(config: Config, order: HyperParameters) -> _Run:
    if config.get("quantization_config"):
        raise NotKnown("the base is quantized already; take the model that it was made from")
    count, layers = parameters(config), linears(config)
    if order.method is Method.FULL:
        return _Run(config, order, count, count, layers)
    learned = adapter_parameters(config, rank=order.lora.rank, targets=order.lora.targets)
    return _Run(config, order, count, learned, layers)


def _parts(run: _Run, gpus: int) -> list[MemoryPart]:
    parts = [_base(run), *_learning(run, gpus), _activations(run), _logits(run)]
    if run.order.method is Method.QLORA:
        largest = max(each.into * each.out for each in run.layers)
        parts.append(
            MemoryPart(
                name="unpacking",
                size=largest * run.width,
                formula=f"the largest layer in {8 * run.width} bits",
                source=_QLORA,
            )
        )
    runtime = MemoryPart(name="runtime", size=RUNTIME_PER_GPU, formula="1.5 GiB", source="an assumption")
    return [*parts, runtime]


def _base(run: _Run) -> MemoryPart:
    """The weights that are held and not learned; of `full` the copies that are computed with."""
    if run.order.method is Method.QLORA:
        # Embeddings and the vocabulary's projection are held in 32 bits, as peft prepares a model for it.
        size = weights_bytes({**run.config, "torch_dtype": "float32", "quantization_config": _NF4}, run.count)
        return MemoryPart(name="base", size=size, formula="4.127 bits a weight, vocabularies in 32 bits", source=_QLORA)
    if run.order.method is Method.FULL:
        size = run.count * run.width if run.width < 4 else 0
        return MemoryPart(
            name="base", size=size, formula="2 bytes a weight, as autocast keeps them in a step", source=_ZERO
        )
    size = run.count * run.width
    return MemoryPart(name="base", size=size, formula=f"{run.width} bytes a weight", source="the base's shapes")


def _learning(run: _Run, gpus: int) -> list[MemoryPart]:
    learned = [
        ("learned", 4, "4 bytes: held in 32 bits"),
        ("gradients", 4, "4 bytes for each learned weight"),
        ("optimizer", 8, "AdamW: mean and variance, 4 bytes each"),
    ]
    if gpus > 1:
        learned.append(("exchange", 4, "gradients once more, to be added up among the GPUs"))
    return [
        MemoryPart(name=name, size=run.learned * width, formula=formula, source=_ZERO)
        for name, width, formula in learned
    ]


def _activations(run: _Run) -> MemoryPart:
    """What the forward pass keeps for the backward one."""
    layers, hidden = run.config["num_hidden_layers"], run.config["hidden_size"]
    one = run.tokens * _kept_by_a_token(run)
    if run.order.gradient_checkpointing:
        size = layers * run.tokens * hidden * 4 + one
        return MemoryPart(
            name="activations",
            size=size,
            formula="each layer's input, and all of one layer",
            source="arXiv 1604.06174, section 4; " + _KEPT,
        )
    return MemoryPart(name="activations", size=layers * one, formula="all of every layer", source=_KEPT)


def _kept_by_a_token(run: _Run) -> int:
    """Bytes that one layer keeps of one token."""
    hidden, width = run.config["hidden_size"], run.width
    shapes = {each.name: each for each in run.layers}
    inner = run.config["intermediate_size"]
    attended = next(each.into for each in run.layers if each.name in ("o_proj", "dense"))
    norms = 2 * (4 + width + width) * hidden  # the input in 32 bits, what is made of it, and the next layer's input
    attention = width * 7 * attended  # queries, keys and values, before and after they are turned; and the outcome
    gated = 4 if "gate_proj" in shapes or "gate_up_proj" in shapes else 2
    feed = width * gated * inner
    # Beside each adapted layer: its input after dropout in 32 bits, as computed with, and what was dropped.
    adapters = sum((4 + width + 1) * each.into + 2 * width * run.order.lora.rank for each in run.adapted)
    return int(norms + attention + feed + adapters)


def _logits(run: _Run) -> MemoryPart:
    """The last layer's answers for every token of the vocabulary, their logarithms and gradients."""
    size = run.tokens * run.config["vocab_size"] * (3 * run.width + 8)
    return MemoryPart(
        name="logits",
        size=size,
        formula=f"tokens x vocabulary x {3 * run.width + 8} bytes: three copies as computed, two in 32 bits",
        source="what the loss makes of them",
    )


def _smallest(total: int, order: HyperParameters) -> float:
    for size in SIZES_GB:
        if total <= size * GIB * 0.97:  # the driver keeps some
            return float(size)
    ways = []
    if order.method in (Method.LORA, Method.FULL):
        ways.append("the method qlora" if order.method is Method.LORA else "the method lora")
    if order.batch > 1:
        ways.append("a batch of 1")
    if not order.gradient_checkpointing:
        ways.append("gradient_checkpointing")
    if order.max_length > 512:
        ways.append("a smaller max_length")
    told = f"try {' or '.join(ways)}" if ways else "take a smaller base"
    raise NothingFits(f"it needs {total / GIB:.0f} GiB on each GPU, more than any card that is for rent has; {told}")
