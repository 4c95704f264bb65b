"""How many parameters a model has: summed from the shapes that its `config.json` fixes.

The shapes are those of the published implementations (Hugging Face transformers and diffusers, by `model_type` or
`_class_name`). What is not known here is said so; no count is ever guessed.
"""

from collections.abc import Callable, Mapping
from typing import Any

Config = Mapping[str, Any]


class NotKnown(Exception):
    """The count cannot be had from the config; the message says why."""


def parameters(config: Config) -> int:
    """Parameters of the model as it is served: vocabulary projections that are tied count once.

    Raises:
        NotKnown: the architecture is none of ours, or a field is missing.
    """
    kind = str(config.get("model_type") or config.get("_class_name") or "")
    count = _COUNTS.get(kind)
    if count is None:
        raise NotKnown(f"the architecture {kind!r} is not one whose shapes are known here")
    try:
        return count(config)
    except KeyError as err:
        raise NotKnown(f"the config of {kind!r} has no field {err}") from None
    except (TypeError, ValueError) as err:
        raise NotKnown(f"the config of {kind!r} cannot be read: {err}") from None


def is_known(config: Config) -> bool:
    return str(config.get("model_type") or config.get("_class_name") or "") in _COUNTS


def head_dim(config: Config) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def kv_heads(config: Config) -> int:
    return int(config.get("num_key_value_heads") or config["num_attention_heads"])


# --- decoders ----------------------------------------------------------------------------------------------------


def _llama_like(
    config: Config,
    *,
    qkv_bias: bool = False,
    out_bias: bool = False,
    qk_norm: bool = False,
    norms: int = 2,
    tied: bool = False,
) -> int:
    """Grouped attention and a gated feed-forward, as in LLaMA; `norms` are those of one layer."""
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    attention = _attention(config, qkv_bias=qkv_bias, out_bias=out_bias, qk_norm=qk_norm)
    per_layer = attention + 3 * hidden * config["intermediate_size"] + norms * hidden
    return int(layers * per_layer + _ends(config, tied=tied))


def _attention(config: Config, *, qkv_bias: bool = False, out_bias: bool = False, qk_norm: bool = False) -> int:
    hidden, width = config["hidden_size"], head_dim(config)
    queries, keys = config["num_attention_heads"] * width, kv_heads(config) * width
    count = 2 * hidden * queries + 2 * hidden * keys
    return int(count + (queries + 2 * keys) * qkv_bias + hidden * out_bias + (2 * width if qk_norm else 0))


def _ends(config: Config, *, tied: bool = False) -> int:
    """Embeddings, the last norm, and the projection to the vocabulary unless it is tied."""
    hidden = config["hidden_size"]
    vocabularies = 1 if config.get("tie_word_embeddings", tied) else 2
    return int(vocabularies * config["vocab_size"] * hidden + hidden)


def _llama(config: Config) -> int:
    biased = bool(config.get("attention_bias"))
    if config.get("mlp_bias"):
        raise NotKnown("a feed-forward with bias is not one of the shapes known here")
    return _llama_like(config, qkv_bias=biased, out_bias=biased)


def _qwen2(config: Config) -> int:
    return _llama_like(config, qkv_bias=True)


def _qwen3(config: Config) -> int:
    return _llama_like(config, qkv_bias=bool(config.get("attention_bias")), qk_norm=True)


def _gemma(config: Config) -> int:
    return _llama_like(config, tied=True)


def _gemma2(config: Config) -> int:
    return _llama_like(config, norms=4, tied=True)


def _gemma3(config: Config) -> int:
    return _llama_like(config, norms=4, qk_norm=True, tied=True)


def _phi(config: Config) -> int:
    """Phi-1.5 and Phi-2: one norm for attention and feed-forward, biases everywhere, also at the vocabulary."""
    hidden, inner, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    per_layer = _attention(config, qkv_bias=True, out_bias=True) + 2 * hidden * inner + inner + hidden + 2 * hidden
    return int(config["num_hidden_layers"] * per_layer + 2 * vocab * hidden + vocab + 2 * hidden)


