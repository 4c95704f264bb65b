"""Reading a checkpoint back from the store, chunk by chunk."""

import asyncio
import time
from collections import defaultdict
from datetime import timedelta

from holdfast.checkpoints import codecs
from holdfast.checkpoints.format import Chunk, Manifest, Repository, identify
from holdfast.checkpoints.stores.base import Store
from holdfast.contracts.checkpoints import VerifySummary

# Packs in memory at once: reading one overlaps with checking the other.
AT_ONCE = 2


async def verify_chunks(store: Store, repository: Repository, key: str, manifest: Manifest) -> VerifySummary:
    """Check every chunk that the manifest names; a pack that is gone or short makes its chunks corrupt."""
    began = time.monotonic()
    by_pack: dict[str, list[Chunk]] = defaultdict(list)
    for chunk in manifest.chunks.values():
        by_pack[chunk.pack].append(chunk)
    slots = asyncio.Semaphore(AT_ONCE)

    async def check(pack: str, held: list[Chunk]) -> tuple[int, list[str]]:
        async with slots:
            first = min(chunk.offset for chunk in held)
            end = max(chunk.offset + chunk.length for chunk in held)
            data = await store.get(pack, start=first, length=end - first) or b""
            return len(data), await asyncio.to_thread(_damaged, data, first, held, repository.key)

    results = await asyncio.gather(*(check(pack, held) for pack, held in by_pack.items()))
    return VerifySummary(
        manifest=key,
        chunks=len(manifest.chunks),
        bytes_read=sum(size for size, _ in results),
        corrupt=tuple(sorted(chunk for _, damaged in results for chunk in damaged)),
        duration=timedelta(seconds=time.monotonic() - began),
    )


def _damaged(data: bytes, first: int, held: list[Chunk], key: bytes) -> list[str]:
    view = memoryview(data)
    return [chunk.id for chunk in held if not _is_sound(chunk, view[chunk.offset - first :][: chunk.length], key)]


def _is_sound(chunk: Chunk, payload: memoryview, key: bytes) -> bool:
    try:
        plain = codecs.decode(chunk.codec, payload, chunk.size)
    except ValueError:
        return False
    return len(plain) == chunk.size and identify(plain, key) == chunk.id
