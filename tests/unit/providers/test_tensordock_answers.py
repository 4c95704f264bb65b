"""What an answer means, by the shapes that TensorDock is known to use."""

import httpx
import pytest

from holdfast.providers.errors import CredentialsRefused, OutOfCredit, ProviderError, ProviderUnavailable
from holdfast.providers.tensordock.answers import NotFound, Refused, body_of, is_too_frequent, legacy_body_of
from tests.unit.providers.dock import GONE, PAGE, no, no_as_ok

BROKE = "You need at least $1 in your account"
MEANINGS: list[tuple[httpx.Response, type[ProviderError]]] = [
    (no(401, "Unauthorized"), CredentialsRefused),
    (httpx.Response(401, text=""), CredentialsRefused),
    (no(403, "Forbidden"), CredentialsRefused),
    (no_as_ok("Unauthorized", 401), CredentialsRefused),
    (httpx.Response(403, html="<html>checking your browser</html>"), ProviderUnavailable),
    (no(402, "pay"), OutOfCredit),
    (no(400, BROKE), OutOfCredit),
    (no_as_ok(BROKE), OutOfCredit),
    (no_as_ok("Insufficient funds"), OutOfCredit),
    (PAGE, ProviderUnavailable),
    (no(500, "internal"), ProviderUnavailable),
    (no_as_ok("Something went wrong", 500), ProviderUnavailable),
    (httpx.Response(200, html="<html>maintenance</html>"), ProviderUnavailable),
    (httpx.Response(200, text=""), ProviderUnavailable),
    (httpx.Response(404, html="<html>no such page</html>"), ProviderUnavailable),
    (httpx.Response(404, text="Not Found"), ProviderUnavailable),
    (httpx.Response(404, json={"message": "Route not found"}), ProviderUnavailable),
    (httpx.Response(308, headers={"location": "https://elsewhere.example"}), ProviderUnavailable),
    (GONE, NotFound),
    (httpx.Response(404, json={}), NotFound),
    (no_as_ok("Instance not found", 404), NotFound),
    (no_as_ok("Hostnode unavailable"), Refused),
    (httpx.Response(200, json={"error": "Hostnode unavailable"}), Refused),
    (httpx.Response(200, json={"errors": [{"detail": "no such thing"}]}), Refused),
    (no(409, "Instance is already running"), Refused),
    (httpx.Response(400, text="plain words"), Refused),
    (httpx.Response(400, json={"error": {"message": "nested"}}), Refused),
]


@pytest.mark.parametrize(("reply", "error"), MEANINGS)
def test_each_shape_of_failure_has_its_remedy(reply: httpx.Response, error: type[ProviderError]) -> None:
    with pytest.raises(error) as raised:
        body_of(reply)
    assert type(raised.value) is error


@pytest.mark.parametrize("body", [{"data": []}, {"status": "running"}, {"data": {"id": "1"}}, {"error": None}, []])
def test_an_answer_is_given_as_it_is(body: object) -> None:
    assert body_of(httpx.Response(200, json=body)) == body


def test_an_answer_may_have_no_content() -> None:
    assert body_of(httpx.Response(204)) is None


def test_the_words_of_a_refusal_are_kept_and_a_long_one_is_cut() -> None:
    with pytest.raises(Refused, match="HTTP 400, nested"):
        body_of(httpx.Response(400, json={"error": {"message": "nested"}}))
    with pytest.raises(Refused) as long:
        body_of(no(400, "x" * 5000))
    assert len(str(long.value)) < 300


@pytest.mark.parametrize("reply", [no(429, "Too many requests"), no_as_ok("slow down", 429)])
def test_a_refusal_for_haste_is_known_in_both_of_its_shapes(reply: httpx.Response) -> None:
    assert is_too_frequent(reply)
    assert not is_too_frequent(GONE)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (httpx.Response(200, json={"success": False, "error": "Invalid API key or token"}), CredentialsRefused),
        (httpx.Response(200, json={"success": False, "error": "it cannot be stopped"}), Refused),
        (httpx.Response(400, json={"success": False, "error": "no such server"}), Refused),
        (httpx.Response(200, json={"success": False, "error": "add funds first"}), OutOfCredit),
        (httpx.Response(404, html="<html>gone</html>"), Refused),
        (httpx.Response(410, json={"error": "v0 is retired"}), Refused),
        (PAGE, ProviderUnavailable),
        (httpx.Response(500, json={"success": False, "error": "internal"}), ProviderUnavailable),
        (httpx.Response(200, json={"answer": 42}), ProviderUnavailable),
        (httpx.Response(200, text=""), ProviderUnavailable),
        (no(401, "who are you"), CredentialsRefused),
    ],
)
def test_the_older_api_says_no_in_its_own_way(reply: httpx.Response, error: type[ProviderError]) -> None:
    with pytest.raises(error) as raised:
        legacy_body_of(reply)
    assert type(raised.value) is error


def test_the_older_api_says_yes_by_a_word() -> None:
    assert legacy_body_of(httpx.Response(200, json={"success": True, "balance": 3}))["balance"] == 3
