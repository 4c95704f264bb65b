"""What stays behind, and what is added, on the way to a replica and back."""

import pytest

from holdfast.workers.gateway import headers
from holdfast.workers.gateway.headers import Headers


def sent(given: Headers, *, keep_token: bool = False, length: int | None = 0) -> Headers:
    return headers.for_replica(
        given,
        caller="198.51.100.7",
        scheme="https",
        prefix="/chat",
        request_id="r1",
        keep_token=keep_token,
        length=length,
    )


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"Bearer abc", "abc"),
        (b"bearer  abc ", "abc"),
        (b"Basic abc", None),
        (b"Bearer", None),
        (b"Bearer ", None),
        (b"", None),
    ],
)
def test_a_bearer_token_is_read(header: bytes, token: str | None) -> None:
    assert headers.bearer([(b"authorization", header)]) == token


def test_every_authorization_header_stays_behind() -> None:
    twice = [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")]
    assert b"authorization" not in dict(sent(twice))
    assert dict(sent(twice, keep_token=True))[b"authorization"]


def test_a_length_beside_an_encoding_is_not_believed() -> None:
    both = [(b"transfer-encoding", b"chunked"), (b"content-length", b"5")]
    found = dict(sent(both, length=None))
    assert found[b"transfer-encoding"] == b"chunked"
    assert b"content-length" not in found
    assert b"content-length" not in dict(headers.for_caller(both, "r1"))


def test_connection_cannot_take_away_the_length() -> None:
    given = [(b"connection", b"content-length, x-hop"), (b"content-length", b"5"), (b"x-hop", b"1")]
    found = dict(sent(given, length=5))
    assert found[b"content-length"] == b"5"
    assert b"x-hop" not in found


def test_what_a_balancer_said_is_kept_and_the_caller_added() -> None:
    found = dict(sent([(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-proto", b"http"), (b"host", b"api.test")]))
    assert found[b"x-forwarded-for"] == b"203.0.113.9, 198.51.100.7"
    assert found[b"x-forwarded-proto"] == b"http"
    assert found[b"x-forwarded-host"] == b"api.test"
    assert b"host" not in found  # the replica has one of its own


def test_repeated_headers_of_an_answer_stay_apart() -> None:
    cookies = [(b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"), (b"Connection", b"close")]
    assert headers.for_caller(cookies, "r1") == [
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"x-request-id", b"r1"),
    ]


@pytest.mark.parametrize("given", [b"", b"a b", b"x" * 129, b"a\tb", b"id\xc3\xa9", b'"'])
def test_a_request_id_is_one_word_or_ours(given: bytes) -> None:
    assert headers.request_id([(b"x-request-id", given)]) != given.decode("latin-1")
    assert headers.request_id([(b"x-request-id", b"trace:4.bf_1-2")]) == "trace:4.bf_1-2"
