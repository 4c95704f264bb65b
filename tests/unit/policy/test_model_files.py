"""Which files make a model, and what kind."""

import pytest

from holdfast.contracts.models import ModelFile, ModelKind
from holdfast.policy.model_files import kind_of, refuse_odd_paths, wanted


def files(*paths: str) -> list[ModelFile]:
    return [ModelFile(path=path, size=1) for path in paths]


def kept(*paths: str) -> set[str]:
    return {each.path for each in wanted(files(*paths))}


def test_the_same_weights_are_fetched_once_and_safe_ones_are_preferred() -> None:
    assert kept(
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "pytorch_model-00001-of-00002.bin",
        "pytorch_model.bin.index.json",
        "tf_model.h5",
        "flax_model.msgpack",
        "onnx/model.onnx",
        "original/consolidated.00.pth",
        "consolidated.safetensors",
        ".gitattributes",
    ) == {
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    }


def test_pickled_weights_are_fetched_where_there_are_no_others() -> None:
    assert kept("config.json", "model.bin", "vocabulary.json") == {"config.json", "model.bin", "vocabulary.json"}
    assert "pytorch_model.bin" in kept("config.json", "pytorch_model.bin")


def test_only_what_matches_is_fetched_where_patterns_are_given() -> None:
    there = files("README.md", "x-Q4_K_M.gguf", "x-Q8_0.gguf", "onnx/model.onnx")
    assert [each.path for each in wanted(there, ["*Q4_K_M.gguf", "onnx/*"])] == ["x-Q4_K_M.gguf", "onnx/model.onnx"]
    assert wanted(there, ["*.none"]) == ()


def test_a_pipeline_is_fetched_by_its_parts_and_not_as_one_file() -> None:
    assert kept("model_index.json", "flux1-dev.safetensors", "transformer/model.safetensors", "vae/model.bin") == {
        "model_index.json",
        "transformer/model.safetensors",
        "vae/model.bin",
    }


@pytest.mark.parametrize(
    ("paths", "config", "kind"),
    [
        (["config.json"], {"architectures": ["LlamaForCausalLM"]}, ModelKind.LLM),
        (["config.json"], {"architectures": ["Gemma3ForConditionalGeneration"]}, ModelKind.LLM),
        (
            ["config.json"],
            {"model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"]},
            ModelKind.SPEECH,
        ),
        (["model.bin", "vocabulary.json", "config.json"], {}, ModelKind.SPEECH),
        (["model_index.json"], {}, ModelKind.IMAGE),
        (["modules.json", "config.json"], {"architectures": ["Qwen3ForCausalLM"]}, ModelKind.EMBEDDING),
        (["config.json"], {"model_type": "bert", "architectures": ["BertModel"]}, ModelKind.EMBEDDING),
        (["weights.dat"], {}, None),
    ],
)
def test_the_files_say_what_kind_it_is_or_that_they_do_not(
    paths: list[str], config: dict[str, object], kind: ModelKind | None
) -> None:
    assert kind_of(paths, config) is kind


@pytest.mark.parametrize("path", ["../up", "/etc/passwd", "a//b", "a/../b", "a\\b", "", "a/./b", "line\nbreak"])
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="cannot be a file of a model"):
        refuse_odd_paths(files("config.json", path))


def test_a_path_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="config"):
        refuse_odd_paths(files("config.json", "config.json"))
    refuse_odd_paths(files("a", "b/a"))
