"""A machine is what was promised if its driver names the same model, however both spell it."""

from importlib import resources

import pytest
import yaml

from holdfast.activities.hosts import is_model


@pytest.mark.parametrize(
    ("offered", "driver_says"),
    [
        ("RTX 4090", "NVIDIA GeForce RTX 4090"),
        ("A100 SXM4", "NVIDIA A100-SXM4-80GB"),
        ("A100 PCIE", "NVIDIA A100 80GB PCIe"),
        ("H100 SXM", "NVIDIA H100 80GB HBM3"),
        ("H100 NVL", "NVIDIA H100 NVL"),
        ("RTX 6000Ada", "NVIDIA RTX 6000 Ada Generation"),
        ("Tesla V100", "Tesla V100-SXM2-32GB"),
        ("L40S", "NVIDIA L40S"),
        ("Titan V", "NVIDIA TITAN V"),
    ],
)
def test_the_same_model_by_two_names(offered: str, driver_says: str):
    assert is_model(offered, driver_says)


@pytest.mark.parametrize(
    ("offered", "driver_says"),
    [
        ("RTX 4090", "NVIDIA GeForce RTX 3090"),
        ("H100 SXM", "NVIDIA A100-SXM4-80GB"),
        ("L40S", "NVIDIA L4"),
        ("A100 SXM4", "Tesla V100-SXM2-32GB"),
    ],
)
def test_another_model_is_noticed(offered: str, driver_says: str):
    assert not is_model(offered, driver_says)


def test_every_gpu_of_the_simulated_market_passes_for_what_it_is():
    profile = resources.files("holdfast.simcloud") / "profiles" / "default.yaml"
    gpus = yaml.safe_load(profile.read_text())["gpus"]
    assert [name for name, about in gpus.items() if not is_model(name, about["shown_as"])] == []
