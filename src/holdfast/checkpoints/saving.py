"""One save, from scan to manifest.

1. The agent scans; the work is quiesced meanwhile, if the policy says so, and never longer.
2. The agent sends the chunks that the base does not have. Files that changed since the scan are scanned again.
3. Every pack that the manifest will name is looked at in the store: it exists, and has its size.
4. The manifest is written, once. If garbage collection has condemned a pack meanwhile, the save fails and is repeated.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from holdfast.checkpoints import wire
from holdfast.checkpoints.errors import SourceUnstable, StoreUnavailable
from holdfast.checkpoints.format import Chunk, Manifest, Repository, check_entries, is_pack_key
from holdfast.checkpoints.garbage import condemned
from holdfast.checkpoints.serving import SILENCE, Questions, confirm, present, put_addresses, raise_ours
from holdfast.checkpoints.stores.base import Store
from holdfast.contracts.channel import AgentError, Channel, Json
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.spec import Quiesce

# Scans before a workspace that changes whenever it is read, or before it is sent, is given up.
ROUNDS = 3
HOOK_PATIENCE = timedelta(minutes=5)
# The agent thaws the work by itself after so long, should we vanish.
LONGEST_FREEZE = timedelta(minutes=5)
# Pages of a list of files: what the largest one comes to if nothing in it can be squeezed.
MOST_PAGES = wire.LARGEST // wire.PAGE
# Bytes of the list of one pack's chunks, of which there are thousands at most.
LARGEST_PACK_LIST = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What the agent saw."""

    name: str
    taken_at: datetime
    entries: list[dict[str, Any]]

    def chunks(self) -> dict[str, int]:
        """Every chunk once, in the order of the files, with its size."""
        return {chunk: size for entry in self.entries for chunk, size in entry.get("chunks", ())}


