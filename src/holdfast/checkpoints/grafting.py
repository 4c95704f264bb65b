"""Manifests made of manifests: several folders laid into one, or some files cut out of one. No byte is moved."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.checkpoints.format import Chunk, Manifest, check_entries, digest
from holdfast.contracts.checkpoints import SaveReason

_FOLDER_MODE = 0o755
Entry = Mapping[str, Any]


class DoesNotFit(ValueError):
    """Two of the folders have something at the same place. The message is fit for people."""


@dataclass(frozen=True, kw_only=True)
class Graft:
    """A manifest, and where its content goes."""

    manifest: Manifest
    at: str  # "": the top
    single: bool = False  # it holds one file, which goes to `at` itself


def grafted(grafts: Sequence[Graft], *, workload: str, taken_at: datetime, exclude: tuple[str, ...] = ()) -> Manifest:
    """One workspace that holds them all.

    Raises:
        DoesNotFit: two of them have something at one place; folders may be shared.
    """
    entries: dict[str, Entry] = {}
    for graft in grafts:
        for entry in _placed(graft, taken_at):
            _put(entries, entry, graft.at)
    ordered = tuple(entries[path] for path in sorted(entries, key=lambda path: path.split("/")))
    check_entries(ordered)
    chunks = {key: chunk for graft in grafts for key, chunk in graft.manifest.chunks.items()}
    packs = {key: size for graft in grafts for key, size in graft.manifest.packs.items()}
    return _made(ordered, chunks, packs, workload=workload, sequence=0, taken_at=taken_at, exclude=exclude)


def cut_out(manifest: Manifest, paths: Collection[str], *, workload: str, sequence: int) -> Manifest:
    """These files and links of it, with the folders above them."""
    above = {folder for path in paths for folder in _folders_above(path)}
    entries = tuple(
        each for each in manifest.entries if each["path"] in paths or (each["kind"] == "dir" and each["path"] in above)
    )
    return _made(
        entries,
        manifest.chunks,
        manifest.packs,
        workload=workload,
        sequence=sequence,
        taken_at=manifest.taken_at,
        exclude=(),
    )


def content_digest(manifest: Manifest) -> str:
    """Over paths and content, times and modes left out: equal for equal files in one store."""
    rows = [
        f"{each['path']}\0{each.get('target', '')}\0{','.join(each.get('chunks', ()))}" for each in manifest.entries
    ]
    return digest("\n".join(sorted(rows)).encode("utf-8", "surrogatepass"))


def _placed(graft: Graft, now: datetime) -> Iterable[Entry]:
    if graft.single:
        (entry,) = (each for each in graft.manifest.entries if each["kind"] == "file")
        yield from (_folder(each, now) for each in _folders_above(graft.at))
        yield {**entry, "path": graft.at}
        return
    if graft.at:
        yield from (_folder(each, now) for each in (*_folders_above(graft.at), graft.at))
    for entry in graft.manifest.entries:
        yield {**entry, "path": f"{graft.at}/{entry['path']}"} if graft.at else entry


def _put(entries: dict[str, Entry], entry: Entry, at: str) -> None:
    path = entry["path"]
    known = entries.get(path)
    if known is not None and not known["kind"] == entry["kind"] == "dir":
        where = f"the input at {at}" if at else "the folder with its files"
        raise DoesNotFit(f"{where} and something before it both have {path}")
    in_the_way = next((each for each in _folders_above(path) if entries.get(each, entry)["kind"] != "dir"), None)
    if in_the_way is not None and in_the_way in entries:
        raise DoesNotFit(f"{path} cannot stand below {in_the_way}, which is a file")
    if known is None:
        entries[path] = entry


def _folders_above(path: str) -> tuple[str, ...]:
    parts = path.split("/")
    return tuple("/".join(parts[:length]) for length in range(1, len(parts)))


def _folder(path: str, now: datetime) -> Entry:
    return {"path": path, "kind": "dir", "mode": _FOLDER_MODE, "mtime": int(now.timestamp() * 1_000_000_000)}


def _made(
    entries: tuple[Entry, ...],
    chunks: Mapping[str, Chunk],
    packs: Mapping[str, int],
    *,
    workload: str,
    sequence: int,
    taken_at: datetime,
    exclude: tuple[str, ...],
) -> Manifest:
    needed = dict.fromkeys(chunk for each in entries for chunk in each.get("chunks", ()))
    kept = {key: chunks[key] for key in needed}
    return Manifest(
        workload=workload,
        epoch=0,
        sequence=sequence,
        reason=SaveReason.WORKDIR,
        taken_at=taken_at,
        progress="",
        exclude=exclude,
        entries=entries,
        chunks=kept,
        packs={key: packs[key] for key in dict.fromkeys(chunk.pack for chunk in kept.values())},
    )
