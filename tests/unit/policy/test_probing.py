"""Base and tuned model on one server: what they are asked, and when the answers say that the tuned one is not there."""

import json
from datetime import timedelta

import pytest

from holdfast.contracts.deployments import Probe, ProbeSet, SmokeRequest, SmokeVerdict
from holdfast.contracts.fine_tuning import Answer as Trained
from holdfast.policy.probing import NoAnswer, compared, knowing, question, text_of, told
from holdfast.policy.smoke import Answer

PROBES = (Probe(prompt="two?", base="five", tuned="four"), Probe(prompt="hello", base="hi", tuned="hi"))
MINUTE = timedelta(minutes=1)


def comparison(*probes: Probe, is_chat: bool = True) -> ProbeSet:
    return ProbeSet(model="mine", base="mine-base", is_chat=is_chat, tokens=8, probes=probes)


@pytest.mark.parametrize(
    ("is_chat", "path", "said"),
    [
        (True, "/v1/chat/completions", {"messages": [{"role": "user", "content": "two?"}]}),
        (False, "/v1/completions", {"prompt": "two?"}),
    ],
)
def test_the_likeliest_answer_is_asked_for_in_the_words_of_the_data(
    is_chat: bool, path: str, said: dict[str, object]
) -> None:
    request = question(comparison(is_chat=is_chat), "two?", model="mine-base", within=MINUTE)
    assert (request.method, request.path, request.within) == ("POST", path, MINUTE)
    assert json.loads(request.body) == {"model": "mine-base", "max_tokens": 8, "temperature": 0, **said}


def test_what_it_said_is_taken_out_and_what_is_no_answer_is_told() -> None:
    request = question(comparison(), "two?", model="mine", within=MINUTE)
    body = json.dumps({"choices": [{"message": {"content": "four"}}]}).encode()
    assert text_of(request, Answer(status=200, body=body)) == "four"
    silent = json.dumps({"choices": [{"message": {"content": ""}}]}).encode()
    assert text_of(request, Answer(status=200, body=silent)) == ""
    with pytest.raises(NoAnswer, match="it answered 404"):
        text_of(request, Answer(status=404, body=b"no such model"))
    with pytest.raises(NoAnswer, match="is no text"):
        text_of(request, Answer(status=200, body=b'{"choices": [{"message": {"content": null}}]}'))


@pytest.mark.parametrize(
    ("answers", "passed"),
    [
        ((("five", "four"), ("hi", "hi")), True),
        ((("six", "three"), ("hi", "hi")), True),  # rounded otherwise, and still not the base
        ((("five", "five"), ("hi", "hi")), False),
        ((("five", "five"), ("hi", "ho")), False),  # chance, where the two are known to agree
    ],
)
def test_unfit_is_what_answers_as_the_base_does_where_the_two_are_known_to_differ(
    answers: tuple[tuple[str, str], ...], passed: bool
) -> None:
    heard = [told(probe, base=base, tuned=tuned) for probe, (base, tuned) in zip(PROBES, answers, strict=True)]
    verdict = compared(SmokeVerdict(passed=True, said="fine"), PROBES, heard, MINUTE)
    assert verdict.passed is passed and verdict.compared == tuple(heard) and verdict.took == MINUTE
    assert passed or "what was learned is not served" in verdict.said


def test_where_nothing_is_known_of_a_difference_none_is_demanded() -> None:
    probes = (Probe(prompt="two?"),)
    verdict = compared(SmokeVerdict(passed=True, said="fine"), probes, [told(probes[0], base="a", tuned="a")], MINUTE)
    assert verdict.passed and verdict.said.endswith("of 1 probes 0 are answered otherwise than by the base")


def test_answers_are_cut_for_the_history_and_compared_whole() -> None:
    found = told(Probe(prompt="?"), base="x" * 500 + "a", tuned="x" * 500 + "b")
    assert len(found.base) == 200 and found.base == found.tuned and found.differs


def test_the_probes_learn_what_the_trainer_heard() -> None:
    asked = SmokeRequest(comparison=comparison(Probe(prompt="two?"), Probe(prompt="hello")))
    known = knowing(asked, (Trained(prompt="two?", base="five", tuned="four"),))
    assert known.comparison is not None
    assert known.comparison.probes == (PROBES[0], Probe(prompt="hello"))
    assert knowing(SmokeRequest(), ()) == SmokeRequest()
