"""Copying to a mirror what it lacks. Nothing is remembered between runs: what is there need not be copied again.

The packs of a checkpoint go first, each checked against its name, its manifest last. What garbage collection may be
about to delete from the mirror is not built upon: such a checkpoint waits until its condemnation is over.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest

from holdfast.checkpoints.errors import CheckpointCorrupt, StoreUnavailable
from holdfast.checkpoints.format import MANIFESTS, PACKS, Manifest, ManifestKey, Repository, identify
from holdfast.checkpoints.garbage import condemned
from holdfast.checkpoints.mirrors import Mirror
from holdfast.checkpoints.serving import present
from holdfast.checkpoints.stores.base import Store

AT_ONCE = 4
"""Packs in memory, each of 32 MiB at most."""
log = logging.getLogger("holdfast.mirrors")


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What a run came to, or has come to so far."""

    live: int
    lacking: int = 0  # checkpoints that the mirror did not have when the run began
    checkpoints: int = 0
    packs: int = 0
    bytes_copied: int = 0
    waiting: int = 0  # of those lacking: something of them is condemned in the mirror
    unsound: int = 0  # of those lacking: the main store does not have them whole


@dataclass(kw_only=True)
class Copying:
    """One run for one mirror. `note` hears how far it is."""

    main: Store
    mirror: Mirror
    repository: Repository
    note: Callable[[Copied], None]

    async def run(self, live: Iterable[str]) -> Copied:
        """Copy the newest checkpoint of each workload first.

        Raises:
            StoreUnavailable: one of both stores. A repeat goes on where this ended.
            StoreRefused: the mirror holds another repository, or as the stores say.
        """
        await self.mirror.adopt(self.repository.encode())
        keys = set(live)
        there = {each.key for each in await self.mirror.store.list(MANIFESTS)}
        lacking = newest_first(keys - there)
        done = self._told(Copied(live=len(keys), lacking=len(lacking)))
        if not lacking:
            return done
        # Before the packs are listed: what is condemned later is not deleted before a grace has passed.
        doomed = await condemned(self.mirror.store)
        packs = {each.key: each.size for each in await self.mirror.store.list(PACKS)}
        for key in lacking:
            done = self._told(await self._bring(key, doomed, packs, done))
        return done

    def _told(self, done: Copied) -> Copied:
        self.note(done)
        return done

    async def _bring(self, key: str, doomed: set[str], packs: dict[str, int], done: Copied) -> Copied:
        data = await self.main.get(key)
        if data is None:  # given up since we asked; should it live, the collector of garbage will say so
            return replace(done, unsound=done.unsound + 1)
        try:
            manifest = Manifest.decode(key, data)
            if doomed & {key, *manifest.packs}:
                return replace(done, waiting=done.waiting + 1)
            done = await self._bring_packs(manifest.packs, packs, done)
        except CheckpointCorrupt as err:
            log.warning("not copied to mirror %s: %s", self.mirror.name, err)
            return replace(done, unsound=done.unsound + 1)
        await self.mirror.store.put(key, data)
        return replace(done, checkpoints=done.checkpoints + 1)

    async def _bring_packs(self, wanted: Mapping[str, int], packs: dict[str, int], done: Copied) -> Copied:
        lacking = [key for key, size in wanted.items() if packs.get(key) != size]
        for start in range(0, len(lacking), AT_ONCE):
            some = lacking[start : start + AT_ONCE]
            # All end before the first failure is told: none goes on copying on its own.
            ends = await asyncio.gather(*(self._copy(key, wanted[key]) for key in some), return_exceptions=True)
            for end in ends:
                if end is not None:
                    raise end
            packs.update((key, wanted[key]) for key in some)
            copied = sum(wanted[key] for key in some)
            done = self._told(replace(done, packs=done.packs + len(some), bytes_copied=done.bytes_copied + copied))
        return done

    async def _copy(self, key: str, size: int) -> None:
        data = await self.main.get(key)
        if data is None or len(data) != size or not await is_sound(key, data, self.repository):
            raise CheckpointCorrupt(f"{key} in the main store is not what its name and its manifest say")
        claimed = [{"key": key, "size": size}]
        if not await self.mirror.store.put(key, data) and not await present(self.mirror.store, claimed):
            await self.mirror.store.delete([key])  # of another size: never written whole
            await self.mirror.store.put(key, data)
        if not await present(self.mirror.store, claimed):
            raise StoreUnavailable(f"mirror {self.mirror.name} does not hold {key} as sent")


async def is_sound(key: str, data: bytes, repository: Repository) -> bool:
    """Whether these bytes are the pack of this name."""
    return await asyncio.to_thread(identify, data, repository.key) == key.rpartition("/")[2]


def newest_first(keys: Iterable[str]) -> list[str]:
    """The newest manifest of each workload, then the second of each, and so on."""
    by_workload: dict[str, list[str]] = defaultdict(list)
    for key in sorted(keys, key=_age, reverse=True):
        by_workload[ManifestKey.parse(key).workload].append(key)
    return [key for rank in zip_longest(*by_workload.values()) for key in rank if key is not None]


def _age(key: str) -> tuple[int, int, str]:
    named = ManifestKey.parse(key)
    return named.epoch, named.sequence, key
