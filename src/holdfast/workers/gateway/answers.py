"""What the gateway itself answers: errors, in the shape that OpenAI's clients read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

SOON = 1  # seconds, in Retry-After, while nothing but a moment's patience is needed
LATER = 10  # while a machine wakes, or somebody has to act


@dataclass
class Refusal(Exception):
    """The request is answered by the gateway."""

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """The JSON document."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        told = {"message": self.message, "type": kind, "param": None, "code": self.code}
        return json.dumps({"error": told}).encode()


def unavailable(code: str, message: str, *, retry_after: int = LATER) -> Refusal:
    """503, to be tried again after so many seconds."""
    return Refusal(503, code, message, {"retry-after": str(retry_after)})


def unauthorized(shown: bool) -> Refusal:
    """401: the token is wrong, or none was shown."""
    said = "this token does not open this endpoint" if shown else "a token is needed: Authorization: Bearer <token>"
    error = ', error="invalid_token"' if shown else ""
    return Refusal(401, "invalid_api_key", said, {"www-authenticate": f'Bearer realm="holdfast"{error}'})


def too_large(megabytes: float) -> Refusal:
    return Refusal(413, "request_too_large", f"a request to this endpoint may have {megabytes:g} MB at most")
