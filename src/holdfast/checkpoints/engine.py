"""Saving, restoring, verifying and listing checkpoints. Bytes go between machine and store; here only names pass.

Nothing here moves a head: a saved manifest becomes a checkpoint when `records` commits it.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from holdfast.checkpoints.errors import CheckpointError, NoCheckpoint, StoreRefused, StoreUnavailable
from holdfast.checkpoints.format import MANIFESTS, REPOSITORY, SERIES, Manifest, ManifestKey, Repository
from holdfast.checkpoints.garbage import GarbageSummary, Protected, collect, condemned
from holdfast.checkpoints.logs import LogBook, LogPage
from holdfast.checkpoints.mirroring import Copied, Copying
from holdfast.checkpoints.mirrors import Mirror, near
from holdfast.checkpoints.nearest import find_near, restore_near
from holdfast.checkpoints.restoring import Restore
from holdfast.checkpoints.saving import Save
from holdfast.checkpoints.serving import ADDRESS_LIFE
from holdfast.checkpoints.stores.base import Store
from holdfast.checkpoints.verifying import verify_chunks
from holdfast.contracts.channel import Channel
from holdfast.contracts.checkpoints import CheckpointRef, RestoreSummary, SaveReason, VerifySummary
from holdfast.contracts.spec import Quiesce

log = logging.getLogger("holdfast.mirrors")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class CheckpointEngine:
    """One repository of checkpoints in one store. Safe for many saves and restores at once."""

    def __init__(
        self,
        store: Store,
        *,
        mirrors: Sequence[Mirror] = (),
        address_life: timedelta = ADDRESS_LIFE,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._store = store
        self._mirrors = tuple(mirrors)
        self._address_life = address_life
        self._now = now
        self._repository: Repository | None = None
        self._logs = LogBook(store)
        self._series = LogBook(store, SERIES)

    async def save(
        self,
        channel: Channel,
        *,
        workload: str,
        epoch: int,
        sequence: int,
        workspace: str,
        base_manifest: str | None,
        reason: SaveReason,
        exclude: Sequence[str] = (),
        quiesce: Quiesce = Quiesce.NONE,
        hook: str | None = None,
        progress: str = "",
    ) -> CheckpointRef:
        """Store what the workspace holds and return what `records` may commit. A repeat sends only the rest.

        Raises:
            SourceUnstable: files changed whenever they were read.
            NoCheckpoint, CheckpointCorrupt: the base cannot be built upon.
            StoreUnavailable, StoreRefused: as the store says, here or to the machine.
            AgentError, ChannelLost: as the channel says.
        """
        base = None if base_manifest is None else await self.read_manifest(base_manifest)
        order = Save(
            store=self._store,
            repository=await self.repository(),
            channel=channel,
            workspace=workspace,
            exclude=tuple(exclude),
            base=base,
            quiesce=quiesce,
            hook=hook,
            address_life=self._address_life,
            now=self._now,
        )
        return await order.run(workload=workload, epoch=epoch, sequence=sequence, reason=reason, progress=progress)

    async def restore(self, channel: Channel, *, manifest: str, workspace: str, region: str = "") -> RestoreSummary:
        """Make a folder what the manifest says; whatever else is in it goes, except what the manifest excludes.

        The bytes come from a mirror near `region`, as far as it has them, and from the main store where that fails.
        Idempotent and resumable. Raises as `save` does; after CheckpointCorrupt the folder is as it was.
        """
        repository = await self.repository()
        found = await find_near(near(self._mirrors, region), manifest)
        data = found[1] if found else None
        order = self._restore(channel, repository, manifest, data or await self._manifest_bytes(manifest))
        if found is None:
            return await order.run(workspace)
        return await restore_near(order, found[0], workspace, whole=data is not None)

    def _restore(self, channel: Channel, repository: Repository, key: str, data: bytes) -> Restore:
        return Restore(
            store=self._store,
            repository=repository,
            channel=channel,
            manifest=Manifest.decode(key, data),
            data=data,
            key=key,
            address_life=self._address_life,
        )

    async def verify(self, manifest: str) -> VerifySummary:
        """Read every chunk back and check it; one pack at a time is in memory. Damage is an answer, not an error."""
        found = await self.read_manifest(manifest)
        return await verify_chunks(self._store, await self.repository(), manifest, found)

    async def catalog(self, prefix: str = "") -> list[ManifestKey]:
        """Every stored manifest of the workloads whose name begins with `prefix`, committed or not, oldest first."""
        found = []
        for stored in await self._store.list(MANIFESTS):
            key = ManifestKey.parse(stored.key)
            if key.workload.startswith(prefix):
                found.append(key)
        return sorted(found, key=lambda key: (key.workload, key.epoch, key.sequence, key.digest))

    async def read_manifest(self, manifest: str) -> Manifest:
        """Raises NoCheckpoint when there is none, CheckpointCorrupt when its bytes are not what its key says."""
        return Manifest.decode(manifest, await self._manifest_bytes(manifest))

    async def collect_garbage(
        self, live_manifests: Sequence[str], *, grace: timedelta, protected: Sequence[Protected] = ()
    ) -> GarbageSummary:
        """Delete what no live manifest names, in the mirrors as well; see `garbage.collect`."""
        mirrors = await self._known_mirrors() if self._mirrors else []
        return await collect(
            self._store, live_manifests, grace=grace, protected=protected, now=self._now(), mirrors=mirrors
        )

    async def fill_mirror(
        self, name: str, live_manifests: Iterable[str], *, note: Callable[[Copied], None] = lambda _: None
    ) -> Copied:
        """Copy to a mirror the live checkpoints that it lacks; a repeat goes on where an earlier one ended.

        Raises:
            StoreRefused: nobody knows the mirror, or it holds another repository.
            StoreUnavailable: one of both stores does not answer.
        """
        mirror = next((each for each in self._mirrors if each.name == name), None)
        if mirror is None:
            raise StoreRefused(
                f"no mirror {name} is set on this host worker; set HOLDFAST_MIRRORS__{name.upper()}__..., or delete "
                f"the schedule mirror/{name}"
            )
        order = Copying(main=self._store, mirror=mirror, repository=await self.repository(), note=note)
        return await order.run(live_manifests)

    async def _known_mirrors(self) -> list[Mirror]:
        """The mirrors that answer and hold this repository."""
        ours = (await self.repository()).encode()
        found = []
        for mirror in self._mirrors:
            try:
                if await mirror.belongs_to(ours):
                    found.append(mirror)
            except CheckpointError as err:
                log.warning("no garbage is collected in mirror %s this time: %s", mirror.name, err)
        return found

    async def append_log(self, workload: str, epoch: int, offset: int, data: bytes, *, series: bool = False) -> int:
        """Keep output that begins at `offset`; returns the offset that is wanted next. Repeats are harmless.

        With `series` it is what the work wrote of itself in numbers, which is kept beside its output in the same way.
        """
        return await self._book(series).append(workload, epoch, offset, data)

    async def log_end(self, workload: str, epoch: int, *, series: bool = False) -> int:
        """The offset up to which the output of this epoch is kept; 0 when there is none."""
        return await self._book(series).end(workload, epoch)

    async def read_logs(
        self, workload: str, cursor: str = "", max_bytes: int = 65_536, *, series: bool = False
    ) -> LogPage:
        """The output after `cursor`, the oldest epoch first; a page never mixes epochs."""
        return await self._book(series).read(workload, cursor, max_bytes)

    async def forget_logs(self, workload: str) -> int:
        """Delete what a workload wrote, its numbers too; how many pieces there were. What still comes is kept anew."""
        return await self._logs.forget(workload) + await self._series.forget(workload)

    def _book(self, series: bool) -> LogBook:
        return self._series if series else self._logs

    async def write_manifest(self, manifest: Manifest) -> str:
        """Store a manifest that was made of others, whose chunks are all in the store; its key. Idempotent.

        Raises:
            StoreUnavailable: garbage collection is about to remove some of it; make the others again.
        """
        key, data = manifest.encode()
        await self._store.put(str(key), data)
        if gone := (await condemned(self._store)) & set(manifest.packs):
            raise StoreUnavailable(f"garbage collection was about to remove {min(gone)}")
        return str(key)

    async def repository(self) -> Repository:
        """The store's own parameters, made at the first use of an empty store."""
        if self._repository is None:
            data = await self._store.get(REPOSITORY)
            if data is None:
                await self._store.put(REPOSITORY, Repository.create().encode())
                # Another process may have been quicker: what counts is what stands there.
                data = await self._store.get(REPOSITORY)
            self._repository = Repository.decode(data or b"")
        return self._repository

    async def _manifest_bytes(self, manifest: str) -> bytes:
        ManifestKey.parse(manifest)
        data = await self._store.get(manifest)
        if data is None:
            raise NoCheckpoint(f"the store has no {manifest}")
        return data
