"""Saves and restores through every store, with the agent's real code and the store's real addresses."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.errors import CheckpointCorrupt, NoCheckpoint, SourceUnstable
from holdfast.checkpoints.stores.base import SignedRequest, Store
from holdfast.checkpoints.stores.probing import send
from holdfast.checkpoints.stores.s3 import S3Store
from holdfast.contracts.channel import Channel, ChannelLost, Json
from holdfast.contracts.checkpoints import CheckpointRef, SaveReason
from holdfast.contracts.spec import Quiesce
from holdfast.hosts.local import LocalChannel
from tests.channels import EventfulChannel
from tests.weed import Weed
from tests.workspaces import MEBIBYTE, plant_nasty_tree, portrait, safetensors


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the agent remembers; each test's machine is a new one."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "work"
    folder.mkdir()
    yield folder
    (folder / "locked").exists() and (folder / "locked").chmod(0o755)


async def save(
    store: Store,
    work: Path,
    *,
    base: CheckpointRef | None = None,
    channel: Channel | None = None,
    sequence: int = 1,
    exclude: tuple[str, ...] = (),
    quiesce: Quiesce = Quiesce.NONE,
) -> CheckpointRef:
    return await CheckpointEngine(store).save(
        channel or LocalChannel(),
        workload="train",
        epoch=3,
        sequence=base.sequence + 1 if base else sequence,
        workspace=str(work),
        base_manifest=base.manifest if base else None,
        reason=SaveReason.CADENCE,
        exclude=exclude,
        quiesce=quiesce,
        hook="true",
        progress="step 7/9",
    )


async def restore(store: Store, saved: CheckpointRef, target: Path, channel: Channel | None = None) -> int:
    engine = CheckpointEngine(store)
    summary = await engine.restore(channel or LocalChannel(), manifest=saved.manifest, workspace=str(target))
    return summary.bytes_fetched


async def test_brings_everything_back_on_another_machine(store: Store, work: Path, tmp_path: Path) -> None:
    plant_nasty_tree(work, small_files=2000)
    saved = await save(store, work)
    assert saved.files == 2000 + 12
    assert saved.bytes_uploaded < 25 * MEBIBYTE  # the hole of 40 MiB is one chunk, and squeezed
    assert await restore(store, saved, tmp_path / "elsewhere") <= saved.bytes_uploaded
    assert portrait(tmp_path / "elsewhere") == portrait(work)
    assert (tmp_path / "elsewhere" / "sparse").stat().st_blocks * 512 < MEBIBYTE


async def test_a_second_save_sends_only_what_changed(store: Store, work: Path) -> None:
    plant_nasty_tree(work)
    first = await save(store, work)
    assert (await save(store, work, base=first)).bytes_uploaded == 0
    (work / "many" / "00003.json").write_bytes(os.urandom(2000))
    second = await save(store, work, base=first)
    assert 2000 < second.bytes_uploaded < 3000


async def test_a_header_that_grew_does_not_shift_the_payload(store: Store, work: Path) -> None:
    payload = os.urandom(20 * MEBIBYTE)
    (work / "export.safetensors").write_bytes(safetensors(payload, note="first"))
    first = await save(store, work)
    (work / "export.safetensors").write_bytes(safetensors(payload, note="second, and rather longer"))
    assert (await save(store, work, base=first)).bytes_uploaded < 4000


async def test_equal_content_is_stored_once(store: Store, work: Path, tmp_path: Path) -> None:
    body = os.urandom(9 * MEBIBYTE)
    for name in ("a", "b", "c"):
        (work / name).write_bytes(body)
    saved = await save(store, work)
    assert saved.bytes_uploaded < 10 * MEBIBYTE
    await restore(store, saved, tmp_path / "elsewhere")
    assert portrait(tmp_path / "elsewhere") == portrait(work)


async def test_a_restore_fetches_only_what_is_missing(store: Store, work: Path, tmp_path: Path) -> None:
    plant_nasty_tree(work)
    target = tmp_path / "standby"
    first = await save(store, work)
    await restore(store, first, target)
    assert await restore(store, first, target) == 0
    with (work / "model.safetensors").open("r+b") as file:
        file.seek(10 * MEBIBYTE)
        file.write(b"new weights")
    (work / "log.txt").unlink()
    second = await save(store, work, base=first)
    assert 0 < await restore(store, second, target) < 9 * MEBIBYTE
    assert portrait(target) == portrait(work)


async def test_a_restore_clears_away_what_is_not_in_the_checkpoint(store: Store, work: Path, tmp_path: Path) -> None:
    plant_nasty_tree(work)
    (work / "cache").mkdir()
    (work / "cache" / "big.tmp").write_bytes(b"x")
    saved = await save(store, work, exclude=("*.tmp", "many/0001*"))
    target = tmp_path / "used"
    (target / "stranger" / "deep").mkdir(parents=True)
    (target / "stranger" / "deep" / "file").write_text("x")
    (target / "log.txt").mkdir()  # a folder where a file belongs
    (target / "empty").symlink_to("/etc")  # a link where a folder belongs
    (target / "kept.tmp").write_text("excluded, so not ours")
    await restore(store, saved, target)
    expected = {path: facts for path, facts in portrait(work).items() if not path.endswith(".tmp")}
    for number in range(10, 20):
        del expected[f"many/{number:05d}.json"]
    assert (target / "kept.tmp").read_text() == "excluded, so not ours"
    (target / "kept.tmp").unlink()
    found = portrait(target)
    assert found == expected


async def test_files_rewritten_after_the_scan_are_scanned_again(store: Store, work: Path, tmp_path: Path) -> None:
    plant_nasty_tree(work)

    def rewrite_once(question: str, before: int, _params: Json) -> None:
        if question == "needed" and before == 0:
            (work / "log.txt").write_text("rewritten between scan and upload")

    saved = await save(store, work, channel=EventfulChannel(rewrite_once))
    await restore(store, saved, tmp_path / "elsewhere")
    assert portrait(tmp_path / "elsewhere") == portrait(work)


async def test_a_workspace_that_never_holds_still_is_not_saved(store: Store, work: Path) -> None:
    (work / "state").write_text("0")

    def rewrite(question: str, before: int, _params: Json) -> None:
        if question == "needed":
            (work / "state").write_text(f"version {before}")

    with pytest.raises(SourceUnstable) as failure:
        await save(store, work, channel=EventfulChannel(rewrite))
    assert failure.value.paths == ("state",)
    assert await CheckpointEngine(store).catalog() == []


async def test_after_a_kill_only_the_rest_is_sent(weed: Weed, work: Path, home: Path, tmp_path: Path) -> None:
    store = S3Store(weed.settings(prefix="killed"))
    (work / "weights").write_bytes(os.urandom(48 * MEBIBYTE))
    killed = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "tests.conformance.stores.killed_save", str(work)],
        input=weed.settings(prefix="killed").model_dump_json(context=None), text=True, check=False,
        env={**os.environ, "HOME": str(home), "STORE_KEYS": f"{weed.access_key} {weed.secret_key}"},
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    already = sum(each.size for each in await store.list("packs/"))
    assert already >= 16 * MEBIBYTE
    assert await CheckpointEngine(store).catalog() == []
    saved = await save(store, work)
    journalled = 48 * MEBIBYTE - saved.bytes_uploaded
    assert 16 * MEBIBYTE <= journalled <= already
    await restore(store, saved, tmp_path / "elsewhere")
    assert portrait(tmp_path / "elsewhere") == portrait(work)


async def test_a_restore_that_was_cut_short_goes_on(store: Store, work: Path, tmp_path: Path) -> None:
    (work / "weights").write_bytes(os.urandom(60 * MEBIBYTE))
    saved = await save(store, work)

    def hang_up(question: str, before: int, params: Json) -> None:
        if question == "get_urls":
            raise ChannelLost("the line went dead")

    target = tmp_path / "target"
    with pytest.raises(ChannelLost):
        await restore(store, saved, target, EventfulChannel(hang_up))
    staged = next((target / ".holdfast-staging").rglob("0"))
    with staged.open("r+b") as file:  # as if one chunk had arrived
        file.write((work / "weights").read_bytes()[: 8 * MEBIBYTE])
    assert await restore(store, saved, target) <= 52 * MEBIBYTE + 1000
    assert portrait(target) == portrait(work)


async def test_one_flipped_bit_is_refused_by_name_and_nothing_is_touched(
    store: Store, work: Path, tmp_path: Path
) -> None:
    plant_nasty_tree(work)
    saved = await save(store, work)
    engine = CheckpointEngine(store)
    assert (await engine.verify(saved.manifest)).corrupt == ()
    chunk = next(
        chunk for chunk in (await engine.read_manifest(saved.manifest)).chunks.values() if chunk.size > MEBIBYTE
    )
    await flip_bit(store, chunk.pack, chunk.offset + 1000)
    target = tmp_path / "target"
    target.mkdir()
    (target / "before").write_text("still here")
    with pytest.raises(CheckpointCorrupt, match=chunk.id):
        await restore(store, saved, target)
    assert [entry.name for entry in target.iterdir() if entry.name != ".holdfast-staging"] == ["before"]
    assert (await engine.verify(saved.manifest)).corrupt == (chunk.id,)


async def test_a_lost_pack_is_corruption_too(store: Store, work: Path, tmp_path: Path) -> None:
    (work / "a").write_bytes(b"a" * 100)
    saved = await save(store, work)
    pack = next(iter((await CheckpointEngine(store).read_manifest(saved.manifest)).packs))
    await store.delete([pack])
    with pytest.raises(CheckpointCorrupt):
        await restore(store, saved, tmp_path / "target")
    assert len((await CheckpointEngine(store).verify(saved.manifest)).corrupt) == 1


async def test_a_manifest_is_checked_against_its_name(store: Store, work: Path, tmp_path: Path) -> None:
    saved = await save(store, work)
    await flip_bit(store, saved.manifest, 20)
    with pytest.raises(CheckpointCorrupt):
        await restore(store, saved, tmp_path / "target")
    await store.delete([saved.manifest])
    with pytest.raises(NoCheckpoint):
        await restore(store, saved, tmp_path / "target")


async def test_expired_addresses_are_asked_for_again(
    store: Store, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_nasty_tree(work)
    genuine = store.sign_get
    stale: list[str] = []

    async def first_one_is_stale(key: str, *, expires: timedelta) -> SignedRequest:
        if stale:
            return await genuine(key, expires=expires)
        stale.append(key)
        address = await genuine(key, expires=timedelta(seconds=1))
        while (await asyncio.to_thread(send, "GET", address))[0] == 200:
            await asyncio.sleep(0.1)
        return address

    saved = await save(store, work)
    monkeypatch.setattr(store, "sign_get", first_one_is_stale)
    channel = EventfulChannel()
    await restore(store, saved, tmp_path / "target", channel)
    assert channel.questions.count("get_urls") == 2
    assert portrait(tmp_path / "target") == portrait(work)


async def test_two_saves_at_once_both_hold(store: Store, work: Path, tmp_path: Path) -> None:
    plant_nasty_tree(work)
    for number, saved in enumerate(await asyncio.gather(save(store, work), save(store, work))):
        await restore(store, saved, tmp_path / str(number))
        assert portrait(tmp_path / str(number)) == portrait(work)


async def test_garbage_collection_keeps_what_live_manifests_name(store: Store, work: Path, tmp_path: Path) -> None:
    shared, old, new = work / "shared", work / "old", work / "new"
    shared.write_bytes(os.urandom(9 * MEBIBYTE))
    old.write_bytes(os.urandom(9 * MEBIBYTE))
    first = await save(store, work)
    old.unlink()
    new.write_bytes(os.urandom(9 * MEBIBYTE))
    second = await save(store, work, base=first)
    engine = CheckpointEngine(store)
    none = timedelta(0)
    condemned = await engine.collect_garbage([second.manifest], grace=none)
    assert (condemned.condemned, condemned.deleted) == (2, 0)  # the first manifest and the pack of `old`
    assert len(await engine.catalog()) == 2
    done = await engine.collect_garbage([second.manifest], grace=none)
    assert done.deleted == 2
    assert done.bytes_deleted > MEBIBYTE
    assert await store.list("gc/") == []
    shutil.rmtree(work)
    await restore(store, second, work)
    assert (work / "new").exists()
    assert (await engine.verify(second.manifest)).corrupt == ()


async def test_the_work_is_frozen_during_the_scan_only(store: Store, work: Path) -> None:
    (work / "state").write_text("1")
    channel = EventfulChannel()
    await save(store, work, channel=channel, quiesce=Quiesce.FREEZE)
    assert channel.calls == ["freeze", "scan", "thaw", "upload"]


async def test_the_work_is_thawed_when_the_scan_fails(store: Store, work: Path) -> None:
    def hang_up(question: str, before: int, params: Json) -> None:
        raise ChannelLost("the line went dead")

    channel = EventfulChannel(hang_up)
    with pytest.raises(ChannelLost):
        await save(store, work, channel=channel, quiesce=Quiesce.FREEZE)
    assert channel.calls[-1] == "thaw"


async def test_the_hook_runs_before_the_scan(store: Store, work: Path) -> None:
    channel = EventfulChannel()
    await save(store, work, channel=channel, quiesce=Quiesce.HOOK)
    assert channel.calls[:2] == ["hook", "scan"]


async def flip_bit(store: Store, key: str, at: int) -> None:
    data = bytearray(await store.get(key) or b"")
    data[at] ^= 1
    await store.delete([key])
    assert await store.put(key, bytes(data))
