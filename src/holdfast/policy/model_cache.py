"""What a sequence keeps in GPU memory: the keys and values of its tokens, layer by layer.

The fields are those of the published `config.json` files; how they are read is the published implementations' way.
"""

from collections.abc import Mapping
from typing import Any

from holdfast.contracts.models import CacheLayers
from holdfast.policy.model_shapes import Config, NotKnown, head_dim, is_known, kv_heads

ENCODERS = frozenset({"bert", "roberta", "xlm-roberta", "distilbert", "clip_text_model", "t5"})
_ALL_LAYERS = frozenset({"mistral", "mixtral", "phi3"})
_NO_WINDOW = frozenset({"llama", "phi", "gemma", "qwen2_moe", "qwen3_moe"})
_ALTERNATING = {"gemma2": 2, "gemma3_text": 6}  # every so many layers one looks at the whole context
_LATENT = frozenset({"deepseek_v2", "deepseek_v3"})


def cache_layers(config: Config) -> tuple[CacheLayers, ...]:
    """The layers that keep a cache; empty for models that keep none.

    Raises:
        NotKnown: the architecture is none of those known here.
    """
    kind = str(config.get("model_type", ""))
    try:
        if kind in ENCODERS:
            return ()
        if kind == "whisper":
            return _whisper(config)
        if kind in _LATENT:
            values = config["kv_lora_rank"] + config["qk_rope_head_dim"]
            return (CacheLayers(layers=config["num_hidden_layers"], values_per_token=values),)
        if not is_known(config):
            raise NotKnown(f"what {kind!r} keeps of each token is not known here")
        return _attention_layers(config, _windows(kind, config))
    except (KeyError, TypeError, ValueError) as err:
        raise NotKnown(f"the cache of {kind!r}: its config lacks or misstates {err}") from None


def _attention_layers(config: Config, windows: list[int | None]) -> tuple[CacheLayers, ...]:
    values = 2 * kv_heads(config) * head_dim(config)
    return tuple(
        CacheLayers(layers=windows.count(window), values_per_token=values, window=window)
        for window in dict.fromkeys(windows)
    )


def _windows(kind: str, config: Mapping[str, Any]) -> list[int | None]:
    """For each layer how many tokens it looks back; None: all."""
    layers, window = int(config["num_hidden_layers"]), config.get("sliding_window")
    if types := config.get("layer_types"):
        return [_window_of(each, window) for each in types]
    if kind in _NO_WINDOW:
        return [None] * layers
    if kind in _ALL_LAYERS:
        return [window] * layers
    if kind in _ALTERNATING:
        every = int(config.get("sliding_window_pattern") or _ALTERNATING[kind])
        return [None if (layer + 1) % every == 0 else int(config["sliding_window"]) for layer in range(layers)]
    if kind in ("qwen2", "qwen3"):
        full = config.get("max_window_layers", layers) if config.get("use_sliding_window") else layers
        return [None if layer < full else window for layer in range(layers)]
    raise NotKnown(f"what {kind!r} keeps of each token is not known here")


def _window_of(layer_type: str, window: int | None) -> int | None:
    if layer_type == "full_attention":
        return None
    if layer_type == "sliding_attention":
        return window
    raise NotKnown(f"what a layer of type {layer_type!r} keeps of each token is not known here")


def _whisper(config: Config) -> tuple[CacheLayers, ...]:
    layers, values = config["decoder_layers"], 2 * config["d_model"]
    return (
        CacheLayers(layers=layers, values_per_token=values),
        CacheLayers(layers=layers, values_per_token=values, always=config["max_source_positions"]),
    )
