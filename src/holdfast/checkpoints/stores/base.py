"""What a store of bytes can do for us."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """An object as a listing or a head shows it."""

    key: str
    size: int
    modified: datetime
    mark: str = ""  # the store gives it anew with each change; "" where it gives none


@dataclass(frozen=True, kw_only=True)
class SignedRequest:
    """An address that lets a machine without a key do one thing for a short time. A secret while it lives."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)  # to be sent exactly so


class Conditional(StrEnum):
    """What becomes of a create-only put of an object that exists."""

    REFUSED = "refused"  # as it should be
    UNSUPPORTED = "unsupported"  # the store says that it cannot tell
    IGNORED = "ignored"  # the store overwrites without a word


@dataclass(frozen=True, kw_only=True)
class StoreFacts:
    """What `probe` found out by doing it."""

    create_only: Conditional
    signed_put: bool
    signed_get: bool
    wrong_body_refused: bool  # a signed put with other bytes than announced


class Store(Protocol):
    """Objects under keys. Every method may raise StoreUnavailable (retry) or StoreRefused (ask a person)."""

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes | None:
        """The object, or part of it; None when there is none. Short when the object is shorter."""
        ...

    async def put(self, key: str, data: bytes) -> bool:
        """Create an object; False, with nothing changed, when one exists.

        A False may mean our own earlier try whose answer was lost: compare the content where that matters. On a store
        that knows no create-only put, a writer that starts in the same instant may win over us.
        """
        ...

    async def head(self, key: str) -> StoredObject | None:
        """Size and time of an object; None when there is none."""
        ...

    async def list(self, prefix: str) -> list[StoredObject]:
        """Everything below a prefix that ends with a slash, sorted by key."""
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove objects. Those that do not exist are passed over."""
        ...

    async def sign_put(self, key: str, *, size: int, md5: str, expires: timedelta) -> SignedRequest:
        """An address for sending exactly this body (`md5` in base64) to this key."""
        ...

    async def sign_get(self, key: str, *, expires: timedelta) -> SignedRequest:
        """An address for reading this object, whole or by ranges."""
        ...

    async def probe(self) -> StoreFacts:
        """Try every ability on an object of our own, which is removed again."""
        ...

    async def close(self) -> None:
        """Let go of sockets and threads. Addresses of a local store end here."""
        ...
