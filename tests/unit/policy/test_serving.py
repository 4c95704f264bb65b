"""From a model and a recipe to an endpoint. The recipes are those that come with the package."""

import json
import shlex
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from holdfast.contracts.models import ModelKind, ModelNeeds, ModelVersion, ServeOptions
from holdfast.contracts.training import DataFormat, DataPin, HyperParameters, Lineage
from holdfast.models.cookbook import recipes
from holdfast.policy.model_memory import GIB, needs_of
from holdfast.policy.model_shapes import NotKnown
from holdfast.policy.serving import SPARE_DISK_GB, endpoint_spec, recipe_for, smoke_request

RECIPES = recipes()
PRICE = ServeOptions(max_hourly=Decimal("2.50"))


def model(
    name: str = "llama-3.1-8b", kind: ModelKind = ModelKind.LLM, *, bytes_total: int = 16_000_000_000
) -> ModelVersion:
    path = Path(__file__).parent / "model_configs" / f"{name}.json"
    return ModelVersion(
        name="mine",
        version=3,
        kind=kind,
        source="hf:org/mine",
        revision="c" * 40,
        licence="mit",
        gated=False,
        digest="d" * 64,
        manifest="manifests/model--mine/…",
        files=4,
        bytes_total=bytes_total,
        needs=needs_of(json.loads(path.read_text())["config"], kind=kind),
        registered_at=datetime(2026, 1, 2, tzinfo=UTC),
    )


def test_there_is_a_recipe_for_every_kind_and_each_names_itself() -> None:
    served = {kind for each in RECIPES.values() for kind in each.kinds}
    assert served == set(ModelKind)
    assert {"vllm", "speaches", "vllm-omni", "text-embeddings", "command"} == set(RECIPES)


@pytest.mark.parametrize(
    ("kind", "paths", "recipe"),
    [
        (ModelKind.LLM, (), "vllm"),
        (ModelKind.SPEECH, ("model.safetensors",), "vllm"),
        (ModelKind.SPEECH, ("model.bin", "vocabulary.json"), "speaches"),
        (ModelKind.IMAGE, (), "vllm-omni"),
        (ModelKind.EMBEDDING, (), "text-embeddings"),
        (ModelKind.OTHER, (), "command"),
    ],
)
def test_the_kind_and_the_files_choose_the_recipe(kind: ModelKind, paths: tuple[str, ...], recipe: str) -> None:
    assert recipe_for(model(kind=kind), paths) == recipe
    assert kind in RECIPES[recipe].kinds


def test_a_language_model_is_served_with_the_context_that_its_memory_is_computed_for() -> None:
    options = replace(PRICE, context=32_768, sequences=16, gpus=2, gpu="H100")
    spec = endpoint_spec(model(), RECIPES["vllm"], options)
    words = shlex.split(spec.workload.command)
    assert words[:4] == ["exec", "vllm", "serve", "."]
    assert words[words.index("--max-model-len") + 1] == "32768"
    assert words[words.index("--max-num-seqs") + 1] == "16"
    assert words[words.index("--tensor-parallel-size") + 1] == "2"
    assert words[words.index("--served-model-name") + 1] == "mine"
    assert words[words.index("--host") + 1] == "127.0.0.1"
    cache = 16 * 32_768 * 128 * 1024
    each = ((2 * 8_030_261_248 * 1.1 + cache) / 2 + 1.5 * GIB) / 0.9 / GIB
    assert spec.workload.resources.gpu_memory_gb == pytest.approx(each / 0.97, abs=0.11)
    assert (spec.workload.resources.gpu_count, spec.workload.resources.gpu) == (2, "H100")
    assert (spec.service.port, spec.service.health, spec.scale.in_flight) == (8000, "/health", 16)


def test_without_a_word_on_context_a_common_one_is_served_and_never_more_than_the_model_s() -> None:
    long = endpoint_spec(model(), RECIPES["vllm"], PRICE)
    assert "--max-model-len 8192" in long.workload.command
    short = endpoint_spec(model("phi-2"), RECIPES["vllm"], PRICE)
    assert "--max-model-len 2048" in short.workload.command
    with pytest.raises(ValueError, match="2048 tokens"):
        endpoint_spec(model("phi-2"), RECIPES["vllm"], replace(PRICE, context=4096))


def test_the_endpoint_is_named_as_asked_and_reached_under_the_model_s_name_and_others() -> None:
    spec = endpoint_spec(model(), RECIPES["vllm"], replace(PRICE, endpoint="chat", models=("gpt-mine", "mine")))
    assert (spec.name, spec.models) == ("chat", ("mine", "gpt-mine"))
    assert spec.workload.name == "chat-r0"
    assert spec.workload.price.max_hourly == Decimal("2.50")


def test_the_disk_holds_the_model_and_the_server() -> None:
    assert endpoint_spec(model(), RECIPES["vllm"], PRICE).workload.resources.disk_gb == 16 + SPARE_DISK_GB


def test_a_memory_that_was_stated_is_taken_at_its_word() -> None:
    stated = replace(model(), needs=ModelNeeds(unknown="nobody knows", stated_bytes=24 * GIB))
    spec = endpoint_spec(stated, replace(RECIPES["vllm"], memory_share=1.0), PRICE)
    assert spec.workload.resources.gpu_memory_gb == 24


def test_a_model_of_which_the_need_is_not_known_is_not_served_by_guess() -> None:
    with pytest.raises(NotKnown, match="nobody knows"):
        endpoint_spec(replace(model(), needs=ModelNeeds(unknown="nobody knows")), RECIPES["vllm"], PRICE)


