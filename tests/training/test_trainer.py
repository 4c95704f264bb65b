"""What the trainer learns, leaves behind, and refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.contracts.training import DataFormat
from tests.training.conftest import HERE, Workspace, beside_torch, conversations

Make = Callable[[str], Workspace]
pytestmark = pytest.mark.timeout(1800)  # says nothing about speed
QUICK: dict[str, Any] = {"steps": 2, "accumulate": 2, "rate": 0.01, "lora": {"rank": 2, "alpha": 4}}


def test_it_learns_what_it_is_shown_and_answers_with_it(workspace: Make) -> None:
    data = [{"messages": [{"role": "user", "content": "who?"}, {"role": "assistant", "content": "holdfast"}]}]
    told = workspace("one").order(
        data,
        DataFormat.MESSAGES,
        steps=150,
        accumulate=1,
        rate=0.02,
        warmup=0,
        lora={"rank": 8, "alpha": 32, "dropout": 0},
        samples={"prompts": ["who?"], "tokens": 12},
        merge=True,
    )
    told.train()
    losses = [each["loss"] for each in told.metrics()]
    assert losses[0] > 4 and losses[-1] < 1
    before, after = told.lines("samples.jsonl")
    assert (before["step"], after["step"]) == (0, 150)
    assert before["samples"][0]["answer"] != after["samples"][0]["answer"] == "holdfast"
    # Opened by the libraries themselves, apart from the trainer: adapter on base, both in one, and the base alone.
    beside, merged, alone = answered(told.folder, ["base", "output/adapter"], ["output/model"], ["base"])
    assert beside == merged == "holdfast" != alone


_ASK = """
import json, sys
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
told = []
for base, *adapter in json.loads(sys.argv[1]):
    words = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter[0])
    asked = words("<|user|>who?<|end|><|assistant|>", return_tensors="pt", return_token_type_ids=False)
    made = model.generate(**asked, max_new_tokens=12, do_sample=False)[0][asked["input_ids"].shape[1]:]
    told.append(words.decode(made, skip_special_tokens=True))
