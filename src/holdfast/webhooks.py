"""Webhooks signed as Standard Webhooks (https://www.standardwebhooks.com, symmetric, version 1) says.

The signature is over `id.timestamp.body`, so a body cannot be replaced, nor an old message be sent again later than
`TOLERANCE`. Receivers in Python may use `verify`; libraries for other languages know the same headers.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
TOLERANCE: Final = timedelta(minutes=5)
PREFIX: Final = "whsec_"
_VERSION: Final = "v1"
_LEAST, _MOST = 24, 64  # bytes of a secret


class BadSecret(ValueError):
    """The secret is not `whsec_` and 24 to 64 bytes in base64. The message never shows it."""


class BadSignature(Exception):
    """A message is not from whoever holds the secret, or too old. Do not act on it."""


def key_of(secret: str) -> bytes:
    """The bytes of a secret as it is written. Raises `BadSecret`."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(PREFIX) or not _LEAST <= len(key) <= _MOST:
        raise BadSecret(f"write {PREFIX} and then {_LEAST} to {_MOST} random bytes in base64")
    return key


def headers(secret: str, *, event_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """What goes with a message. Raises `BadSecret`."""
    timestamp = str(int(at.timestamp()))
    signature = _sign(key_of(secret), event_id, timestamp, body)
    return {ID: event_id, TIMESTAMP: timestamp, SIGNATURE: f"{_VERSION},{signature}"}


def verify(secret: str, sent: Mapping[str, str], body: bytes, *, now: datetime | None = None) -> str:
    """The id of the event, which is the same whenever it is sent again: act on each id once.

    `sent` are the headers, with names in lower case or of a mapping that does not mind, `body` the bytes as they came.

    Raises:
        BadSignature: the message is not genuine, or its time is more than five minutes off.
        BadSecret: it cannot be told, with this secret.
    """
    key = key_of(secret)
    try:
        event_id, timestamp, signatures = sent[ID], sent[TIMESTAMP], sent[SIGNATURE]
        at = datetime.fromtimestamp(int(timestamp), UTC)
    except (KeyError, ValueError, OverflowError) as err:
        raise BadSignature("a header is missing or cannot be read") from err
    if abs((now or datetime.now(UTC)) - at) > TOLERANCE:
        raise BadSignature("its time is more than five minutes off")
    wanted = f"{_VERSION},{_sign(key, event_id, timestamp, body)}".encode()
    # Several are sent while a secret is being replaced.
    if not any(hmac.compare_digest(each.encode(), wanted) for each in signatures.split(" ")):
        raise BadSignature("it was not signed with this secret")
    return event_id


def _sign(key: bytes, event_id: str, timestamp: str, body: bytes) -> str:
    signed = hmac.new(key, b".".join((event_id.encode(), timestamp.encode(), body)), hashlib.sha256)
    return base64.b64encode(signed.digest()).decode()
