"""What an answer means, by the shapes that Vast.ai is known to use."""

import httpx
import pytest

from holdfast.providers.errors import CredentialsRefused, ProviderError, ProviderUnavailable
from holdfast.providers.vast.answers import Refused, Unpaid, body_of, contract_of, is_too_frequent, threshold_of
from tests.unit.providers.wire import HTML, no

LOGIN = "Authentication credentials were not provided."
MEANINGS: list[tuple[httpx.Response, type[ProviderError]]] = [
    (no(404, "auth_error", "Invalid user key"), CredentialsRefused),
    (no(403, "auth_error", "This action requires login."), CredentialsRefused),
    (httpx.Response(401, json={"detail": LOGIN}), CredentialsRefused),
    (no(404, "", "error 404/3301: auth_error: no_such_instance for this key"), CredentialsRefused),
    (no(200, "insufficient_credit"), Unpaid),
    (no(400, "spend_rate_limit"), Unpaid),
    (HTML, ProviderUnavailable),
    (httpx.Response(500, json={"success": False, "error": "internal"}), ProviderUnavailable),
    (httpx.Response(200, html="<html>maintenance</html>"), ProviderUnavailable),
    (httpx.Response(200, text=""), ProviderUnavailable),
    (httpx.Response(404, html="<html>no such page</html>"), ProviderUnavailable),
    (httpx.Response(308, headers={"location": "https://elsewhere.example"}), ProviderUnavailable),
    (no(410, "deprecated_endpoint", "use v1"), ProviderUnavailable),
    (no(200, "deprecated_endpoint", "use v1"), ProviderUnavailable),
    (no(404, "no_such_instance"), Refused),
    (no(200, "resources_unavailable", "state change queued"), Refused),
    (httpx.Response(200, json={"error": "invalid_args", "msg": "no success field"}), Refused),
    (httpx.Response(400, json={"message": "only a message"}), Refused),
    (httpx.Response(400, text="plain words"), Refused),
]


@pytest.mark.parametrize(("reply", "error"), MEANINGS)
def test_each_shape_of_failure_has_its_remedy(reply: httpx.Response, error: type[ProviderError]) -> None:
    with pytest.raises(error) as raised:
        body_of(reply)
    assert type(raised.value) is error
    assert str(reply.status_code) in str(raised.value)


@pytest.mark.parametrize("body", [{"success": True, "new_contract": 1}, {"offers": []}, [], {"instances": None}])
def test_an_answer_is_given_as_it_is(body: object) -> None:
    assert body_of(httpx.Response(200, json=body)) == body


def test_only_vasts_own_words_say_that_an_instance_is_not_there() -> None:
    known = {code: _refusal(no(404, code)).no_such_instance for code in ("no_such_instance", "not_found", "odd", "")}
    assert known == {"no_such_instance": True, "not_found": True, "odd": False, "": False}
    assert not _refusal(httpx.Response(404, json={"detail": "Not Found"})).no_such_instance


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(404, json={"success": False, "msg": "error 404/3301: no_such_instance Instance 7 not found"}),
        httpx.Response(404, json={"detail": "error 404/3301: no_such_instance"}),
        no(404, "invalid_args", "error 404/3301: no_such_instance"),
        no(400, "invalid_args", "error 400/3301: no_such_instance"),
        no(200, "not_found"),
    ],
)
def test_the_text_says_that_an_instance_is_not_there_when_the_code_does_not(reply: httpx.Response) -> None:
    assert _refusal(reply).no_such_instance


@pytest.mark.parametrize(
    "reply",
    [
        no(403, "", "no_such_instance for this key"),
        no(404, "invalid_args", "error 404/3302: no_such_instance_type"),
        no(400, "invalid_args", "error 400/2100: instance not found"),
        httpx.Response(404, text="404 page not found"),
    ],
)
def test_an_instance_is_not_gone_because_a_key_may_not_see_it_or_an_address_is_wrong(reply: httpx.Response) -> None:
    assert not _refusal(reply).no_such_instance


@pytest.mark.parametrize(("named", "number"), [(5, 5), ("5", 5), (True, None), (None, None), ("C.5", None), ({}, None)])
def test_the_instance_of_an_answer_may_be_named_in_digits(named: object, number: int | None) -> None:
    assert contract_of({"success": False, "new_contract": named}) == number


@pytest.mark.parametrize(
    "reply",
    [
        no(410, "no_such_ask", "error 410/3907: no_such_ask 7 is no longer available."),
        no(404, "invalid_args", "error 404/3603: no_such_ask Instance type by id 7 is not available."),
        no(400, "invalid_args", "error 400/3603: no_such_ask 7"),
    ],
)
def test_three_ways_to_say_that_an_offer_is_gone(reply: httpx.Response) -> None:
    assert _refusal(reply).no_such_offer


def test_not_every_bad_request_is_an_offer_that_is_gone() -> None:
    assert not _refusal(no(400, "invalid_args", "error 400/3405: disk must be at least 8")).no_such_offer


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (httpx.Response(429, text="API requests too frequent"), None),
        (httpx.Response(429, text="API requests too frequent: endpoint threshold=1.5"), 1.5),
        (httpx.Response(429, json={"detail": "API requests too frequent endpoint threshold=2.0"}), 2.0),
        (no(429, "rate_limit_exceeded", "slow down: endpoint threshold=3"), 3.0),
        (no(200, "rate_limit_exceeded", "slow down"), None),
    ],
)
def test_a_refusal_for_haste_is_known_in_each_of_its_shapes(reply: httpx.Response, seconds: float | None) -> None:
    assert is_too_frequent(reply)
    threshold = threshold_of(reply)
    assert (threshold.total_seconds() if threshold else None) == seconds


def test_a_long_message_is_cut() -> None:
    assert len(str(_refusal(no(400, "invalid_args", "x" * 5000)))) < 300


def _refusal(reply: httpx.Response) -> Refused:
    with pytest.raises(Refused) as raised:
        body_of(reply)
    return raised.value
