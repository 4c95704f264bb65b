"""How much GPU memory a model needs to be served: its weights, what it keeps of each token, and what runs beside it.

What was measured of its files wins over what its config says, and what a person states wins over both. Where something
is not known the answer is `NotKnown` with the reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final

from holdfast.contracts.models import CacheLayers, MemoryNeed, ModelKind, ModelNeeds
from holdfast.policy.model_cache import ENCODERS, cache_layers
from holdfast.policy.model_shapes import Config, NotKnown, parameters

GIB: Final = 1024**3
RUNTIME_PER_GPU: Final = 3 * GIB // 2
"""Assumed for the driver's context, kernels, graphs and fragments on each GPU."""
ACTIVATIONS: Final[Mapping[ModelKind, Fraction]] = {ModelKind.IMAGE: Fraction(1, 4)}
"""Assumed for activations, as a part of the weights; a tenth where nothing else is said."""
_TENTH = Fraction(1, 10)

_BITS: Final = {"float32": 32, "float16": 16, "bfloat16": 16, "float8_e4m3fn": 8, "int8": 8}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the files themselves say."""

    weights_bytes: int
    source: str  # such as "safetensors headers"
    parameters: int | None = None  # None where values are packed, or nobody counts them
    dtype: str = ""  # of most of the bytes


def needs_of(config: Config, *, kind: ModelKind, measured: Measured | None = None) -> ModelNeeds:
    """What is known of a model from its config and its files."""
    text = config.get("text_config")  # models that also see have their language model's config inside
    inner: Config = text if isinstance(text, Mapping) else config
    found = ModelNeeds(
        architecture=str(next(iter(config.get("architectures") or ()), "") or config.get("_class_name") or ""),
        context=_context(inner),
        attention_heads=inner.get("num_attention_heads"),
        kv_heads=1 if "kv_lora_rank" in inner else inner.get("num_key_value_heads") or inner.get("num_attention_heads"),
        dtype=(measured.dtype if measured else "") or dtype_of(inner),
    )
    weighed, missing = _weighed(found, config, measured)
    cache, unclear = _cached(inner, kind)
    return replace(weighed, cache=cache, unknown="; ".join(dict.fromkeys(why for why in (missing, unclear) if why)))


def memory_need(
    needs: ModelNeeds,
    *,
    kind: ModelKind,
    context: int | None = None,
    sequences: int = 1,
    gpus: int = 1,
    share: float = 1.0,
) -> MemoryNeed:
    """GPU memory for so many sequences of so many tokens at a time; `share` is the part of a GPU the server may take.

    Raises:
        NotKnown: weights or cache are not known, and nobody stated the memory.
        ValueError: the model cannot be divided so.
    """
    _refuse_odd_division(needs, gpus)
    if needs.stated_bytes is not None:
        alone = _rounded_up(needs.stated_bytes / gpus / share)
        return MemoryNeed(
            weights=0, cache=0, overhead=0, total=needs.stated_bytes, gpus=gpus, per_gpu=alone, assumed="as stated"
        )
    if needs.unknown or needs.weights_bytes is None:
        raise NotKnown(needs.unknown or "the size of its weights is not known")
    tokens = context or needs.context or 0
    cache = sequences * sequence_bytes(needs, tokens)
    activations = int(needs.weights_bytes * ACTIVATIONS.get(kind, _TENTH))
    # A head of the cache is whole on one GPU: where there are fewer heads than GPUs, some hold the same.
    holders = min(gpus, needs.kv_heads or gpus)
    each = (needs.weights_bytes + activations) / gpus + cache / holders + RUNTIME_PER_GPU
    overhead = activations + RUNTIME_PER_GPU * gpus
    return MemoryNeed(
        weights=needs.weights_bytes,
        cache=cache,
        overhead=overhead,
        total=needs.weights_bytes + cache * gpus // holders + overhead,
        gpus=gpus,
        per_gpu=_rounded_up(each / share),
        assumed=_assumed(kind, tokens if needs.cache else 0, sequences, share),
    )


def sequence_bytes(needs: ModelNeeds, tokens: int) -> int:
    """What one sequence of so many tokens keeps."""
    values = sum(each.layers * each.values_per_token * _kept(each, tokens) for each in needs.cache)
    return int(values * needs.cache_value_bytes)


def weights_bytes(config: Config, count: int) -> int:
    """Bytes of so many parameters, by the config's type and quantization.

    Raises:
        NotKnown: the type is not said, or the quantization is none of those known here.
    """
    bits = _BITS.get(dtype_of(config))
    if bits is None:
        raise NotKnown(f"the config does not say in which type the weights are ({dtype_of(config) or 'nothing'})")
    quantized = config.get("quantization_config")
    if not isinstance(quantized, Mapping):
        return count * bits // 8
    # Embeddings and the vocabulary's projection stay as they are.
    tied = config.get("tie_word_embeddings", str(config.get("model_type")).startswith("gemma"))
    ends = (1 if tied else 2) * config["vocab_size"] * config["hidden_size"]
    return int((count - ends) * _quantized_bits(quantized) / 8 + ends * bits / 8)


def dtype_of(config: Config) -> str:
    return str(config.get("torch_dtype") or config.get("dtype") or "").removeprefix("torch.")


def _weighed(found: ModelNeeds, config: Config, measured: Measured | None) -> tuple[ModelNeeds, str]:
    """With its size, and why that is not known."""
    counted, why = None, ""
    try:
        counted = parameters(config)
    except NotKnown as err:
        why = str(err)
    if measured is not None:
        exact = measured.parameters or counted
        size, source = measured.weights_bytes, measured.source
        return replace(found, parameters=exact, weights_bytes=size, weights_from=source), ""
    if counted is None:
        return found, why
    try:
        size = weights_bytes(config, counted)
    except NotKnown as err:
        return replace(found, parameters=counted), str(err)
    return replace(found, parameters=counted, weights_bytes=size, weights_from="shapes of the config"), ""


def _cached(config: Config, kind: ModelKind) -> tuple[tuple[CacheLayers, ...], str]:
    if kind not in (ModelKind.LLM, ModelKind.SPEECH) or config.get("model_type") in ENCODERS:
        return (), ""
    try:
        return cache_layers(config), ""
    except NotKnown as err:
        return (), str(err)


def _quantized_bits(quantized: Mapping[str, Any]) -> float:
    """Bits of one quantized weight, with its share of its group's scale (16 bits) and zero (as a weight)."""
    method = str(quantized.get("quant_method", ""))
    if method in ("awq", "gptq"):
        bits, group = int(quantized.get("bits") or quantized.get("w_bit") or 4), int(quantized.get("group_size") or 128)
        return bits + (16 + bits) / group if group > 0 else float(bits)
    if method == "fp8":
        return 8.0
    if method == "bitsandbytes" and quantized.get("load_in_4bit"):
        return 4 + (0.127 if quantized.get("bnb_4bit_use_double_quant") else 32 / 64)  # QLoRA, arXiv 2305.14314
    if method == "bitsandbytes" and quantized.get("load_in_8bit"):
        return 8.0
    raise NotKnown(f"the quantization {method!r} is not one known here")


def _context(config: Config) -> int | None:
    for field in ("max_position_embeddings", "max_target_positions", "n_positions"):
        if isinstance(value := config.get(field), int):
            return value
    return None


def _kept(layers: CacheLayers, tokens: int) -> int:
    if layers.always is not None:
        return layers.always
    return min(tokens, layers.window) if layers.window is not None else tokens


def _refuse_odd_division(needs: ModelNeeds, gpus: int) -> None:
    if gpus > 1 and needs.attention_heads and needs.attention_heads % gpus:
        raise ValueError(f"{needs.attention_heads} attention heads cannot be divided among {gpus} GPUs")


def _assumed(kind: ModelKind, tokens: int, sequences: int, share: float) -> str:
    parts = [f"{float(ACTIVATIONS.get(kind, _TENTH)):.0%} of the weights for activations, 1.5 GiB per GPU beside them"]
    if tokens:
        parts.append(f"{sequences} x {tokens} tokens of cache")
    if share < 1:
        parts.append(f"the server may take {share:.0%} of a GPU")
    return "; ".join(parts)


def _rounded_up(value: float) -> int:
    return int(-(-value // 1))
