"""What models need, against what their makers publish. Facts only: `model_configs/` holds field values and counts."""

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.contracts.models import ModelKind, ModelNeeds
from holdfast.policy.model_cache import cache_layers
from holdfast.policy.model_memory import (
    GIB,
    RUNTIME_PER_GPU,
    Measured,
    memory_need,
    needs_of,
    sequence_bytes,
    weights_bytes,
)
from holdfast.policy.model_shapes import NotKnown, parameters

CONFIGS = sorted((Path(__file__).parent / "model_configs").glob("*.json"))
KIB = 1024


def document(name: str) -> dict[str, Any]:
    return dict(json.loads((Path(__file__).parent / "model_configs" / f"{name}.json").read_text()))


def config(name: str, **changes: object) -> dict[str, Any]:
    return document(name)["config"] | changes


def needs(name: str, kind: ModelKind = ModelKind.LLM, **changes: object) -> ModelNeeds:
    return needs_of(config(name, **changes), kind=kind)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_count_from_the_shapes_is_the_published_one(path: Path) -> None:
    told = document(path.stem)
    assert parameters(told["config"]) == pytest.approx(told["published_parameters"], rel=1e-6)


def test_there_are_models_of_every_family() -> None:
    kinds = {config(path.stem).get("model_type") for path in CONFIGS}
    families = {"llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "gemma2", "phi", "bert", "whisper", "t5"}
    assert len(CONFIGS) >= 20 and families <= kinds


@pytest.mark.parametrize(
    ("name", "per_token"),
    [
        ("llama-2-7b", 512 * KIB),  # 2 x 32 layers x 32 heads x 128 x 2 bytes
        ("llama-3.1-8b", 128 * KIB),
        ("llama-3.1-70b", 320 * KIB),
        ("qwen2.5-7b", 56 * KIB),
        ("deepseek-v3", 70_272),  # 61 layers x (512 + 64) x 2 bytes: the latent cache, as its makers count it
    ],
)
def test_a_token_s_cache_is_what_the_architecture_keeps(name: str, per_token: int) -> None:
    assert needs(name).cache_bytes_per_token == per_token


def test_layers_with_a_window_keep_no_more_than_it() -> None:
    every = needs("mistral-7b-v0.1")
    assert sequence_bytes(every, 4096) == sequence_bytes(every, 32_768) == 4096 * 128 * KIB
    half = needs("gemma-2-9b")  # every other layer looks back 4096 tokens
    assert sequence_bytes(half, 8192) == sequence_bytes(half, 4096) * 3 // 2
    assert [(each.layers, each.window) for each in cache_layers(config("gemma-3-1b"))] == [(22, 512), (4, None)]


def test_a_window_that_is_switched_off_is_none() -> None:
    assert [each.window for each in cache_layers(config("qwen2.5-7b"))] == [None]
    on = cache_layers(config("qwen2.5-7b", use_sliding_window=True, sliding_window=4096, max_window_layers=20))
    assert [(each.layers, each.window) for each in on] == [(20, None), (8, 4096)]


def test_layer_types_win_over_what_the_family_usually_has() -> None:
    told = config("qwen3-8b", layer_types=["full_attention"] * 30 + ["sliding_attention"] * 6, sliding_window=1024)
    assert [(each.layers, each.window) for each in cache_layers(told)] == [(30, None), (6, 1024)]
    with pytest.raises(NotKnown, match="linear_attention"):
        cache_layers(config("qwen3-8b", layer_types=["linear_attention"] * 36))


def test_whisper_keeps_its_encoder_s_output_whatever_was_said() -> None:
    told = needs("whisper-large-v3", ModelKind.SPEECH)
    of_sound = 1500 * 32 * 2 * 1280 * 2
    assert sequence_bytes(told, 0) == of_sound
    assert sequence_bytes(told, 448) == of_sound + 448 * 32 * 2 * 1280 * 2


def test_encoders_keep_nothing() -> None:
    assert needs("bge-m3", ModelKind.EMBEDDING).cache == ()


@pytest.mark.parametrize(
    ("name", "published", "within"),
    [
        ("llama-3.1-8b", 16_060_522_496, 0),  # total_size of its index
        ("deepseek-v3", 688_586_727_753, 0.03),  # all files, in 8 bits; they hold one more layer, which only guesses
    ],
)
def test_the_weights_come_to_the_published_size_of_the_files(name: str, published: int, within: float) -> None:
    assert needs(name).weights_bytes == pytest.approx(published, rel=within)


@pytest.mark.parametrize("method", ["awq", "gptq"])
def test_quantized_weights_carry_a_scale_and_a_zero_for_each_group(method: str) -> None:
    told = needs("llama-3.1-8b", quantization_config={"quant_method": method, "bits": 4, "group_size": 128})
    linear, ends = 8_030_261_248 - 2 * 128_256 * 4096, 2 * 128_256 * 4096 * 2
    assert told.weights_bytes == int(linear * (4 + 20 / 128) / 8 + ends)
    ungrouped = needs("llama-3.1-8b", quantization_config={"quant_method": method, "bits": 4, "group_size": -1})
    assert ungrouped.weights_bytes == linear // 2 + ends


def test_bitsandbytes_counts_the_scales_of_its_blocks() -> None:
    plain = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    told = config("llama-3.1-8b", quantization_config=plain)
    linear, ends = 8_030_261_248 - 2 * 128_256 * 4096, 2 * 128_256 * 4096 * 2
    assert weights_bytes(told, 8_030_261_248) == int(linear * 4.5 / 8 + ends)
    twice = config("llama-3.1-8b", quantization_config=plain | {"bnb_4bit_use_double_quant": True})
    assert weights_bytes(twice, 8_030_261_248) < weights_bytes(told, 8_030_261_248)
    eight = config("llama-3.1-8b", quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
    assert weights_bytes(eight, 8_030_261_248) == linear + ends


def test_a_quantization_nobody_knows_leaves_the_size_not_known() -> None:
    told = needs("llama-3.1-8b", quantization_config={"quant_method": "dream"})
    assert told.parameters == 8_030_261_248 and told.weights_bytes is None and "dream" in told.unknown


def test_what_was_measured_wins_over_the_shapes() -> None:
    found = Measured(weights_bytes=5_000, source="safetensors headers", parameters=2_500, dtype="float16")
    told = needs_of(config("llama-3.1-8b"), kind=ModelKind.LLM, measured=found)
    assert (told.weights_bytes, told.parameters, told.dtype) == (5_000, 2_500, "float16")
    assert told.weights_from == "safetensors headers" and not told.unknown


def test_an_unknown_architecture_is_said_to_be_one() -> None:
    told = needs_of({"model_type": "oracle", "hidden_size": 8}, kind=ModelKind.LLM)
    assert told.parameters is None and told.weights_bytes is None and "'oracle'" in told.unknown
    with pytest.raises(NotKnown, match="oracle"):
        memory_need(told, kind=ModelKind.LLM)


def test_measured_weights_of_an_unknown_architecture_still_leave_its_cache_not_known() -> None:
    found = Measured(weights_bytes=5_000, source="safetensors headers")
    told = needs_of({"model_type": "oracle"}, kind=ModelKind.LLM, measured=found)
    assert told.weights_bytes == 5_000
    with pytest.raises(NotKnown, match="what 'oracle' keeps"):
        memory_need(told, kind=ModelKind.LLM)


def test_a_pipeline_of_images_keeps_no_cache_and_is_known_by_its_files() -> None:
    found = Measured(weights_bytes=10 * GIB, source="safetensors headers")
    told = needs_of({"_class_name": "FluxPipeline"}, kind=ModelKind.IMAGE, measured=found)
    assert memory_need(told, kind=ModelKind.IMAGE).total == 10 * GIB * 5 // 4 + RUNTIME_PER_GPU


def test_a_model_that_also_sees_is_not_counted_by_its_words_alone() -> None:
    told = needs_of({"model_type": "gemma3", "text_config": config("gemma-3-1b")}, kind=ModelKind.LLM)
    assert told.weights_bytes is None and "gemma3" in told.unknown
    assert told.cache_bytes_per_token == needs("gemma-3-1b").cache_bytes_per_token


def test_a_field_that_is_missing_is_named() -> None:
    told = config("llama-3.1-8b")
    del told["intermediate_size"]
    with pytest.raises(NotKnown, match="intermediate_size"):
        parameters(told)


def test_the_need_is_weights_cache_and_what_runs_beside_them() -> None:
    told = needs("llama-3.1-8b")
    need = memory_need(told, kind=ModelKind.LLM, context=8192, sequences=8)
    assert need.weights == 2 * 8_030_261_248
    assert need.cache == 8 * 8192 * 128 * KIB == 8 * GIB
    assert need.total == need.weights + need.cache + need.overhead == need.per_gpu
    assert need.overhead == need.weights // 10 + RUNTIME_PER_GPU
    assert "8 x 8192 tokens" in need.assumed


def test_over_several_gpus_weights_are_divided_and_each_has_its_own_runtime() -> None:
    told = needs("llama-3.1-70b")
    one, four = (memory_need(told, kind=ModelKind.LLM, context=8192, gpus=gpus) for gpus in (1, 4))
    assert four.per_gpu == pytest.approx((one.per_gpu - RUNTIME_PER_GPU) / 4 + RUNTIME_PER_GPU, rel=1e-6)
    assert four.total == one.total + 3 * RUNTIME_PER_GPU


def test_fewer_heads_than_gpus_are_kept_more_than_once() -> None:
    latent = needs("deepseek-v3")
    one, eight = (memory_need(latent, kind=ModelKind.LLM, context=8192, gpus=gpus) for gpus in (1, 8))
    assert eight.total - eight.weights - eight.overhead == 8 * one.cache
    told = needs("qwen2.5-7b")  # four heads
    assert memory_need(told, kind=ModelKind.LLM, context=8192, gpus=7).total > 0


def test_heads_that_cannot_be_divided_are_refused() -> None:
    with pytest.raises(ValueError, match="28 attention heads cannot be divided among 8 GPUs"):
        memory_need(needs("qwen2.5-7b"), kind=ModelKind.LLM, gpus=8)


def test_a_server_that_may_take_less_of_a_gpu_needs_a_larger_one() -> None:
    told = needs("llama-3.1-8b")
    whole, most = (memory_need(told, kind=ModelKind.LLM, context=8192, share=share) for share in (1.0, 0.9))
    assert most.per_gpu == pytest.approx(whole.per_gpu / 0.9, rel=1e-6)


def test_what_a_person_states_wins_over_everything() -> None:
    stated = ModelNeeds(unknown="nobody knows", stated_bytes=40 * GIB)
    need = memory_need(stated, kind=ModelKind.LLM, gpus=2)
    assert (need.total, need.per_gpu, need.assumed) == (40 * GIB, 20 * GIB, "as stated")
