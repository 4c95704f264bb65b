"""Send one notification to its receiver, signed."""

import json
from datetime import UTC, datetime

import httpx

from holdfast import webhooks
from holdfast.contracts.notifications import Notification

ANSWERS_WITHIN = 10.0  # seconds


async def send(http: httpx.AsyncClient, receiver: tuple[str, str], told: Notification) -> str:
    """Why the receiver, an address and its secret, did not take it, or "" if it did.

    No redirect is followed: it might lead anywhere.
    """
    url, secret = receiver
    body = body_of(told)
    signed = webhooks.headers(secret, event_id=told.event_id, at=datetime.now(UTC), body=body)
    try:
        answer = await http.post(
            url,
            content=body,
            headers={**signed, "content-type": "application/json", "user-agent": "holdfast"},
            timeout=ANSWERS_WITHIN,
            follow_redirects=False,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as err:
        return f"{type(err).__name__}: no answer"  # its words may hold the address, which is a secret
    return "" if answer.is_success else f"answered {answer.status_code}"


def body_of(told: Notification) -> bytes:
    """The message, as Standard Webhooks has it: the same bytes for each try."""
    message = {"type": told.kind, "timestamp": told.made_at.isoformat(), "data": told.document}
    return json.dumps(message, separators=(",", ":"), sort_keys=True).encode()
