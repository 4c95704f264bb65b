"""Removing what no checkpoint needs, without ever removing what one is about to need.

Two phases, in separate runs. First what no manifest names, and is older than the grace, is condemned: its keys are
written under `gc/`. A later run, when the grace has passed again, reads the condemned keys, marks from all manifests
anew, and deletes those that are still unnamed. The condemnation goes last.

A save may take over an old pack from its base or its machine's journal. If it ends within the grace, its manifest is
marked from. If not, it finds the expired condemnation after writing its manifest, and fails instead of committing.
The grace must therefore be longer than the longest save.

Mirrors are swept by what the main store's manifests name, in the same two phases. A copied checkpoint that lacks a pack
is taken away from its mirror, so that it is copied anew.
"""

import asyncio
import gzip
import json
import logging
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from holdfast.checkpoints.errors import CheckpointCorrupt, CheckpointError, NoCheckpoint
from holdfast.checkpoints.format import GARBAGE, MANIFESTS, PACKS, VERSION, Manifest, ManifestKey, canonical
from holdfast.checkpoints.mirrors import Mirror
from holdfast.checkpoints.stores.base import Store, StoredObject

_READ_AT_ONCE = 16
"""Manifests. There may be a hundred thousand of them, and each is one more journey to the store."""
log = logging.getLogger("holdfast.garbage")


@dataclass(frozen=True, kw_only=True)
class Protected:
    """A machine that may be saving now: its manifests stay, committed or not."""

    workload: str
    epoch: int


@dataclass(frozen=True, kw_only=True)
class GarbageSummary:
    """What a run did."""

    kept: int
    condemned: int
    deleted: int
    bytes_deleted: int


@dataclass(frozen=True, kw_only=True)
class _Condemnation:
    key: str
    at: datetime
    doomed: frozenset[str]


class _Copy:
    """A mirror as it was found, and the checkpoints of which it turned out to lack something."""

    def __init__(self, mirror: Mirror, condemnations: Sequence[_Condemnation], objects: Sequence[StoredObject]) -> None:
        self.mirror = mirror
        self.condemnations = condemnations
        self.objects = objects
        self.broken: list[str] = []
        self._sizes = {each.key: each.size for each in objects}

    def compare(self, manifest: str, packs: Mapping[str, int]) -> None:
        if manifest in self._sizes and any(self._sizes.get(key) != size for key, size in packs.items()):
            self.broken.append(manifest)


async def collect(
    store: Store,
    live: Sequence[str],
    *,
    grace: timedelta,
    protected: Sequence[Protected],
    now: datetime,
    mirrors: Sequence[Mirror] = (),
) -> GarbageSummary:
    """One run, for the store and its mirrors, in which nothing more is needed than in the store.

    Raises, having removed nothing, when a live manifest is missing in the store or cannot be read. A mirror that does
    not answer is left for the next run.
    """
    condemnations = await _condemnations(store)  # before marking: see the story above
    objects = await store.list(MANIFESTS) + await store.list(PACKS)
    copies = [copy for mirror in mirrors if (copy := await _looked_into(mirror)) is not None]
    needed = await _marked(store, objects, live, protected, now - grace, copies)
    for copy in copies:
        try:
            await copy.mirror.store.delete(copy.broken)
            done = await _sweep(copy.mirror.store, copy.objects, needed, copy.condemnations, grace, now)
        except CheckpointError as err:
            _left_for_later(copy.mirror, err)
        else:
            log.info("mirror %s: %s; %d checkpoints are to be copied anew", copy.mirror.name, done, len(copy.broken))
    return await _sweep(store, objects, needed, condemnations, grace, now)


