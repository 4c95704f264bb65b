"""Manifests made of manifests: nothing is moved, and what comes out restores."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.format import Manifest
from holdfast.checkpoints.grafting import DoesNotFit, Graft, content_digest, cut_out, grafted
from holdfast.checkpoints.stores.folder import FolderStore
from holdfast.contracts.checkpoints import SaveReason
from holdfast.hosts.local import LocalChannel

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> CheckpointEngine:
    return CheckpointEngine(FolderStore(tmp_path / "store"))


def written(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {each.relative_to(folder).as_posix(): each.read_text() for each in folder.rglob("*") if each.is_file()}


async def saved(engine: CheckpointEngine, folder: Path, files: dict[str, str], name: str = "made") -> Manifest:
    written(folder, files)
    found = await engine.save(
        LocalChannel(),
        workload=name,
        epoch=0,
        sequence=0,
        workspace=str(folder),
        base_manifest=None,
        reason=SaveReason.WORKDIR,
    )
    return await engine.read_manifest(found.manifest)


async def restored(engine: CheckpointEngine, manifest: Manifest, folder: Path) -> dict[str, str]:
    key = await engine.write_manifest(manifest)
    await engine.restore(LocalChannel(), manifest=key, workspace=str(folder))
    return contents(folder)


async def test_several_folders_become_one_workspace(engine: CheckpointEngine, tmp_path: Path):
    code = await saved(engine, tmp_path / "code", {"train.py": "run", "data/readme": "here"})
    data = await saved(engine, tmp_path / "data", {"a": "1", "deep/b": "2"})
    words = await saved(engine, tmp_path / "words", {"words.txt": "three"})
    made = grafted(
        [
            Graft(manifest=code, at=""),
            Graft(manifest=data, at="data/pages"),
            Graft(manifest=words, at="data/w.txt", single=True),
        ],
        workload="job--j",
        taken_at=NOW,
    )
    assert await restored(engine, made, tmp_path / "out") == {
        "train.py": "run",
        "data/readme": "here",
        "data/pages/a": "1",
        "data/pages/deep/b": "2",
        "data/w.txt": "three",
    }


async def test_the_same_folders_become_the_same_manifest(engine: CheckpointEngine, tmp_path: Path):
    code = await saved(engine, tmp_path / "code", {"train.py": "run"})
    keys = {
        await engine.write_manifest(grafted([Graft(manifest=code, at="x")], workload="job--j", taken_at=NOW))
        for _ in range(2)
    }
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("at", "single", "why"),
    [
        ("train.py", True, "both have train.py"),
        ("train.py", False, "both have train.py"),
        ("train.py/data", True, "train.py"),
        ("data", True, "both have data"),
    ],
)
async def test_two_things_at_one_place_do_not_fit(
    engine: CheckpointEngine, tmp_path: Path, at: str, single: bool, why: str
):
    code = await saved(engine, tmp_path / "code", {"train.py": "run", "data/x": "y"})
    one = await saved(engine, tmp_path / "one", {"one": "1"})
    with pytest.raises(DoesNotFit, match=why):
        grafted(
            [Graft(manifest=code, at=""), Graft(manifest=one, at=at, single=single)], workload="job--j", taken_at=NOW
        )


async def test_some_files_are_cut_out_with_the_folders_above_them(engine: CheckpointEngine, tmp_path: Path):
    files = {"model/deep/a": "1", "model/b": "2", "data/big": "3" * 1000, "log": "4"}
    whole = await saved(engine, tmp_path / "whole", files)
    made = cut_out(whole, {"model/deep/a", "log"}, workload="job--j", sequence=1)
    assert await restored(engine, made, tmp_path / "out") == {"model/deep/a": "1", "log": "4"}
    assert len(made.chunks) == 2 and made.bytes_total == 2
    verified = await engine.verify(await engine.write_manifest(made))
    assert verified.corrupt == () and verified.chunks == 2


async def test_equal_files_have_an_equal_digest_and_others_another(engine: CheckpointEngine, tmp_path: Path):
    first = await saved(engine, tmp_path / "1", {"a": "x", "b/c": "y"}, name="first")
    again = await saved(engine, tmp_path / "2", {"b/c": "y", "a": "x"}, name="again")
    moved = await saved(engine, tmp_path / "3", {"a": "y", "b/c": "x"}, name="moved")
    assert content_digest(first) == content_digest(again)
    assert len({content_digest(first), content_digest(moved)}) == 2
