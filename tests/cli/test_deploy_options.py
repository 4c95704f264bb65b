"""`holdfast deploy`: what is asked for is understood, or refused with what to do, before any server is asked."""

from decimal import Decimal
from pathlib import Path

import pytest

from holdfast.cli.errors import UsageProblem
from holdfast.cli.serve_options import options_from
from holdfast.client.deploying import Wish, planned, read_smoke
from holdfast.client.errors import DeploymentInvalid
from holdfast.contracts.endpoints import SleepSpec
from holdfast.contracts.models import ModelKind, ServeOptions, Smoke
from holdfast.contracts.spec import PauseMode
from tests.unit.policy.test_serving import model

from .conftest import Run

PRICE = Decimal("0.60")


def test_options_are_read_and_what_may_come_again_is_collected() -> None:
    pairs = ["context=4096", "command=run --with=this", "model=a", "model=b", "minimum=0", "region=DE"]
    found = options_from(pairs, max_hourly=PRICE, endpoint="chat", gpu="H100")
    assert found == ServeOptions(
        max_hourly=PRICE,
        endpoint="chat",
        gpu="H100",
        context=4096,
        command="run --with=this",
        models=("a", "b"),
        minimum=0,
        regions=("DE",),
    )


@pytest.mark.parametrize("pair", ["context", "colour=red", "context=many", "gpus=0", "port=-1", "=3", "gpus=²"])
def test_what_is_no_option_is_refused_with_those_that_are(pair: str) -> None:
    with pytest.raises(UsageProblem) as refused:
        options_from([pair], max_hourly=PRICE)
    assert refused.value.remedy.startswith("give ")


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (("qwen@two", "--max-hourly", "1"), "is no version"),
        (("qwen@0", "--max-hourly", "1"), "is no version"),
        (("qwen", "--max-hourly", "cheap"), "no amount"),
        (("qwen", "--max-hourly", "1", "--within", "30"), "not a duration"),
        (("qwen", "--max-hourly", "1", "--within", "3d"), "one day"),
        (("qwen", "--max-hourly", "1", "--smoke", "nowhere.yaml"), "cannot be read"),
        (("qwen", "--max-hourly", "1", "-o", "colour=red"), "no option"),
        (("qwen",), "--max-hourly"),
    ],
)
async def test_a_command_line_that_cannot_be_is_refused(cli: Run, argv: tuple[str, ...], reason: str) -> None:
    refused = await cli("deploy", *argv)
    assert refused.code == 2 and reason in refused.err
    assert refused.out == ""


async def test_a_smoke_test_that_is_none_is_refused(cli: Run, tmp_path: Path) -> None:
    path = tmp_path / "ask.yaml"
    path.write_text("pfad: /x\n")
    refused = await cli("deploy", "qwen", "--max-hourly", "1", "--smoke", str(path))
    assert refused.code == 2 and "there is no 'pfad'" in refused.err and "hint: " in refused.err


def test_a_smoke_test_is_read() -> None:
    read = read_smoke("path: /x\njson: {a: [1, '{name}']}\nanswer: b.0\nwithin_seconds: 9", source="ask.yaml")
    assert read == Smoke(path="/x", json={"a": [1, "{name}"]}, answer="b.0", within_seconds=9)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "path: x",
        "path: /a b",
        "path: /x\nmethod: get",
        "path: [",
        "method: GET",
        "path: /x\nwithin_seconds: 0",
    ],
)
def test_what_cannot_be_asked_is_no_smoke_test(text: str) -> None:
    with pytest.raises(DeploymentInvalid, match=r"ask\.yaml"):
        read_smoke(text, source="ask.yaml")


def test_a_plan_is_the_recipe_s_endpoint_with_its_smoke_test_and_its_way_to_sleep() -> None:
    wish = Wish(model="mine", options=ServeOptions(max_hourly=PRICE), mode=PauseMode.CHECKPOINT)
    spec, smoke, recipe = planned(model(), wish, "vllm", "chat")
    assert (spec.name, spec.models, spec.sleep) == ("chat", ("mine",), SleepSpec(mode=PauseMode.CHECKPOINT))
    assert (smoke.path, recipe) == ("/v1/completions", "vllm")
    assert smoke.within < spec.door.pass_for


def test_replicas_that_cannot_be_are_told_in_plain_words() -> None:
    wish = Wish(model="mine", options=ServeOptions(max_hourly=PRICE, minimum=3, maximum=1))
    with pytest.raises(DeploymentInvalid, match=r"^scale: minimum 3 is more than maximum 1$"):
        planned(model(), wish, "vllm", "chat")


@pytest.mark.parametrize(
    ("name", "recipe", "reason"),
    [
        ("UPPER", "vllm", "no name for a deployment"),
        ("x" * 35, "vllm", "no name for a deployment"),
        ("chat", "nobody", "no recipe 'nobody'"),
        ("chat", "text-embeddings", "serves embedding"),
        ("chat", "command", "needs an image and a command"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(name: str, recipe: str, reason: str) -> None:
    wish = Wish(model="mine", options=ServeOptions(max_hourly=PRICE))
    with pytest.raises(DeploymentInvalid, match=reason):
        planned(model(kind=ModelKind.LLM), wish, recipe, name)
