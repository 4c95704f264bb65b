"""What Holdfast orders is what the trainer reads, word for word."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from holdfast.contracts.training import DataFormat, HyperParameters, Method, TrainingOrder
from holdfast.training.bundle import trainer_bundle
from holdfast.training.cookbook import FOR_QLORA, LIBRARIES, setup_for, templates
from holdfast.training.trainer import dataset, order, rounds
from holdfast.training.trainer.failures import TrainerFailure

LOCK = Path(__file__).parents[3] / "requirements/train.txt"


def ordered(path: Path, **parameters: object) -> order.Order:
    document = TrainingOrder(
        base="base",
        base_name="tiny@1",
        data="data.jsonl",
        data_format=DataFormat.TEXT,
        data_sha256="0" * 64,
        parameters=HyperParameters.model_validate(parameters),
    ).document()
    path.write_text(json.dumps(document))
    return order.read(str(path))


@pytest.mark.parametrize("method", Method)
def test_every_parameter_arrives_with_its_default_filled_in(tmp_path: Path, method: Method) -> None:
    read = ordered(tmp_path / "run.json", method=method, save_every="90s")
    assert read.parameters.method == method and read.parameters.save_every == 90
    assert read.parameters.rate == HyperParameters(method=method).chosen_rate
    assert (read.parameters.lora.rank, read.parameters.samples.tokens) == (16, 64)


def test_what_changes_nothing_that_is_learned_leaves_the_mark_as_it_is(tmp_path: Path) -> None:
    plain = ordered(tmp_path / "run.json").mark
    assert ordered(tmp_path / "run.json", save_every="9s", merge=True).mark == plain
    assert ordered(tmp_path / "run.json", seed=8).mark != plain


def test_an_order_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(TrainerFailure, match="no parameters"):
        order.read(str(tmp_path / "run.json"))


def test_the_formats_are_the_same_here_and_there() -> None:
    assert {each.value for each in DataFormat} == set(dataset.FORMATS)


def test_a_whole_model_is_not_merged() -> None:
    with pytest.raises(ValidationError, match="whole model"):
        HyperParameters(method=Method.FULL, merge=True)


def test_the_trainer_is_packed_the_same_each_time() -> None:
    first = trainer_bundle()
    trainer_bundle.cache_clear()
    assert trainer_bundle() == first


def test_every_template_is_one_and_takes_data_of_its_method() -> None:
    found = templates()
    assert {each.parameters.method for each in found.values()} == set(Method)
    for each in found.values():
        assert (DataFormat.PREFERENCE in each.formats) is (each.parameters.method is Method.DPO), each.name
        assert each.about and each.disk_gb >= 8


def test_machines_get_the_releases_that_the_proofs_ran_with() -> None:
    locked = LOCK.read_text()
    for each in (*LIBRARIES, *FOR_QLORA):
        assert f"\n{each} " in f"\n{locked}", each
    assert "bitsandbytes" in setup_for(Method.QLORA) and "bitsandbytes" not in setup_for(Method.LORA)


# --- which examples a step learns ------------------------------------------------------------------------------------


def test_every_example_is_learned_as_often_as_any_other(tmp_path: Path) -> None:
    parameters = ordered(tmp_path / "run.json", epochs=3, batch=2, accumulate=2).parameters
    plan = rounds.Rounds(10, parameters, processes=1)
    assert (plan.per_step, plan.steps) == (4, 8)
    chosen = [each for step in range(plan.steps) for each in plan.of_step(step)]
    assert [sorted(chosen[begin : begin + 10]) for begin in (0, 10, 20)] == [list(range(10))] * 3
    assert chosen[:10] != chosen[10:20] and plan.round(5) == 2


def test_processes_divide_a_step_among_them(tmp_path: Path) -> None:
    parameters = ordered(tmp_path / "run.json", batch=2, accumulate=3).parameters
    plan = rounds.Rounds(100, parameters, processes=2)
    parts = [plan.of_process(4, rank) for rank in (0, 1)]
    assert [len(each) for each in parts] == [3, 3]
    assert sorted(each for part in parts for batch in part for each in batch) == sorted(plan.of_step(4))


def test_what_is_held_out_is_never_learned(tmp_path: Path) -> None:
    parameters = ordered(tmp_path / "run.json", held_out=0.25).parameters
    learned, asked = rounds.held_out(10, parameters)
    assert sorted(learned + asked) == list(range(10)) and len(asked) == 3
    assert rounds.held_out(1, parameters) == ([0], [])


@pytest.mark.parametrize(
    ("schedule", "middle", "last"), [("cosine", 0.5, 0.0), ("linear", 0.5, 0.0), ("constant", 1, 1)]
)
def test_the_rate_rises_and_then_goes_by_its_schedule(
    tmp_path: Path, schedule: str, middle: float, last: float
) -> None:
    parameters = ordered(tmp_path / "run.json", rate=1, warmup=0.1, schedule=schedule).parameters
    rates = [rounds.rate(step, 110, parameters) for step in range(111)]
    assert rates[0] == pytest.approx(1 / 11) and rates[10] == 1 and rates[11] == 1
    assert rates[110] == pytest.approx(last)
    assert rounds.rate(11 + 49, 110, parameters) == pytest.approx(middle, abs=0.02)
