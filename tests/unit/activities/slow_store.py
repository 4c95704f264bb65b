"""A folder store that is slow when a test wants it to be."""

import asyncio
from datetime import timedelta
from pathlib import Path

from holdfast.checkpoints.stores.base import SignedRequest
from holdfast.checkpoints.stores.folder import FolderStore


class SlowStore(FolderStore):
    """Gives no address before it is let to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked, self.ready = asyncio.Event(), asyncio.Event()

    async def sign_get(self, key: str, *, expires: timedelta) -> SignedRequest:
        await self._turn()
        return await super().sign_get(key, expires=expires)

    async def sign_put(self, key: str, *, size: int, md5: str, expires: timedelta) -> SignedRequest:
        await self._turn()
        return await super().sign_put(key, size=size, md5=md5, expires=expires)

    async def _turn(self) -> None:
        self.asked.set()
        await self.ready.wait()