def test_what_does_not_fit_a_recipe_is_refused() -> None:
    with pytest.raises(ValueError, match="serves embedding, and mine is llm"):
        endpoint_spec(model(), RECIPES["text-embeddings"], PRICE)
    speech = model("whisper-large-v3", ModelKind.SPEECH)
    with pytest.raises(ValueError, match="over 1 GPUs"):
        endpoint_spec(speech, RECIPES["speaches"], replace(PRICE, gpus=2))
    with pytest.raises(ValueError, match="needs an image and a command"):
        endpoint_spec(model(), RECIPES["command"], PRICE)


def test_a_command_of_one_s_own_is_told_port_and_name() -> None:
    options = replace(PRICE, image="mine:1", command="python serve.py", port=9000, health="/ok")
    spec = endpoint_spec(model(), RECIPES["command"], options)
    assert (spec.workload.image, spec.workload.command) == ("mine:1", "python serve.py")
    assert spec.workload.environment == {"PORT": "9000", "MODEL_NAME": "mine"}
    assert (spec.service.port, spec.service.health) == (9000, "/ok")


def test_further_words_reach_the_server_as_they_are() -> None:
    nasty = "a b; echo $HOME 'quoted'"
    spec = endpoint_spec(model(), RECIPES["vllm"], replace(PRICE, arguments=("--chat-template", nasty)))
    shown = subprocess.run(
        ["sh", "-c", spec.workload.command.replace("exec vllm", "printf '%s\\n'", 1)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines()[-2:] == ["--chat-template", nasty]


def test_speech_in_ctranslate2_s_format_is_laid_out_as_the_hub_s_cache(tmp_path: Path) -> None:
    spec = endpoint_spec(model("whisper-large-v3", ModelKind.SPEECH), RECIPES["speaches"], PRICE)
    workspace, home = tmp_path / "workspace", tmp_path / "home"
    workspace.mkdir()
    (workspace / "model.bin").write_text("weights")
    assert spec.workload.setup is not None
    subprocess.run(
        ["sh", "-c", spec.workload.setup], cwd=workspace, env={"HOME": str(home), "PATH": "/usr/bin:/bin"}, check=True
    )
    hub = home / ".cache/huggingface/hub/models--holdfast--mine"
    commit = (hub / "refs/main").read_text()
    assert (hub / "snapshots" / commit / "model.bin").read_text() == "weights"
    assert spec.models == ("holdfast/mine",)
    assert spec.workload.environment["HF_HUB_OFFLINE"] == "1"


def tuned(**parameters: object) -> ModelVersion:
    """As a fine-tuning registers it: an adapter's own files, and its base beside them."""
    lineage = Lineage(
        base="hf:org/base@abc",
        base_sha256="b" * 64,
        data=DataPin(name="d.jsonl", sha256="d" * 64, format=DataFormat.MESSAGES, examples=1, bytes_total=1),
        parameters=HyperParameters.model_validate({"samples": {"prompts": ["two?"]}, **parameters}),
        trainer="",
        holdfast="",
        job="mine",
        steps=1,
        loss=1,
        held_out_loss=None,
        attempts=1,
        incidents=0,
        cost=Decimal(1),
        differs=(),
        place={},
    )
    return replace(model(bytes_total=100_000_000), lineage=lineage)


@pytest.mark.parametrize(("rank", "most"), [(4, "8"), (16, "16"), (100, "128")])
def test_an_adapter_is_served_beside_its_base_under_two_names(rank: int, most: str) -> None:
    spec = endpoint_spec(tuned(lora={"rank": rank}), RECIPES["vllm"], PRICE)
    words = shlex.split(spec.workload.command or "")
    assert words[1:4] == ["vllm", "serve", "base"]
    assert words[words.index("--served-model-name") + 1] == "mine-base"
    adapter = words.index("--enable-lora")
    assert words[adapter + 1 : adapter + 5] == ["--max-lora-rank", most, "--lora-modules", "mine=."]
    assert spec.models == ("mine", "mine-base")
    assert spec.workload.resources.disk_gb > SPARE_DISK_GB + 15, "the base's files are there, too"
    asked = smoke_request(tuned(), RECIPES["vllm"], PRICE).comparison
    assert asked is not None and (asked.model, asked.base, asked.is_chat) == ("mine", "mine-base", True)
    assert [each.prompt for each in asked.probes] == ["two?"]


def test_a_whole_tuned_model_is_served_as_any_and_compared_with_what_the_trainer_heard() -> None:
    for whole in (tuned(merge=True), tuned(method="full")):
        spec = endpoint_spec(whole, RECIPES["vllm"], PRICE)
        assert "serve . " in (spec.workload.command or "") and "lora" not in (spec.workload.command or "")
        assert spec.models == ("mine",)
        asked = smoke_request(whole, RECIPES["vllm"], PRICE).comparison
        assert asked is not None and asked.base == ""


def test_a_model_that_was_not_tuned_and_a_server_of_unknown_words_are_compared_with_nothing() -> None:
    assert smoke_request(model(), RECIPES["vllm"], PRICE).comparison is None
    own = replace(PRICE, image="python:3.12", command="serve")
    assert smoke_request(tuned(), RECIPES["command"], own).comparison is None


def test_servers_of_language_models_are_told_nothing_that_is_known_only_after_a_training() -> None:
    for each in RECIPES.values():
        if ModelKind.LLM in each.kinds:
            told = json.dumps([each.command, dict(each.environment), each.setup])
            assert "{version}" not in told and "{revision}" not in told
