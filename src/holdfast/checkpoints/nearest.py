"""A restore from a mirror. Whatever the mirror lacks, or cannot give, comes from the main store.

A checkpoint that is copied in part is taken in part. Packs that a look does not find in the mirror are fetched from the
main store, one by one. What only the machine finds out
(damage, a mirror that it cannot reach) ends the try; the main store is then asked for the rest.
"""

import asyncio
import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

from holdfast.checkpoints.errors import CheckpointCorrupt, CheckpointError, StoreRefused, StoreUnavailable
from holdfast.checkpoints.format import ManifestKey, digest
from holdfast.checkpoints.mirroring import is_sound
from holdfast.checkpoints.mirrors import Mirror
from holdfast.checkpoints.restoring import Restore
from holdfast.checkpoints.stores.base import SignedRequest
from holdfast.contracts.checkpoints import RestoreSummary
from holdfast.contracts.hearsay import LONGEST_MESSAGE, words

ANSWERS_WITHIN = timedelta(seconds=5)
"""A mirror is to save time: one that is slower than this is passed over."""
PATIENCE = {"tries": 3, "silence_s": 10.0}
"""Of the machine, which knows of no other store: a minute for one that swallows everything."""
CHECKED_WITHIN = timedelta(seconds=20)
_PACK = re.compile(r"packs/[0-9a-f]{2}/[0-9a-f]{64}")
log = logging.getLogger("holdfast.mirrors")


async def find_near(mirrors: Iterable[Mirror], key: str) -> tuple[Mirror, bytes | None] | None:
    """The first mirror that has the checkpoint, with its manifest.

    Else the first that answers: it may have many of the packs already. None where no mirror does. Never raises.
    """
    answering = []
    for mirror in mirrors:
        try:
            data = await _manifest_in(mirror, key)
        except (CheckpointError, TimeoutError) as err:
            log.warning("mirror %s does not answer, the main store is asked: %s", mirror.name, err)
            continue
        if data is not None:
            return mirror, data
        answering.append(mirror)
    return (answering[0], None) if answering else None


async def restore_near(order: Restore, mirror: Mirror, workspace: str, *, whole: bool) -> RestoreSummary:
    """Carry the order out from the mirror, and from the main store, which it names, where that fails.

    `whole`: the mirror has the manifest, so all of it should be there. Raises as the order does, for what is wrong with
    the main store.
    """
    nearest = Nearest(order=order, mirror=mirror, whole=whole)
    try:
        restored = await replace(order, store=nearest, patience=PATIENCE).run(workspace)
        restored = replace(restored, store=mirror.name if nearest.used else "")
    except (CheckpointCorrupt, StoreUnavailable, StoreRefused) as err:
        trouble = words(str(err), LONGEST_MESSAGE)
        log.warning("the restore from mirror %s goes on from the main store: %s", mirror.name, trouble)
        looking = asyncio.create_task(nearest.look_again(trouble))
        try:
            restored = await order.run(workspace)
            await looking
        finally:
            looking.cancel()
    await nearest.own_up()
    return restored


@dataclass(kw_only=True)
class Nearest:
    """Signs addresses for the packs of one checkpoint: of the mirror where it has them, of the main store else."""

    order: Restore
    mirror: Mirror
    whole: bool
    used: bool = field(default=False, init=False)
    _silent: bool = field(default=False, init=False)
    _lost: set[str] = field(default_factory=set, init=False)

    async def sign_get(self, key: str, *, expires: timedelta) -> SignedRequest:
        """See `Store.sign_get`."""
        if not await self._has(key):
            return await self.order.store.sign_get(key, expires=expires)
        self.used = True
        return await self.mirror.store.sign_get(key, expires=expires)

    async def _has(self, key: str) -> bool:
        if self._silent:
            return False
        try:
            async with asyncio.timeout(ANSWERS_WITHIN.total_seconds()):
                found = await self.mirror.store.head(key)
        except (CheckpointError, TimeoutError) as err:
            log.warning("mirror %s does not answer, the main store is asked: %s", self.mirror.name, err)
            self._silent = True
            return False
        if found is not None and found.size == self.order.manifest.packs[key]:
            return True
        if found is not None or self.whole:
            self._lost.add(key)
        return False

    async def look_again(self, trouble: str) -> None:
        """Find out whether the pack that a machine calls damaged is so: its word alone proves nothing."""
        named = _PACK.search(trouble)
        with suppress(CheckpointError, TimeoutError):
            async with asyncio.timeout(CHECKED_WITHIN.total_seconds()):
                if named and named[0] in self.order.manifest.packs and not await self._is_sound(named[0]):
                    self._lost.add(named[0])

    async def own_up(self) -> None:
        """Take the checkpoint away from the mirror if something of it is not right there, so that it is copied anew."""
        if self._lost:
            log.warning("mirror %s has not all of %s, such as %s", self.mirror.name, self.order.key, min(self._lost))
            await _forget(self.mirror, [self.order.key, *sorted(self._lost)])

    async def _is_sound(self, key: str) -> bool:
        data = await self.mirror.store.get(key)
        return data is not None and await is_sound(key, data, self.order.repository)


async def _manifest_in(mirror: Mirror, key: str) -> bytes | None:
    async with asyncio.timeout(ANSWERS_WITHIN.total_seconds()):
        data = await mirror.store.get(key)
    if data is not None and digest(data) != ManifestKey.parse(key).digest:
        log.warning("mirror %s has damaged %s, the main store is asked", mirror.name, key)
        await _forget(mirror, [key])
        return None
    return data


async def _forget(mirror: Mirror, keys: list[str]) -> None:
    """The manifest goes first: without its packs it would look like a checkpoint."""
    with suppress(CheckpointError, TimeoutError):
        async with asyncio.timeout(ANSWERS_WITHIN.total_seconds()):
            for key in keys:
                await mirror.store.delete([key])
