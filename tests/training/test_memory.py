"""The estimate of GPU memory against what torch and peft really hold: counted here, on a small model."""

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.contracts.training import HyperParameters, Method
from holdfast.policy.training_memory import training_memory
from tests.training.conftest import HERE, beside_torch

pytestmark = pytest.mark.timeout(1800)  # says nothing about speed
LAYERS = 4
LENGTH = 256
MEASURE = HERE / "measure.py"


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory, _environment: None) -> Path:
    """A model wide enough that its layers weigh more than what surrounds them."""
    folder = tmp_path_factory.mktemp("wide")
    made = beside_torch(HERE / "tiny.py", folder, "--hidden", "128", "--layers", str(LAYERS))
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="module")
def measured(wide: Path) -> dict[str, Any]:
    """By method and checkpointing; torch is imported once for all of it."""
    told = beside_torch(MEASURE, wide, LENGTH)
    assert told.returncode == 0, told.stderr
    return dict(json.loads(told.stdout))


@pytest.mark.parametrize("checkpointing", [True, False], ids=["checkpointing", "all kept"])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_estimate_is_what_is_held(wide: Path, measured: dict[str, Any], method: str, checkpointing: bool) -> None:
    order = HyperParameters.model_validate(
        {
            "method": method,
            "precision": "fp32",
            "max_length": LENGTH,
            "batch": 2,
            "gradient_checkpointing": checkpointing,
            "lora": {"rank": 8},
        }
    )
    told = training_memory(json.loads((wide / "config.json").read_text()), order)
    size = {each.name: each.size for each in told.parts}
    real = measured[f"{method} {checkpointing}"]
    assert told.parameters == real["parameters"] and told.learned == real["learned"]
    assert size["learned"] == real["learned_bytes"]
    assert size["gradients"] == real["gradient_bytes"]
    assert size["optimizer"] == pytest.approx(real["optimizer_bytes"], rel=0.001)  # it counts its steps, too
    if method == Method.LORA:
        assert size["base"] == real["frozen_bytes"]
    kept, really = size["activations"] + size["logits"], real["kept_bytes"]
    if checkpointing:  # in the backward pass each layer is computed again, one at a time
        really += measured[f"{method} False"]["kept_bytes"] / LAYERS
    assert really <= kept <= 2.5 * really, (kept, really)