async def _sweep(  # noqa: PLR0917 (private, and called in two places)
    store: Store,
    objects: Sequence[StoredObject],
    needed: Collection[str],
    condemnations: Sequence[_Condemnation],
    grace: timedelta,
    now: datetime,
) -> GarbageSummary:
    unnamed = {each.key: each for each in objects if each.key not in needed}
    expired = [each for each in condemnations if each.at + grace <= now]
    pending = set().union(*(each.doomed for each in condemnations if each not in expired))
    doomed = set().union(*(each.doomed for each in expired)) & unnamed.keys()
    # Manifests first: one without its packs would look like a checkpoint.
    await store.delete(sorted(doomed, key=lambda key: not key.startswith(MANIFESTS)))
    await store.delete(each.key for each in expired)
    fresh = [key for key, each in unnamed.items() if key not in doomed | pending and each.modified <= now - grace]
    if fresh:
        await store.put(*_condemn(fresh, now))
    return GarbageSummary(
        kept=len(objects) - len(doomed),
        condemned=len(fresh),
        deleted=len(doomed),
        bytes_deleted=sum(unnamed[key].size for key in doomed),
    )


async def condemned(store: Store) -> set[str]:
    """Keys that some run may be deleting now or later, however young their condemnation."""
    return set().union(*(each.doomed for each in await _condemnations(store)))


async def _marked(  # noqa: PLR0917 (private, and called in one place)
    store: Store,
    objects: Sequence[StoredObject],
    live: Sequence[str],
    protected: Sequence[Protected],
    old: datetime,
    copies: Sequence[_Copy],
) -> set[str]:
    """Live and young manifests, and every pack that one of them names; copies are compared on the way."""
    stored = {each.key: each for each in objects if each.key.startswith(MANIFESTS)}
    lost = [key for key in live if key not in stored]
    if lost:
        raise NoCheckpoint(f"a committed manifest is not in the store: {lost[0]}; nothing was collected")
    kept = set(live) | {key for key, each in stored.items() if each.modified > old or _is_protected(key, protected)}
    needed = set(kept)
    keys = sorted(kept)
    for start in range(0, len(keys), _READ_AT_ONCE):
        some = keys[start : start + _READ_AT_ONCE]
        for key, data in zip(some, await asyncio.gather(*map(store.get, some)), strict=True):
            if data is None:
                raise NoCheckpoint(f"{key} vanished while it was read; nothing was collected")
            packs = Manifest.decode(key, data).packs
            needed.update(packs)
            for copy in copies:
                copy.compare(key, packs)
    return needed


async def _looked_into(mirror: Mirror) -> _Copy | None:
    """What a mirror holds: manifests before packs, so that whatever a manifest names was there already."""
    try:
        condemnations = await _condemnations(mirror.store)
        manifests = await mirror.store.list(MANIFESTS)
        return _Copy(mirror, condemnations, manifests + await mirror.store.list(PACKS))
    except CheckpointError as err:
        _left_for_later(mirror, err)
        return None


def _left_for_later(mirror: Mirror, err: CheckpointError) -> None:
    log.warning("no garbage is collected in mirror %s this time: %s", mirror.name, err)


def _is_protected(key: str, protected: Iterable[Protected]) -> bool:
    named = ManifestKey.parse(key)
    return any((each.workload, each.epoch) == (named.workload, named.epoch) for each in protected)


async def _condemnations(store: Store) -> list[_Condemnation]:
    found = []
    for stored in await store.list(GARBAGE):
        data = await store.get(stored.key)
        if data is not None:  # None: another run has just finished with it
            found.append(_parse(stored.key, data))
    return found


def _condemn(keys: list[str], now: datetime) -> tuple[str, bytes]:
    body: dict[str, Any] = {"version": VERSION, "at": now.isoformat(), "keys": sorted(keys)}
    name = f"{GARBAGE}{now:%Y%m%dT%H%M%S}-{secrets.token_hex(6)}"
    return name, gzip.compress(canonical(body), 6, mtime=0)


def _parse(key: str, data: bytes) -> _Condemnation:
    try:
        body = json.loads(gzip.decompress(data))
        return _Condemnation(key=key, at=datetime.fromisoformat(body["at"]), doomed=frozenset(body["keys"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as err:
        raise CheckpointCorrupt(f"{key}: {err}; nothing was collected") from err
