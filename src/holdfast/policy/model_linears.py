"""A model's linear layers with their shapes: what an adapter is put beside.

As in Hugging Face transformers, under the names that its modules have there. Of what is not known here it is said so.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdfast.policy.model_shapes import Config, NotKnown, head_dim, kv_heads


@dataclass(frozen=True, kw_only=True)
class Linear:
    """One linear layer of every block."""

    name: str
    into: int
    out: int


def linears(config: Config) -> tuple[Linear, ...]:
    """Those of one block, of which the model has `num_hidden_layers`; the vocabulary's projection is none of them.

    Raises:
        NotKnown: the architecture is none of ours, or a field is missing.
    """
    kind = str(config.get("model_type") or "")
    shape = _SHAPES.get(kind)
    if shape is None:
        raise NotKnown(f"the linear layers of the architecture {kind!r} are not known here")
    try:
        return shape(config)
    except KeyError as err:
        raise NotKnown(f"the config of {kind!r} has no field {err}") from None


def adapter_parameters(config: Config, *, rank: int, targets: tuple[str, ...] = ()) -> int:
    """What an adapter of this rank learns: for each linear layer, two matrices that meet in `rank` numbers.

    Raises:
        NotKnown: the shapes are not known.
        ValueError: a target is no layer of the model.
    """
    there = linears(config)
    if unknown := sorted(set(targets) - {each.name for each in there}):
        names = ", ".join(each.name for each in there)
        raise ValueError(f"the model has no layer {', '.join(unknown)}; it has {names}")
    chosen = [each for each in there if not targets or each.name in targets]
    return int(config["num_hidden_layers"] * rank * sum(each.into + each.out for each in chosen))


def _llama(config: Config) -> tuple[Linear, ...]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    return (
        *_apart(config),
        Linear(name="o_proj", into=_queries(config), out=hidden),
        Linear(name="gate_proj", into=hidden, out=inner),
        Linear(name="up_proj", into=hidden, out=inner),
        Linear(name="down_proj", into=inner, out=hidden),
    )


def _phi3(config: Config) -> tuple[Linear, ...]:
    """As LLaMA, with what belongs together in one layer."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    return (
        Linear(name="qkv_proj", into=hidden, out=_queries(config) + 2 * _keys(config)),
        Linear(name="o_proj", into=_queries(config), out=hidden),
        Linear(name="gate_up_proj", into=hidden, out=2 * inner),
        Linear(name="down_proj", into=inner, out=hidden),
    )


def _phi(config: Config) -> tuple[Linear, ...]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    return (
        *_apart(config),
        Linear(name="dense", into=_queries(config), out=hidden),
        Linear(name="fc1", into=hidden, out=inner),
        Linear(name="fc2", into=inner, out=hidden),
    )


def _apart(config: Config) -> tuple[Linear, ...]:
    hidden = config["hidden_size"]
    return (
        Linear(name="q_proj", into=hidden, out=_queries(config)),
        Linear(name="k_proj", into=hidden, out=_keys(config)),
        Linear(name="v_proj", into=hidden, out=_keys(config)),
    )


def _queries(config: Config) -> int:
    return int(config["num_attention_heads"] * head_dim(config))


def _keys(config: Config) -> int:
    return kv_heads(config) * head_dim(config)


_SHAPES: Mapping[str, Callable[[Config], tuple[Linear, ...]]] = {
    "llama": _llama,
    "mistral": _llama,
    "qwen2": _llama,
    "qwen3": _llama,
    "gemma": _llama,
    "gemma2": _llama,
    "gemma3_text": _llama,
    "phi3": _phi3,
    "phi": _phi,
}