# --- mixtures of experts -----------------------------------------------------------------------------------------


def _mixtral(config: Config) -> int:
    hidden, experts = config["hidden_size"], config["num_local_experts"]
    per_layer = _attention(config) + experts * 3 * hidden * config["intermediate_size"] + experts * hidden + 2 * hidden
    return int(config["num_hidden_layers"] * per_layer + _ends(config))


def _qwen_moe(config: Config, *, shared: bool, qkv_bias: bool, qk_norm: bool) -> int:
    hidden, layers, experts = config["hidden_size"], config["num_hidden_layers"], config["num_experts"]
    attention = _attention(config, qkv_bias=qkv_bias, qk_norm=qk_norm) + 2 * hidden
    sparse = experts * 3 * hidden * config["moe_intermediate_size"] + experts * hidden
    if shared:  # one more expert for all tokens, and its gate
        sparse += 3 * hidden * config["shared_expert_intermediate_size"] + hidden
    step, dense_layers = config.get("decoder_sparse_step", 1), set(config.get("mlp_only_layers") or ())
    dense = sum(1 for layer in range(layers) if layer in dense_layers or (layer + 1) % step)
    feed = (layers - dense) * sparse + dense * 3 * hidden * config["intermediate_size"]
    return int(layers * attention + feed + _ends(config))


def _qwen2_moe(config: Config) -> int:
    return _qwen_moe(config, shared=True, qkv_bias=True, qk_norm=False)


def _qwen3_moe(config: Config) -> int:
    return _qwen_moe(config, shared=False, qkv_bias=bool(config.get("attention_bias")), qk_norm=True)


def _deepseek(config: Config) -> int:
    """DeepSeek V2 and V3: latent attention, some dense layers first, shared experts. Without layers that only guess
    further tokens (`num_nextn_predict_layers`), which are stored beside the model."""
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    experts, inner = config["n_routed_experts"], config["moe_intermediate_size"]
    sparse = (experts + config.get("n_shared_experts", 0)) * 3 * hidden * inner + experts * hidden
    if config.get("topk_method") == "noaux_tc":
        sparse += experts  # a bias that balances the experts
    first = config.get("first_k_dense_replace", 0)
    dense = 3 * hidden * config["intermediate_size"]
    return int(
        layers * (_latent_attention(config) + 2 * hidden) + first * dense + (layers - first) * sparse + _ends(config)
    )


def _latent_attention(config: Config) -> int:
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    plain, turned, values = config["qk_nope_head_dim"], config["qk_rope_head_dim"], config["v_head_dim"]
    latent, queries = config["kv_lora_rank"], heads * (plain + turned)
    low = config.get("q_lora_rank")
    to_queries = hidden * low + low + low * queries if low else hidden * queries
    to_latent = hidden * (latent + turned) + latent
    return int(to_queries + to_latent + latent * heads * (plain + values) + heads * values * hidden)


# --- encoders ----------------------------------------------------------------------------------------------------


def _bert_like(config: Config, *, pooler: bool = True) -> int:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    rows = config["vocab_size"] + config["max_position_embeddings"] + config.get("type_vocab_size", 2)
    per_layer = 4 * (hidden * hidden + hidden) + 2 * hidden * inner + inner + hidden + 4 * hidden
    return int(
        rows * hidden
        + 2 * hidden
        + config["num_hidden_layers"] * per_layer
        + (hidden * hidden + hidden if pooler else 0)
    )


def _distilbert(config: Config) -> int:
    hidden, inner = config["dim"], config["hidden_dim"]
    per_layer = 4 * (hidden * hidden + hidden) + 2 * hidden * inner + inner + hidden + 4 * hidden
    rows = config["vocab_size"] + config["max_position_embeddings"]
    return int(rows * hidden + 2 * hidden + config["n_layers"] * per_layer)


