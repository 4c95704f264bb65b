"""`holdfast finetune templates|validate|estimate`: answered without any server, and without anything rented."""

import hashlib
import json
from pathlib import Path

import pytest

from .conftest import Run

CONFIGS = Path(__file__).parents[1] / "unit/policy/model_configs"
GOOD = {"messages": [{"role": "user", "content": "two?"}, {"role": "assistant", "content": "four"}]}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with the config of a public model, and nothing else."""
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(json.loads((CONFIGS / "llama-3.1-8b.json").read_text())["config"]))
    return folder


async def test_templates_are_listed_with_what_they_take(cli: Run) -> None:
    told = await cli("finetune", "templates")
    assert told.code == 0
    assert {line.split()[0] for line in told.out.splitlines()[1:]} == {"dpo", "full", "lora", "lora-short", "qlora"}
    document = (await cli("finetune", "templates", "--json")).document
    assert next(each for each in document if each["name"] == "dpo")["parameters"]["method"] == "dpo"


async def test_a_good_data_set_is_pinned_and_a_sample_of_it_shown(cli: Run, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(GOOD) + "\n")
    told = await cli("finetune", "validate", str(path))
    assert told.code == 0 and "can be trained on" in told.out and '"four"' in told.out
    assert hashlib.sha256(path.read_bytes()).hexdigest() in told.out
    document = (await cli("finetune", "validate", str(path), "--json")).document
    assert document["format"] == "messages" and json.loads(document["sample"][0]) == GOOD


async def test_every_bad_line_is_named_and_the_exit_code_says_so(cli: Run, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n{\n" + json.dumps(GOOD).encode() + b'\n{"messages": []}\n')
    told = await cli("finetune", "validate", str(path))
    assert told.code == 3
    assert "line 2: is no JSON" in told.out and "line 4: messages must be" in told.out
    assert "line 3: says the same as line 1" in told.out and "cannot be trained on" in told.out
    document = (await cli("finetune", "validate", str(path), "--json")).document
    assert (document["refusals"], document["duplicates"]) == (2, 1)


async def test_a_file_that_is_not_there_is_an_error_with_a_remedy(cli: Run) -> None:
    told = await cli("finetune", "validate", "nowhere.jsonl")
    assert told.code == 3 and "nowhere.jsonl cannot be read" in told.err and told.out == ""


async def test_the_memory_is_told_part_by_part(cli: Run, base: Path) -> None:
    told = await cli("finetune", "estimate", "--base", str(base), "--template", "qlora", "--set", "max_length=1024")
    assert told.code == 0 and "base" in told.out and "2305.14314" in told.out and "fits a GPU of" in told.out
    document = (await cli("finetune", "estimate", "--base", str(base / "config.json"), "--json")).document
    assert document["total"] == sum(each["size"] for each in document["parts"])
    assert document["gpu_memory_gb"] == 24


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        (("--template", "dream"), 3, "there are dpo, full, lora"),
        (("--set", "rate"), 3, "write it like rate=1e-4"),
        (("--set", "samples.prompts=[who?]"), 3, "quote texts"),
        (("--set", "speed=9"), 3, "speed: is no parameter"),
        (("--set", "lora.rank=0"), 3, "lora.rank: Input should be greater"),
        (("--set", "method.rank=0"), 3, "method has no parts"),
        (("--set", "lora.targets=[nothing]"), 3, "no layer nothing; it has q_proj"),
        (("--template", "full", "--set", "batch=64", "--set", "gradient_checkpointing=false"), 5, "the method lora"),
    ],
)
async def test_what_cannot_be_is_refused_with_what_can(
    cli: Run, base: Path, options: tuple[str, ...], code: int, why: str
) -> None:
    told = await cli("finetune", "estimate", "--base", str(base), *options)
    assert told.code == code and why in told.err and "hint:" in told.err and told.out == ""


async def test_a_change_may_be_written_as_numbers_are(cli: Run, base: Path) -> None:
    told = await cli("finetune", "estimate", "--base", str(base), "--set", "rate=1e-4", "--json")
    assert told.code == 0 and told.document["method"] == "lora"


@pytest.mark.parametrize(
    ("config", "why"),
    [({"model_type": "oracle"}, "'oracle'"), ([], "config.json"), (None, "config.json")],
    ids=["unknown", "no object", "nothing"],
)
async def test_a_base_that_is_not_known_is_not_guessed_at(cli: Run, base: Path, config: object, why: str) -> None:
    (base / "config.json").unlink()
    if config is not None:
        (base / "config.json").write_text(json.dumps(config))
    told = await cli("finetune", "estimate", "--base", str(base))
    assert told.code == 2 and why in told.err


async def test_how_to_deploy_without_a_name_to_deploy_it_behind_is_a_mistake(cli: Run, base: Path) -> None:
    asked = ("finetune", "submit", "x", "--base", str(base), "--dataset", "d.jsonl", "--max-hourly", "1")
    told = await cli(*asked, "--deploy-recipe", "vllm")
    assert told.code == 2 and "add --deploy NAME" in told.err
