"""What a training takes of a GPU, from the shapes of public models."""

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.contracts.training import HyperParameters, Method, TrainingMemory
from holdfast.policy.model_linears import adapter_parameters, linears
from holdfast.policy.model_memory import GIB
from holdfast.policy.model_shapes import NotKnown, parameters
from holdfast.policy.training_memory import NothingFits, training_memory

CONFIGS = Path(__file__).parent / "model_configs"
EIGHT, SEVENTY = "llama-3.1-8b", "llama-3.1-70b"


def config(name: str, **changes: object) -> dict[str, Any]:
    return dict(json.loads((CONFIGS / f"{name}.json").read_text())["config"]) | changes


def memory(name: str, method: Method = Method.LORA, *, gpus: int = 1, **parameters: object) -> TrainingMemory:
    order = HyperParameters.model_validate({"method": method, **parameters})
    return training_memory(config(name), order, gpus=gpus)


def part(told: TrainingMemory, name: str) -> int:
    return next(each.size for each in told.parts if each.name == name)


@pytest.mark.parametrize(
    ("name", "rank", "targets", "published"),
    [
        ("llama-2-7b", 8, ("q_proj", "v_proj"), 4_194_304),  # as alpaca-lora prints it
        ("llama-2-7b", 16, (), 39_976_960),
        (EIGHT, 16, (), 41_943_040),  # as trainers of all linear layers print it
        ("mistral-7b-v0.1", 16, (), 41_943_040),
    ],
)
def test_an_adapter_learns_as_much_as_is_published(
    name: str, rank: int, targets: tuple[str, ...], published: int
) -> None:
    assert adapter_parameters(config(name), rank=rank, targets=targets) == published


@pytest.mark.parametrize("name", [EIGHT, "qwen2.5-7b", "qwen3-8b", "gemma-2-9b", "phi-3-mini", "phi-2"])
def test_the_linear_layers_are_nearly_all_of_a_block(name: str) -> None:
    told = config(name)
    inside = told["num_hidden_layers"] * sum(each.into * each.out for each in linears(told))
    rest = parameters(told) - inside
    ends = told["vocab_size"] * told["hidden_size"]
    assert rest == pytest.approx(ends * round(rest / ends), rel=0.005) and 1 <= round(rest / ends) <= 2


def test_every_part_says_how_it_was_counted() -> None:
    told = memory(EIGHT, Method.QLORA, gpus=2)
    assert told.total == sum(each.size for each in told.parts)
    assert all(each.formula and each.source for each in told.parts)
    assert {"base", "learned", "gradients", "optimizer", "exchange", "activations", "logits", "unpacking"} <= {
        each.name for each in told.parts
    }


def test_an_adapter_leaves_the_base_in_16_bits() -> None:
    told = memory(EIGHT)
    assert part(told, "base") == 2 * 8_030_261_248
    assert part(told, "learned") == 4 * told.learned and part(told, "optimizer") == 8 * told.learned
    assert told.gpu_memory_gb == 24


def test_qlora_s_base_is_a_quarter_and_its_vocabularies_are_whole() -> None:
    told = memory(EIGHT, Method.QLORA)
    ends = 2 * 128_256 * 4096
    assert part(told, "base") == int((8_030_261_248 - ends) * 4.127 / 8 + ends * 4)
    assert told.gpu_memory_gb <= 16


def test_every_weight_takes_sixteen_bytes_and_the_copies_that_are_computed_with() -> None:
    told = memory("qwen2.5-0.5b", Method.FULL)
    held = sum(part(told, name) for name in ("learned", "gradients", "optimizer"))
    assert held == 16 * told.parameters == 16 * told.learned
    assert part(told, "base") == 2 * told.parameters


def test_a_model_of_seventy_billion_is_learned_in_4_bits_on_one_card_of_80() -> None:
    assert memory(SEVENTY, Method.QLORA, batch=1, max_length=1024).gpu_memory_gb in (48, 64, 80)
    assert memory(SEVENTY, Method.LORA).gpu_memory_gb > 141


def test_what_no_card_holds_is_refused_with_what_would_be_smaller() -> None:
    with pytest.raises(NothingFits, match=r"GiB on each GPU.*the method lora"):
        memory(SEVENTY, Method.FULL)
    with pytest.raises(NothingFits, match="a batch of 1"):
        memory(EIGHT, batch=512)


def test_more_tokens_take_more_and_checkpointing_less() -> None:
    short, long = (memory(EIGHT, max_length=length) for length in (512, 2048))
    assert part(long, "activations") == 4 * part(short, "activations")
    assert part(long, "logits") == 4 * part(short, "logits") == 2048 * 128_256 * 14
    kept = memory(EIGHT, max_length=512, gradient_checkpointing=False)
    assert part(kept, "activations") > 8 * part(short, "activations")


def test_pairs_are_read_two_at_a_time() -> None:
    assert part(memory(EIGHT, Method.DPO), "logits") == 2 * part(memory(EIGHT), "logits")


def test_each_of_several_gpus_holds_all_and_an_exchange() -> None:
    one, two = memory(EIGHT), memory(EIGHT, gpus=2)
    assert two.total - one.total == part(two, "exchange") == 4 * one.learned


def test_what_is_not_known_is_said_to_be_so() -> None:
    order = HyperParameters()
    with pytest.raises(NotKnown, match="oracle"):
        training_memory({"model_type": "oracle"}, order)
    with pytest.raises(NotKnown, match="linear layers of the architecture 'mixtral'"):
        training_memory(config("mixtral-8x7b-v0.1"), order)
    with pytest.raises(NotKnown, match="quantized already"):
        training_memory(config(EIGHT, quantization_config={"quant_method": "awq"}), order)
    with pytest.raises(ValueError, match="no layer nothing"):
        memory(EIGHT, lora={"targets": ["nothing"]})


def test_sizes_are_gib_as_offers_state_them() -> None:
    told = memory(EIGHT)
    assert told.total <= told.gpu_memory_gb * GIB