def _whisper(config: Config) -> int:
    """Encoder and decoder; keys have no bias, and the vocabulary's projection is the embedding."""
    width, bins = config["d_model"], config["num_mel_bins"]

    def feed_forward(inner: int) -> int:
        return int(2 * width * inner + inner + width + 2 * width)

    attention = 4 * width * width + 3 * width + 2 * width  # with the norm before it
    encoder = 3 * bins * width + width + 3 * width * width + width + config["max_source_positions"] * width + 2 * width
    encoder += config["encoder_layers"] * (attention + feed_forward(config["encoder_ffn_dim"]))
    decoder = (config["vocab_size"] + config["max_target_positions"]) * width + 2 * width
    decoder += config["decoder_layers"] * (2 * attention + feed_forward(config["decoder_ffn_dim"]))
    return int(encoder + decoder)


def _clip_text(config: Config) -> int:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    per_layer = 4 * (hidden * hidden + hidden) + 2 * hidden * inner + inner + hidden + 4 * hidden
    count = (config["vocab_size"] + config["max_position_embeddings"]) * hidden
    projected = "CLIPTextModelWithProjection" in (config.get("architectures") or ())
    return int(
        count
        + config["num_hidden_layers"] * per_layer
        + 2 * hidden
        + (hidden * config["projection_dim"] if projected else 0)
    )


def _t5_encoder(config: Config) -> int:
    if "T5EncoderModel" not in (config.get("architectures") or ()):
        raise NotKnown("of T5 only the encoder alone is known here")
    hidden, inner, width = config["d_model"], config["d_ff"], config["num_heads"] * config["d_kv"]
    gated = str(config.get("feed_forward_proj", "relu")).startswith("gated")
    per_layer = 4 * hidden * width + (3 if gated else 2) * hidden * inner + 2 * hidden
    positions = config["relative_attention_num_buckets"] * config["num_heads"]
    return int(config["vocab_size"] * hidden + config["num_layers"] * per_layer + positions + hidden)


def _flux(config: Config) -> int:
    """The transformer of FLUX.1."""
    width = config["attention_head_dim"]
    hidden = config["num_attention_heads"] * width

    def linear(into: int, out: int) -> int:
        return into * out + out

    stream = linear(hidden, 6 * hidden) + 4 * linear(hidden, hidden) + 2 * width
    stream += linear(hidden, 4 * hidden) + linear(4 * hidden, hidden)
    single = linear(hidden, 3 * hidden) + linear(hidden, 4 * hidden) + 3 * linear(hidden, hidden) + 2 * width
    single += linear(5 * hidden, hidden)
    time = linear(256, hidden) + linear(hidden, hidden)
    ends = linear(config["in_channels"], hidden) + linear(config["joint_attention_dim"], hidden)
    ends += time * (2 if config.get("guidance_embeds") else 1)
    ends += linear(config["pooled_projection_dim"], hidden) + linear(hidden, hidden)
    out = config.get("out_channels") or config["in_channels"]
    ends += linear(hidden, 2 * hidden) + linear(hidden, config["patch_size"] ** 2 * out)
    return int(config["num_layers"] * 2 * stream + config["num_single_layers"] * single + ends)


_COUNTS: Mapping[str, Callable[[Config], int]] = {
    "llama": _llama,
    "mistral": _llama,
    "phi3": _llama,  # its projections are stored as one, which changes no sum
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
    "phi": _phi,
    "mixtral": _mixtral,
    "qwen2_moe": _qwen2_moe,
    "qwen3_moe": _qwen3_moe,
    "deepseek_v2": _deepseek,
    "deepseek_v3": _deepseek,
    "bert": _bert_like,
    "roberta": _bert_like,
    "xlm-roberta": _bert_like,
    "distilbert": _distilbert,
    "whisper": _whisper,
    "clip_text_model": _clip_text,
    "t5": _t5_encoder,
    "FluxTransformer2DModel": _flux,
}