@dataclass(kw_only=True)
class Save:
    """The order and its state. One instance runs once."""

    store: Store
    repository: Repository
    channel: Channel
    workspace: str
    exclude: tuple[str, ...]
    base: Manifest | None
    quiesce: Quiesce
    hook: str | None
    address_life: timedelta
    now: Callable[[], datetime]
    _chunks: dict[str, Chunk] = field(default_factory=dict, init=False)  # where chunks rest: the base's and the new
    _packs: dict[str, int] = field(default_factory=dict, init=False)
    _uploaded: int = field(default=0, init=False)

    async def run(
        self, *, workload: str, epoch: int, sequence: int, reason: SaveReason, progress: str
    ) -> CheckpointRef:
        began = self.now()
        if self.base is not None:
            self._chunks.update(self.base.chunks)
            self._packs.update(self.base.packs)
        try:
            scan = await self._scan_and_upload()
        except AgentError as err:
            raise_ours(err)
        manifest = self._manifest(
            scan, workload=workload, epoch=epoch, sequence=sequence, reason=reason, progress=progress
        )
        key = await self._write(manifest)
        done = self.now()
        return CheckpointRef(
            workload=workload,
            epoch=epoch,
            sequence=sequence,
            manifest=key,
            reason=reason,
            taken_at=scan.taken_at,
            committed_at=done,
            files=manifest.files,
            bytes_total=manifest.bytes_total,
            bytes_uploaded=self._uploaded,
            duration=done - began,
            progress=progress,
        )

    async def _scan_and_upload(self) -> Scan:
        """Whatever changes under our hands is read anew, a few times."""
        for _ in range(ROUNDS - 1):
            with suppress(SourceUnstable):
                return await self._round()
        return await self._round()

    async def _round(self) -> Scan:
        async with self._quiesced():
            scan = await self._scan()
        if changed := await self._upload(scan):
            raise SourceUnstable(f"changed between scan and upload: {_few(changed)}", tuple(changed))
        return scan

    @asynccontextmanager
    async def _quiesced(self) -> AsyncIterator[None]:
        if self.quiesce is Quiesce.HOOK:
            await self._still("hook", {"command": self.hook, "timeout_s": HOOK_PATIENCE.total_seconds()})
        if self.quiesce is not Quiesce.FREEZE:
            yield
            return
        try:
            # Inside the try: a freeze whose answer was lost must be undone as well.
            await self._still("freeze", {"for_s": LONGEST_FREEZE.total_seconds()})
            yield
        finally:
            # Shielded: whoever cancels the save must not leave the work frozen.
            await asyncio.shield(self.channel.call("thaw", {}, timeout=SILENCE))

    async def _still(self, method: str, params: Json) -> None:
        """Quiesce the work; when none runs, nothing can move."""
        try:
            await self.channel.call(method, params, timeout=SILENCE)
        except AgentError as err:
            if err.kind != "not_running":
                raise

    async def _scan(self) -> Scan:
        blobs: list[str] = []

        async def scanned(params: Json) -> Json:
            if len(blobs) == MOST_PAGES or len(params["blob"]) > wire.LONGEST_PAGE:
                raise AgentError("bad_request", "a longer list of files than any that could be kept")
            blobs.append(params["blob"])
            return {}

        taken_at = self.now()
        order = {"workspace": self.workspace, "exclude": list(self.exclude), "key": self.repository.key.hex()}
        result = await self.channel.call("scan", order, answer=Questions({"scanned": scanned}), timeout=SILENCE)
        if result["unstable"]:
            paths = tuple(result["unstable"])
            raise SourceUnstable(f"changed whenever they were read: {_few(list(paths))}", paths)
        entries = await _unfolded(blobs, wire.LARGEST)
        try:
            check_entries(entries)
        except (ValueError, TypeError, AttributeError) as odd:
            raise AgentError("nonsense", f"what the machine says stands in its workspace: {odd}") from odd
        return Scan(name=result["scan"], taken_at=taken_at, entries=entries)

    async def _upload(self, scan: Scan) -> list[str]:
        """Send what is lacking; returns the files that are no longer as scanned."""
        wanted = scan.chunks()
        needed = [chunk for chunk in wanted if chunk not in self._chunks]
        if not needed:
            return []
        blobs = wire.cut(needed)

        async def page(params: Json) -> Json:
            return {"blob": blobs[params["page"]]}

        async def confirmed(params: Json) -> Json:
            return await confirm(self.store, params["packs"], await condemned(self.store))

        async def put_urls(params: Json) -> Json:
            return await put_addresses(self.store, params["objects"], self.address_life)

        async def stored(params: Json) -> Json:
            rows = await _unfolded([params["blob"]], LARGEST_PACK_LIST)
            try:
                self._take_over(params["pack"], rows, wanted)
            except (ValueError, TypeError) as odd:
                raise AgentError("nonsense", f"what the machine says a pack holds: {odd}") from odd
            return {}

        questions = Questions({"needed": page, "confirm": confirmed, "put_urls": put_urls, "stored": stored})
        order = {"scan": scan.name, "pages": len(blobs), "key": self.repository.key.hex()}
        result = await self.channel.call("upload", order, answer=questions, timeout=SILENCE)
        self._uploaded += result["bytes"]
        return list(result["changed"])

    def _take_over(self, pack: Mapping[str, Any], rows: list[list[Any]], wanted: Mapping[str, int]) -> None:
        """Believe an agent about its own packs, as far as its words make sense."""
        key, size = pack["key"], pack["size"]
        if not is_pack_key(key):
            raise AgentError("bad_request", f"{key!r} is not a pack")
        for chunk, plain, offset, length, codec in rows:
            if chunk in self._chunks or chunk not in wanted:
                continue
            if plain != wanted[chunk] or offset < 0 or length <= 0 or offset + length > size:
                raise AgentError("bad_request", f"{key} cannot hold chunk {chunk} there")
            self._chunks[chunk] = Chunk(id=chunk, size=plain, pack=key, offset=offset, length=length, codec=codec)
            self._packs[key] = size

    def _manifest(
        self, scan: Scan, *, workload: str, epoch: int, sequence: int, reason: SaveReason, progress: str
    ) -> Manifest:
        chunks = {chunk: self._chunks[chunk] for chunk in scan.chunks() if chunk in self._chunks}
        missing = [chunk for chunk in scan.chunks() if chunk not in chunks]
        if missing:
            raise AgentError("bad_request", f"the agent did not say where chunk {missing[0]} is")
        return Manifest(
            workload=workload,
            epoch=epoch,
            sequence=sequence,
            reason=reason,
            taken_at=scan.taken_at,
            progress=progress,
            exclude=self.exclude,
            entries=tuple(_named(entry) for entry in scan.entries),
            chunks=chunks,
            packs={pack: self._packs[pack] for pack in dict.fromkeys(chunk.pack for chunk in chunks.values())},
        )

    async def _write(self, manifest: Manifest) -> str:
        claimed = [{"key": key, "size": size} for key, size in manifest.packs.items()]
        lost = set(manifest.packs) - set(await present(self.store, claimed))
        if lost:
            raise StoreUnavailable(f"{len(lost)} packs are not in the store as sent, such as {min(lost)}")
        key, data = manifest.encode()
        await self.store.put(str(key), data)
        # After the manifest: a collection that marks from now on sees it, one that marked before shows here.
        if gone := (await condemned(self.store)) & set(manifest.packs):
            raise StoreUnavailable(f"garbage collection was about to remove {min(gone)}; save again")
        return str(key)


async def _unfolded(blobs: list[str], largest: int) -> Any:
    try:
        return await asyncio.to_thread(wire.join, blobs, largest)
    except ValueError as odd:
        raise AgentError("nonsense", f"a list from the machine: {odd}") from odd


def _named(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "chunks": [chunk for chunk, _ in entry["chunks"]]} if "chunks" in entry else entry


def _few(paths: list[str]) -> str:
    return ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
