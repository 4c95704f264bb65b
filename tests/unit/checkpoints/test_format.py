"""What is written once must stay readable, and what cannot be trusted must be refused."""

import gzip
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.errors import CheckpointCorrupt
from holdfast.checkpoints.format import Manifest, ManifestKey, Repository, canonical, digest, is_pack_key
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.contracts.checkpoints import SaveReason
from holdfast.hosts.local import LocalChannel

GOLDEN = Path(__file__).parent / "golden" / "version-1"
GOLDEN_MANIFEST = "manifests/golden/00000002-00000007-4de615b91fb1d3e158090a7eedef959624602394555a0de540f364c0f8d709c5"
TIME = 1_700_000_000_123_456_789


async def test_a_store_of_version_1_stays_readable(tmp_path: Path) -> None:
    """The first version wrote these bytes. A change that breaks this needs a new version, and a reader for both."""
    shutil.copytree(GOLDEN, tmp_path / "old")
    store = FolderStore(tmp_path / "old")
    engine = CheckpointEngine(store)
    manifest = await engine.read_manifest(GOLDEN_MANIFEST)
    assert (manifest.workload, manifest.epoch, manifest.sequence) == ("golden", 2, 7)
    assert (manifest.reason, manifest.progress, manifest.exclude) == (SaveReason.PAUSE, "step 7", ("*.tmp",))
    assert manifest.taken_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert {chunk.codec for chunk in manifest.chunks.values()} == {"raw", "zlib"}
    assert (await engine.verify(GOLDEN_MANIFEST)).corrupt == ()
    target = tmp_path / "restored"
    await engine.restore(LocalChannel(), manifest=GOLDEN_MANIFEST, workspace=str(target))
    await store.close()
    assert sorted(path.name for path in target.iterdir()) == ["empty", "link", "log.txt", "run.sh", "weights.bin"]
    assert (target / "weights.bin").read_bytes() == bytes(range(256)) * 16
    assert (target / "log.txt").read_text() == "step 1\n" * 5000
    assert (target / "link").readlink() == Path("log.txt")
    assert (target / "run.sh").stat().st_mode & 0o777 == 0o755
    assert {path.lstat().st_mtime_ns for path in target.iterdir()} == {TIME}


async def test_reencoding_version_1_gives_the_same_bytes() -> None:
    data = (GOLDEN / GOLDEN_MANIFEST).read_bytes()
    manifest = Manifest.decode(GOLDEN_MANIFEST, data)
    body = json.loads(gzip.decompress(data))
    assert gzip.decompress(manifest.encode()[1]) == canonical(body) == gzip.decompress(data)


def test_a_later_writer_may_add_what_we_do_not_know() -> None:
    body = _golden_body()
    body["origin"] = {"hub": "revision"}
    body["packs"][0].append("eu-west")
    body["chunks"][0].append({"parity": True})
    body["entries"][0]["owner"] = "nobody"
    manifest = Manifest.decode(*_stored(body))
    assert manifest.files == 3
    assert manifest.entries[0]["owner"] == "nobody"


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 2},
        {"version": None},
        {"reason": "whim"},
        {"entries": [{"kind": "file", "path": "x", "chunks": [99]}]},
        {"chunks": [["id", 1]]},
        {"taken_at": "yesterday"},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(CheckpointCorrupt):
        Manifest.decode(*_stored({**_golden_body(), **damage}))


@pytest.mark.parametrize(
    "data",
    [b"", b"not gzip", gzip.compress(b"[]"), gzip.compress(b"{")],
    ids=[
        "nothing",
        "no gzip",
        "no object",
        "no JSON",
    ],  # compressed bytes hold the time, and would be another name each
)
def test_bytes_that_are_no_manifest_are_refused(data: bytes) -> None:
    with pytest.raises(CheckpointCorrupt):
        Manifest.decode(f"manifests/w/1-1-{digest(data)}", data)


@pytest.mark.parametrize(
    "data", [b"{}", b"x", b'{"version":9,"hash":"blake2b-256","key":""}', b'{"version":1,"hash":"md5"}']
)
def test_a_repository_of_another_kind_is_refused(data: bytes) -> None:
    with pytest.raises(CheckpointCorrupt):
        Repository.decode(data)


def test_keys_of_manifests_are_read_strictly() -> None:
    name = f"manifests/train/00000012-00000345-{'a' * 64}"
    assert str(ManifestKey.parse(name)) == name
    for other in ("packs/aa/bb", "manifests/train/x", name + "0", name.replace("manifests", "../manifests")):
        with pytest.raises(ValueError, match="not the key"):
            ManifestKey.parse(other)


def test_a_machine_may_name_packs_only() -> None:
    assert is_pack_key(f"packs/ab/ab{'0' * 62}")
    for other in (f"packs/ab/cd{'0' * 62}", "repo.json", f"packs/ab/../ab{'0' * 62}", f"manifests/ab/ab{'0' * 62}"):
        assert not is_pack_key(other)


def _golden_body() -> dict[str, Any]:
    return dict(json.loads(gzip.decompress((GOLDEN / GOLDEN_MANIFEST).read_bytes())))


def _stored(body: dict[str, Any]) -> tuple[str, bytes]:
    data = gzip.compress(canonical(body))
    return f"manifests/golden/2-7-{digest(data)}", data
