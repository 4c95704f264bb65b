"""Copies of machines' disks: made of a disk in one zone, good for a new machine in any.

A copy's name is given once in a project, which makes taking it repeatable. Our mark is a label with that name.
"""

from holdfast.providers.base import DiskSnapshot, SnapshotState
from holdfast.providers.errors import ProviderUnavailable, RequestRejected
from holdfast.providers.gcp.answers import NameTaken, NotFound
from holdfast.providers.gcp.client import GcpClient
from holdfast.providers.gcp.endpoints import COPIES, COPY, DROP_COPY, TAKE_COPY
from holdfast.providers.gcp.fleet import Fleet, checked
from holdfast.providers.gcp.kinds import last_part, region_of
from holdfast.providers.gcp.names import LABEL_KEY, is_name, request_id, wire_label
from holdfast.providers.gcp.operations import Operations, errors_of, words_of
from holdfast.providers.gcp.wire import InstanceRow, SnapshotRow, read_snapshot

SNAPSHOTS = "global/snapshots/{0}"
_STATES = {
    "CREATING": SnapshotState.CREATING,
    "UPLOADING": SnapshotState.CREATING,
    "READY": SnapshotState.READY,
    "FAILED": SnapshotState.FAILED,
    "DELETING": SnapshotState.GONE,
}


class Copier:
    """Takes, finds and drops copies."""

    def __init__(self, client: GcpClient, fleet: Fleet, follower: Operations) -> None:
        self._client = client
        self._fleet = fleet
        self._operations = follower

    async def take(self, number: str, name: str) -> DiskSnapshot:
        """As `KeepsSnapshots.take_snapshot`.

        Raises:
            RequestRejected: no such machine, a name that cannot be one, or one that is another's copy.
            ProviderUnavailable: too many copies of this disk lately, or no clear answer; call again.
        """
        zone, _ = checked(number)
        _require_name(name)
        if (found := await self._find(name)) is not None:
            return _ours(found)
        row = await self._fleet.find(number)
        if row is None:
            raise RequestRejected(f"Google does not know machine {number}")
        # In the machine's own region: left unsaid, Google keeps it in several, which may be of several countries.
        body = {"name": name, "labels": {LABEL_KEY: wire_label(name)}, "storageLocations": [region_of(zone)]}
        params = {"requestId": request_id(name, f"snapshot/{row.id}")}
        try:
            answer = await self._client.call(TAKE_COPY, zone=zone, name=_boot_disk(row), params=params, body=body)
        except NameTaken:
            return await self.find(name)
        if errors := errors_of(await self._operations.followed(zone, answer)):
            raise ProviderUnavailable(f"the disk of {number} was not copied: {words_of(errors)}")
        return await self.find(name)

    async def find(self, name: str) -> DiskSnapshot:
        """As `KeepsSnapshots.find_snapshot`."""
        _require_name(name)
        found = await self._find(name)
        return DiskSnapshot(name=name, state=SnapshotState.GONE) if found is None else _told(found)

    async def every(self) -> list[DiskSnapshot]:
        """As `KeepsSnapshots.list_snapshots`."""
        pages = await self._client.pages(COPIES, filter=f"labels.{LABEL_KEY}:*", maxResults="500")
        rows = [read_snapshot(each) for page in pages for each in _items(page)]
        told = [_told(row) for row in rows if _is_ours(row)]
        return [each for each in told if each.state is not SnapshotState.GONE]

    async def drop(self, name: str) -> bool:
        """As `KeepsSnapshots.drop_snapshot`. A copy that is not ours stays."""
        _require_name(name)
        found = await self._find(name)
        if found is None:
            return True
        _ours(found)
        try:
            await self._client.call(DROP_COPY, name=name)
        except NotFound:
            return await self._find(name) is None
        return await self._find(name) is None

    async def _find(self, name: str) -> SnapshotRow | None:
        try:
            row = read_snapshot(await self._client.call(COPY, name=name))
        except NotFound as unknown:
            if f"/snapshots/{name}'" in str(unknown):
                return None
            raise ProviderUnavailable(f"Google does not find where copy {name} would be: {unknown}") from unknown
        if row.name != name:
            raise ProviderUnavailable(f"Google was asked for copy {name} and answered with {row.name}")
        return row


def _boot_disk(row: InstanceRow) -> str:
    for disk in row.disks or []:
        if disk.boot and disk.source:
            return last_part(disk.source)
    raise ProviderUnavailable(f"Google does not tell which disk {row.name} began with")


def _ours(row: SnapshotRow) -> DiskSnapshot:
    if not _is_ours(row):
        raise RequestRejected(f"a snapshot {row.name} exists at Google and does not wear our label: not ours")
    return _told(row)


def _is_ours(row: SnapshotRow) -> bool:
    return (row.labels or {}).get(LABEL_KEY) == row.name


def _told(row: SnapshotRow) -> DiskSnapshot:
    return DiskSnapshot(
        name=row.name,
        state=_STATES.get(row.status, SnapshotState.CREATING),
        disk_gb=row.disk_size_gb,
        taken_at=row.creation_timestamp,
        detail=row.status,
    )


def _items(page: dict[str, object]) -> list[object]:
    items = page.get("items", [])
    if not isinstance(items, list) or (not items and page.get("kind") != "compute#snapshotList"):
        raise ProviderUnavailable("Google's list of snapshots is no list")
    return items


def _require_name(name: str) -> None:
    if not is_name(name):
        raise RequestRejected(f"{name!r} cannot be the name of a snapshot at Google: a-z, 0-9 and '-', a letter first")
