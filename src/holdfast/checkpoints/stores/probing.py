"""Finding out what a store really does, by doing it."""

import base64
import hashlib
import http.client
import secrets
from asyncio import to_thread
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from holdfast.checkpoints.stores.base import Conditional, SignedRequest, StoreFacts

if TYPE_CHECKING:
    from holdfast.checkpoints.stores.base import Store

MINUTE = timedelta(minutes=1)
BODY = b"holdfast was here"
OTHER = b"holdfast was gone"


async def probe(store: "Store") -> StoreFacts:
    """See `Store.probe`. Raises what the store raises when it cannot even put."""
    plain, signed = f"probe/{secrets.token_hex(8)}", f"probe/{secrets.token_hex(8)}"
    try:
        await store.put(plain, BODY)
        second = await store.put(plain, OTHER)
        kept = await store.get(plain) == BODY
        put = await store.sign_put(signed, size=len(BODY), md5=md5_of(BODY), expires=MINUTE)
        wrong = await to_thread(send, "PUT", put, OTHER)
        right = await to_thread(send, "PUT", put, BODY)
        got = await to_thread(send, "GET", await store.sign_get(signed, expires=MINUTE))
        return StoreFacts(
            create_only=Conditional.REFUSED if kept and not second else Conditional.IGNORED,
            signed_put=right[0] in (200, 201, 204),
            signed_get=got == (200, BODY),
            wrong_body_refused=wrong[0] >= 400,
        )
    finally:
        await store.delete([plain, signed])


def md5_of(data: bytes) -> str:
    """The digest by which a signed put names its body."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def send(
    method: str, request: SignedRequest, body: bytes | None = None, extra: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Use a signed address once, as a machine would; returns the status and what was answered."""
    target = urlsplit(request.url)
    kind = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
    connection = kind(target.netloc, timeout=30)
    try:
        connection.request(method, f"{target.path}?{target.query}", body, {**request.headers, **(extra or {})})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
