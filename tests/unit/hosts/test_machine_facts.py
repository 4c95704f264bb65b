"""What a machine says about itself, odd tools included."""

from pathlib import Path

import pytest

from holdfast.hosts.agent import machine
from holdfast.hosts.heartbeat import parse_probe


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An nvidia-smi whose answer is the file `answer` beside it."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat {tmp_path}/answer\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "answer"


def test_each_gpu_is_told_with_memory_and_driver(nvidia_smi: Path, tmp_path: Path) -> None:
    nvidia_smi.write_text("NVIDIA GeForce RTX 4090, 24564, 550.54, GPU-a\nNVIDIA H200, [N/A], 550.54, GPU-b\n")
    probe = parse_probe(machine.probe(str(tmp_path)))
    assert [(gpu.name, gpu.memory_mb, gpu.uuid) for gpu in probe.gpus] == [
        ("NVIDIA GeForce RTX 4090", 24564, "GPU-a"),
        ("NVIDIA H200", 0, "GPU-b"),
    ]


@pytest.mark.parametrize("answer", ["", "No devices were found\n", "\n\n", "a,b\n"])
def test_an_odd_answer_is_no_gpu(nvidia_smi: Path, tmp_path: Path, answer: str) -> None:
    nvidia_smi.write_text(answer)
    assert machine.probe(str(tmp_path))["gpus"] == []


def test_a_machine_without_the_tool_has_no_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.ask_gpus("name") == []


def test_load_is_the_mean_of_use_and_the_sum_of_memory() -> None:
    assert machine.summarise([["80", "1000"], ["100", "500"]]) == (90, 1500)
    assert machine.summarise([["[N/A]", "1000"], ["50", "[N/A]"]]) == (50, 1000)
    assert machine.summarise([]) == (None, None)
