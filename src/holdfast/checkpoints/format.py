"""What is written into the store, version 1.

```text
repo.json                                         the repository: hash function and its key
packs/<2>/<digest>                                encoded chunks and their index (laid out in hosts/agent/packs.py)
manifests/<workload>/<epoch>-<sequence>-<digest>  one saved workspace: JSON, gzip
logs/<workload>/<epoch>/<offset>                  output of the work
gc/<time>-<random>                                keys that may be deleted once a grace has passed
```

A manifest's body has `entries` (files, folders, links, each folder before its content), `chunks` (rows of id, size,
pack, offset, length, codec) and `packs` (rows of key, size). A file names its chunks by row; their sizes add up to its
offsets. Rows and objects may grow at their end: what a reader does not know it ignores.

A reader refuses a version above its own. Everything is immutable once written.
"""

import gzip
import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from holdfast.checkpoints.errors import CheckpointCorrupt
from holdfast.contracts.checkpoints import SaveReason

VERSION = 1
REPOSITORY = "repo.json"
HASH = "blake2b-256"
PACKS = "packs/"
MANIFESTS = "manifests/"
LOGS = "logs/"
SERIES = "series/"  # numbers that work writes of itself; kept as its output is
GARBAGE = "gc/"
KINDS = ("file", "dir", "link")  # of entries
STAGING = ".holdfast-staging"  # where a restore prepares; never an entry

_MANIFEST_KEY = re.compile(r"manifests/(?P<workload>[^/]+)/(?P<epoch>\d+)-(?P<sequence>\d+)-(?P<digest>[0-9a-f]{64})")
_PACK_KEY = re.compile(r"packs/([0-9a-f]{2})/(\1[0-9a-f]{62})")


@dataclass(frozen=True, kw_only=True)
class Repository:
    """What all checkpoints of a store share. The key keeps strangers from guessing content by its name."""

    key: bytes

    @classmethod
    def create(cls) -> Self:
        return cls(key=secrets.token_bytes(32))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises CheckpointCorrupt for anything that this version does not understand."""
        body = _object(data, REPOSITORY)
        if body.get("version") != VERSION or body.get("hash") != HASH:
            raise CheckpointCorrupt(
                f"{REPOSITORY}: version {body.get('version')!r}, hash {body.get('hash')!r} are not known"
            )
        return cls(key=bytes.fromhex(body["key"]))

    def encode(self) -> bytes:
        return canonical({"version": VERSION, "hash": HASH, "key": self.key.hex()})


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """Where a chunk rests."""

    id: str
    size: int  # plain bytes
    pack: str
    offset: int
    length: int  # encoded bytes
    codec: str


@dataclass(frozen=True, kw_only=True)
class ManifestKey:
    """A manifest's place in the store, taken apart."""

    workload: str
    epoch: int
    sequence: int
    digest: str

    @classmethod
    def parse(cls, key: str) -> Self:
        """Raises ValueError when the key does not name a manifest."""
        found = _MANIFEST_KEY.fullmatch(key)
        if found is None:
            raise ValueError(f"{key!r} is not the key of a manifest")
        return cls(
            workload=found["workload"],
            epoch=int(found["epoch"]),
            sequence=int(found["sequence"]),
            digest=found["digest"],
        )

    def __str__(self) -> str:
        return f"{MANIFESTS}{self.workload}/{self.epoch:08d}-{self.sequence:08d}-{self.digest}"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One saved workspace. `entries` are as the agent's scan gave them, with chunk ids in place of rows."""

    workload: str
    epoch: int
    sequence: int
    reason: SaveReason
    taken_at: datetime
    progress: str
    exclude: tuple[str, ...]
    entries: tuple[Mapping[str, Any], ...]
    chunks: Mapping[str, Chunk]
    packs: Mapping[str, int]  # key to size in bytes

    def encode(self) -> tuple[ManifestKey, bytes]:
        """The bytes to store and the key to store them under."""
        data = gzip.compress(canonical(self._body()), 6, mtime=0)
        key = ManifestKey(workload=self.workload, epoch=self.epoch, sequence=self.sequence, digest=digest(data))
        return key, data

    @classmethod
    def decode(cls, key: str, data: bytes) -> Self:
        """Raises CheckpointCorrupt unless the bytes are those that the key names and mean something to us."""
        if digest(data) != ManifestKey.parse(key).digest:
            raise CheckpointCorrupt(f"{key}: the bytes are not the ones that its name promises")
        body = _object(_unzipped(data, key), key)
        if body.get("version") != VERSION:
            raise CheckpointCorrupt(f"{key}: version {body.get('version')!r} is not known; update Holdfast")
        try:
            return cls._from_body(body)
        except (KeyError, TypeError, ValueError, IndexError) as err:
            raise CheckpointCorrupt(f"{key}: {type(err).__name__} {err}") from err

    @property
    def files(self) -> int:
        return sum(entry["kind"] == "file" for entry in self.entries)

    @property
    def bytes_total(self) -> int:
        return sum(entry["size"] for entry in self.entries if entry["kind"] == "file")

    def _body(self) -> dict[str, Any]:
        packs = {key: row for row, key in enumerate(self.packs)}
        rows = {chunk: row for row, chunk in enumerate(self.chunks)}
        return {
            "version": VERSION,
            "workload": self.workload,
            "epoch": self.epoch,
            "sequence": self.sequence,
            "reason": self.reason.value,
            "taken_at": self.taken_at.isoformat(),
            "progress": self.progress,
            "exclude": list(self.exclude),
            "packs": [[key, size] for key, size in self.packs.items()],
            "chunks": [[c.id, c.size, packs[c.pack], c.offset, c.length, c.codec] for c in self.chunks.values()],
            "entries": [_with_rows(entry, rows) for entry in self.entries],
        }

    @classmethod
    def _from_body(cls, body: Mapping[str, Any]) -> Self:
        packs = {row[0]: row[1] for row in body["packs"]}
        keys = list(packs)
        chunks = [_chunk(row, keys) for row in body["chunks"]]
        ids = [chunk.id for chunk in chunks]
        return cls(
            workload=body["workload"],
            epoch=body["epoch"],
            sequence=body["sequence"],
            reason=SaveReason(body["reason"]),
            taken_at=datetime.fromisoformat(body["taken_at"]),
            progress=body["progress"],
            exclude=tuple(body["exclude"]),
            entries=tuple(_with_ids(entry, ids) for entry in body["entries"]),
            chunks={chunk.id: chunk for chunk in chunks},
            packs=packs,
        )


