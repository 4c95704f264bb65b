"""What a new version is asked, and what counts as an answer."""

import json
from dataclasses import replace
from typing import Any

import pytest

from holdfast.contracts.deployments import SmokeRequest
from holdfast.contracts.models import ModelKind, ServeOptions, Smoke
from holdfast.models.cookbook import recipes
from holdfast.policy.serving import smoke_request
from holdfast.policy.smoke import Answer, judged, request_of
from tests.unit.policy.test_serving import PRICE, RECIPES, model

ASKED = SmokeRequest(method="POST", path="/ask", answer=("data", "0", "embedding"))


def answer(document: Any, *, status: int = 200) -> Answer:
    return Answer(status=status, body=json.dumps(document).encode())


@pytest.mark.parametrize("found", [[0.1, -0.2], ["x"], "text", 3, True, {"a": [0, 1]}])
def test_something_where_it_must_be_is_an_answer(found: object) -> None:
    verdict = judged(ASKED, answer({"data": [{"embedding": found}]}))
    assert verdict.passed
    assert "POST /ask was answered with 200" in verdict.said


@pytest.mark.parametrize("found", [[], "", "  ", [0, 0.0], 0, None, False, {}, [1.0, float("nan")], float("inf")])
def test_nothing_or_no_number_where_it_must_be_is_none(found: object) -> None:
    verdict = judged(ASKED, answer({"data": [{"embedding": found}]}))
    assert not verdict.passed
    assert "data.0.embedding of the answer is empty" in verdict.said


@pytest.mark.parametrize("document", [{}, {"data": []}, {"data": {}}, {"data": [1]}, [], 7, None])
def test_an_answer_of_another_shape_is_none(document: object) -> None:
    assert "has no data.0.embedding" in judged(ASKED, answer(document)).said


def test_what_is_said_of_a_refusal_is_short_and_of_a_good_answer_not_what_it_was() -> None:
    refused = judged(ASKED, Answer(status=500, body=b"CUDA out of memory " + b"x" * 10_000))
    assert "it answered 500: CUDA out of memory" in refused.said
    assert len(refused.said) <= 400
    assert "secret" not in judged(replace(ASKED, answer=()), answer("secret")).said


def test_no_answer_a_broken_one_and_one_that_is_no_json_are_told_apart() -> None:
    assert "hung up" in judged(ASKED, Answer(status=None, trouble="it hung up")).said
    assert "longer" in judged(ASKED, Answer(status=200, trouble="the answer is longer than 5 bytes")).said
    assert "not JSON" in judged(ASKED, Answer(status=200, body=b"<html>")).said
    assert "does not contain 'cube'" in judged(replace(ASKED, contains="cube", answer=()), answer("ball")).said
    assert judged(replace(ASKED, contains="cube", answer=()), answer("a cube")).passed


def test_a_text_that_may_be_empty_must_still_be_a_text() -> None:
    heard = replace(ASKED, answer=("text",), may_be_empty=True)
    assert judged(heard, answer({"text": ""})).passed
    assert not judged(heard, answer({"text": None})).passed
    assert not judged(heard, answer({})).passed


@pytest.mark.parametrize(("recipe", "kind"), [(each.name, kind) for each in recipes().values() for kind in each.kinds])
def test_every_recipe_has_a_request_for_every_kind_with_all_names_filled_in(recipe: str, kind: ModelKind) -> None:
    served = replace(model(), kind=kind)
    request = smoke_request(served, RECIPES[recipe], PRICE)
    assert "{" not in request.path
    assert "{served}" not in request.body
    if recipe != "command":
        assert request.method == "POST" and request.answer
        assert RECIPES[recipe].serves.format(name="mine") in (request.body + str(request.form))
    else:
        assert (request.method, request.path) == ("GET", "/health")


def test_one_of_one_s_own_goes_before_the_recipe_s_and_without_any_it_is_the_health_check_that_was_named() -> None:
    own = Smoke(path="/{name}", json={"texts": ["{version}", 1]})
    request = smoke_request(model(), RECIPES["vllm"], PRICE, own)
    assert (request.path, json.loads(request.body)) == ("/mine", {"texts": ["3", 1]})
    options = ServeOptions(max_hourly=PRICE.max_hourly, health="/alive")
    assert smoke_request(model(), RECIPES["command"], options).path == "/alive"


def test_a_name_that_is_not_given_is_refused() -> None:
    with pytest.raises(ValueError, match="names 'nobody'"):
        request_of(Smoke(path="/{nobody}"), {})
