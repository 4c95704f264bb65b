"""Google's words, one by one: what each makes a caller do."""

from typing import Any

import httpx
import pytest

from holdfast.providers.errors import CredentialsRefused, OutOfCredit, ProviderUnavailable
from holdfast.providers.gcp.answers import (
    NameTaken,
    NoQuota,
    NotFound,
    Refused,
    body_of,
    is_too_frequent,
    is_unauthorized,
)

PAGE = "<html><body>That's an error.</body></html>"


def reply(status: int, body: Any) -> httpx.Response:
    return httpx.Response(status, json=body) if not isinstance(body, str) else httpx.Response(status, text=body)


def error(status: int, reason: str, message: str = "no", *, sent_as: int | None = None) -> httpx.Response:
    told = {"code": status, "message": message, "errors": [{"domain": "global", "reason": reason, "message": message}]}
    return reply(sent_as or status, {"error": told})


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(400, "badRequest", "Instances with guest accelerators do not support live migration."), Refused),
        (error(400, "resourceNotReady"), ProviderUnavailable),
        (error(401, "authError"), CredentialsRefused),
        (error(403, "forbidden", "Required 'compute.instances.create' permission"), CredentialsRefused),
        (error(403, "accessNotConfigured"), OutOfCredit),
        (error(403, "quotaExceeded", "Quota 'PREEMPTIBLE_NVIDIA_L4_GPUS' exceeded."), NoQuota),
        (error(403, "rateLimitExceeded"), ProviderUnavailable),
        (error(404, "notFound"), NotFound),
        (error(404, "notFound", "The resource 'projects/p/zones/z/instances/i' was not found"), NotFound),
        (error(404, "notFound", "The resource 'projects/other-one' was not found"), CredentialsRefused),
        (error(409, "alreadyExists"), NameTaken),
        (error(412, "conditionNotMet"), Refused),
        (error(503, "backendError"), ProviderUnavailable),
        (error(503, "backendError", sent_as=200), ProviderUnavailable),
        (error(404, "notFound", sent_as=200), NotFound),
        (reply(401, "who are you?"), CredentialsRefused),
        (reply(404, PAGE), ProviderUnavailable),
        (reply(403, PAGE), ProviderUnavailable),
        (reply(200, PAGE), ProviderUnavailable),
        (reply(200, ["a list"]), ProviderUnavailable),
        (reply(204, ""), ProviderUnavailable),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else value.text[:60],
)
def test_each_refusal_is_told_apart(answer: httpx.Response, kind: type[Exception]) -> None:
    with pytest.raises(kind) as raised:
        body_of(answer)
    assert type(raised.value) is kind


def test_details_tell_the_reason_too() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}
    with pytest.raises(OutOfCredit, match="is the API enabled"):
        body_of(reply(403, {"error": {"code": 403, "message": "disabled", "details": [info]}}))


def test_an_operation_that_failed_is_an_answer() -> None:
    failed = {"name": "operation-1", "status": "DONE", "error": {"errors": [{"code": "QUOTA_EXCEEDED"}]}}
    assert body_of(reply(200, failed)) == failed


def test_haste_and_an_expired_token_are_seen_before_anything_else() -> None:
    assert is_too_frequent(error(403, "rateLimitExceeded"))
    assert is_too_frequent(error(403, "userRateLimitExceeded"))
    assert is_too_frequent(reply(429, PAGE))
    assert not is_too_frequent(error(403, "quotaExceeded"))
    assert is_unauthorized(error(401, "authError"))