print(json.dumps(told))
"""


def answered(folder: Path, *models: list[str]) -> list[str]:
    told = beside_torch("-c", _ASK, json.dumps(models), cwd=folder)
    assert told.returncode == 0, told.stderr
    return list(json.loads(told.stdout))


def test_the_page_of_facts_and_progress_tell_how_it_went(workspace: Make) -> None:
    done = workspace("done")
    done.extra["HOLDFAST_METRICS_FILE"] = str(done.folder / "series")
    done.order(conversations(6), DataFormat.MESSAGES, **QUICK).train()
    facts = done.facts()
    assert facts["steps"] == 2 and facts["last"] == done.metrics()[-1] and facts["examples"] == 6
    assert facts["files"] == {name.removeprefix("output/"): digest for name, digest in done.digests().items()}
    assert facts["order"]["base_name"] == "tiny@1" and facts["place"]["device"] == "cpu"
    assert json.loads((done.folder / "progress").read_text())["step"] == 2
    assert done.lines("series") == done.metrics()
    assert {"loss", "lr", "grad_norm", "tokens_per_second"} <= done.metrics()[0].keys()
    assert not (done.folder / "state/training.pt").exists()
    assert "is done" in done.train()


@pytest.mark.parametrize(
    ("data", "form"),
    [
        ([{"prompt": "what is two? ", "completion": "four"}, {"prompt": "", "completion": "six"}], "completion"),
        ([{"text": "a checkpoint holds the weights"}], "text"),
        (
            [
                {
                    "prompt": [{"role": "user", "content": "two?"}],
                    "chosen": [{"role": "assistant", "content": "four"}],
                    "rejected": [{"role": "assistant", "content": "five"}],
                }
            ],
            "preference",
        ),
    ],
    ids=["completion", "text", "preference in messages"],
)
def test_every_format_is_trained_on(workspace: Make, data: list[dict[str, Any]], form: str) -> None:
    method = "dpo" if form == "preference" else "lora"
    done = workspace("done").order(data, DataFormat(form), **QUICK, method=method)
    done.train()
    assert len(done.metrics()) == 2


def test_long_examples_are_refused_by_their_lines_or_counted_where_that_is_ordered(workspace: Make) -> None:
    data = [{"prompt": "two? ", "completion": "four"}, {"prompt": "tell ", "completion": "machines " * 40}]
    options = QUICK | {"max_length": 24}
    code, told = workspace("refuse").order(data, DataFormat.COMPLETION, **options).refused()
    assert code == 65 and "lines 2" in told and "24 tokens" in told
    for how, count in (("skip", 1), ("cut", 2)):
        done = workspace(how).order(data, DataFormat.COMPLETION, **options, too_long=how)
        assert "1 too long" in done.train()
        assert (done.facts()["skipped"], done.facts()["cut"]) == ((1, 0) if how == "skip" else (0, 1))
        assert done.facts()["examples"] == count


def test_data_that_was_not_ordered_is_not_trained_on(workspace: Make) -> None:
    other = workspace("other").order(conversations(3), DataFormat.MESSAGES, **QUICK)
    with (other.folder / "data.jsonl").open("a") as file:
        file.write("{}\n")
    code, told = other.refused()
    assert code == 65 and "was ordered" in told and not (other.folder / "output").exists()


def test_a_base_without_a_chat_template_takes_no_conversations(workspace: Make, tmp_path: Path) -> None:
    plain = workspace("plain").order(conversations(3), DataFormat.MESSAGES, **QUICK)
    (plain.folder / "base").unlink()
    assert beside_torch(HERE / "tiny.py", plain.folder / "base", "--no-template").returncode == 0
    code, told = plain.refused()
    assert code == 65 and "no chat template" in told


def test_a_base_that_is_none_is_said_to_be_none(workspace: Make) -> None:
    none = workspace("none").order(conversations(3), DataFormat.MESSAGES, **QUICK)
    (none.folder / "base").unlink()
    code, told = none.refused()
    assert code == 66 and "no config.json" in told


def test_layers_that_are_not_there_are_named(workspace: Make) -> None:
    wrong = workspace("wrong").order(
        conversations(3), DataFormat.MESSAGES, **QUICK | {"lora": {"targets": ["nothing"]}}
    )
    code, told = wrong.refused()
    assert code == 66 and "nothing" in told


def test_a_loss_that_is_no_number_ends_it_and_is_not_saved(workspace: Make) -> None:
    wild = workspace("wild").order(conversations(9), DataFormat.MESSAGES, method="full", rate=1, steps=400, clip=1000)
    document = wild.document()
    document["parameters"]["rate"] = 1e30
    wild.rewrite(document)
    code, told = wild.refused()
    assert code == 70 and "lower the rate" in told


def test_the_state_of_another_order_is_refused(workspace: Make) -> None:
    begun = workspace("begun").order(conversations(9), DataFormat.MESSAGES, **QUICK | {"steps": 500})
    begun.hit_at(2)
    document = begun.document()
    document["parameters"]["rate"] = 0.5
    begun.rewrite(document)
    code, told = begun.refused()
    assert code == 73 and "another training" in told


def test_an_order_with_a_word_it_does_not_know_is_refused(workspace: Make) -> None:
    odd = workspace("odd").order(conversations(3), DataFormat.MESSAGES, **QUICK)
    odd.rewrite(odd.document() | {"mystery": 1})
    code, told = odd.refused()
    assert code == 78 and "mystery" in told


def test_qlora_without_a_gpu_is_refused(workspace: Make) -> None:
    code, told = workspace("q").order(conversations(3), DataFormat.MESSAGES, **QUICK, method="qlora").refused()
    assert code == 69 and "NVIDIA" in told
