"""What base and tuned model are asked, where nobody says it, is taken from the data set."""

import json

import pytest

from holdfast.client.errors import TuningInvalid
from holdfast.client.tuned_serving import with_probes
from holdfast.contracts.training import DataFormat, DatasetReport, HyperParameters


def report(form: DataFormat, *examples: dict[str, object]) -> DatasetReport:
    return DatasetReport(
        path="train.jsonl",
        sha256="a" * 64,
        format=form,
        examples=len(examples),
        bytes_total=1,
        characters=1,
        shortest=1,
        median=1,
        longest=1,
        duplicates=0,
        refusals=0,
        warnings=0,
        remarks=(),
        other_keys=(),
        sample=tuple(json.dumps(each) for each in examples),
    )


def talk(said: str) -> dict[str, object]:
    system, user = {"role": "system", "content": "You add."}, {"role": "user", "content": said}
    return {"messages": [system, user, {"role": "assistant", "content": "four"}]}


@pytest.mark.parametrize(
    ("form", "examples", "probes"),
    [
        (DataFormat.MESSAGES, [talk("a"), talk("a"), talk("b"), talk("c"), talk("d")], ("a", "b", "c")),
        (DataFormat.COMPLETION, [{"prompt": " ", "completion": "x"}, {"prompt": "b ", "completion": "x"}], ("b ",)),
        (DataFormat.PREFERENCE, [{"prompt": "p", "chosen": "x", "rejected": "y"}], ("p",)),
    ],
)
def test_the_first_prompts_are_taken(form: DataFormat, examples: list[dict[str, object]], probes: tuple[str, ...]):
    assert with_probes(HyperParameters(), report(form, *examples)).samples.prompts == probes


def test_prompts_that_are_given_stay() -> None:
    given = HyperParameters.model_validate({"samples": {"prompts": ["mine"], "tokens": 9}})
    assert with_probes(given, report(DataFormat.MESSAGES, talk("a"))) == given


def test_where_there_is_nothing_to_ask_it_is_refused_with_what_to_give() -> None:
    talks = {"prompt": [{"role": "user", "content": "p"}], "chosen": [], "rejected": []}
    for found in (report(DataFormat.TEXT, {"text": "a"}), report(DataFormat.PREFERENCE, talks)):
        with pytest.raises(TuningInvalid, match="can be compared") as refused:
            with_probes(HyperParameters(), found)
        assert "samples.prompts" in refused.value.remedy