def canonical(document: Mapping[str, Any]) -> bytes:
    """JSON in the one form that is hashed: sorted keys, no blanks, ASCII (odd file names survive as escapes)."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def identify(data: bytes | memoryview, key: bytes) -> str:
    """The name of a chunk or a pack: a keyed digest of its bytes."""
    return hashlib.blake2b(data, key=key, digest_size=32).hexdigest()


def is_pack_key(key: str) -> bool:
    """Whether a key that a machine sent is one under which it may store a pack, and nothing else."""
    return _PACK_KEY.fullmatch(key) is not None


def _chunk(row: list[Any], packs: list[str]) -> Chunk:
    return Chunk(id=row[0], size=row[1], pack=packs[row[2]], offset=row[3], length=row[4], codec=row[5])


def _with_rows(entry: Mapping[str, Any], rows: Mapping[str, int]) -> dict[str, Any]:
    return {**entry, "chunks": [rows[chunk] for chunk in entry["chunks"]]} if "chunks" in entry else dict(entry)


def _with_ids(entry: Mapping[str, Any], ids: list[str]) -> dict[str, Any]:
    return {**entry, "chunks": [ids[row] for row in entry["chunks"]]} if "chunks" in entry else dict(entry)


def _unzipped(data: bytes, name: str) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError) as err:
        raise CheckpointCorrupt(f"{name}: {err}") from err


def _object(data: bytes, name: str) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except ValueError as err:
        raise CheckpointCorrupt(f"{name}: {err}") from err
    if not isinstance(body, dict):
        raise CheckpointCorrupt(f"{name} holds no JSON object")
    return body


def check_entries(entries: Iterable[Mapping[str, Any]]) -> None:
    """Refuse what every restore would refuse: a save that nobody can restore must not become the newest one.

    The agent has the same rule for what it restores (`hosts/agent/plan.py`): every path is relative and plain, stands
    once, and after its folder. So none leads out of the workspace, nor through a link.

    Raises:
        ValueError: names the first entry that cannot be.
    """
    folders, seen = {""}, set[str]()
    for entry in entries:
        path, kind = str(entry.get("path")), entry.get("kind")
        parts = path.split("/")
        plain = not {"", ".", ".."}.intersection(parts) and "\0" not in path and parts[0] != STAGING
        if not plain or path in seen or kind not in KINDS or path.rpartition("/")[0] not in folders:
            raise ValueError(f"{path[:200]!r} cannot stand in a workspace")
        seen.add(path)
        if kind == "dir":
            folders.add(path)
