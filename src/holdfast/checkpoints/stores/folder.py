"""A local folder as a store, for one machine without any server.

Objects are files. A file appears by a hard link from a finished, synced one, so that it is complete or absent, and so
that exactly one of several writers creates it. Signed addresses lead to a small server on the loopback (`loopback.py`).
"""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from holdfast.checkpoints.stores.base import SignedRequest, StoredObject, StoreFacts
from holdfast.checkpoints.stores.files import Files
from holdfast.checkpoints.stores.loopback import LoopbackServer
from holdfast.checkpoints.stores.probing import probe


class FolderStore:
    """Objects below one folder. See `Store` for what each method promises."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files = Files(root)
        self._server: LoopbackServer | None = None

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes | None:
        return await asyncio.to_thread(self._files.read, key, start, length)

    async def put(self, key: str, data: bytes) -> bool:
        return await asyncio.to_thread(self._files.create, key, data)

    async def head(self, key: str) -> StoredObject | None:
        return await asyncio.to_thread(self._files.head, key)

    async def list(self, prefix: str) -> list[StoredObject]:
        return await asyncio.to_thread(self._files.below, prefix)

    async def delete(self, keys: Iterable[str]) -> None:
        await asyncio.to_thread(self._files.delete, list(keys))

    async def sign_put(self, key: str, *, size: int, md5: str, expires: timedelta) -> SignedRequest:
        return self._serve().sign_put(key, size=size, md5=md5, expires=expires)

    async def sign_get(self, key: str, *, expires: timedelta) -> SignedRequest:
        return self._serve().sign_get(key, expires=expires)

    async def probe(self) -> StoreFacts:
        return await probe(self)

    async def close(self) -> None:
        if self._server is not None:
            await asyncio.to_thread(self._server.close)
            self._server = None

    def _serve(self) -> LoopbackServer:
        if self._server is None:
            self._server = LoopbackServer(self._files)
        return self._server
