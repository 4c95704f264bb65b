"""Output survives its machine, in order, without gaps of our making and without repeats."""

import asyncio

import pytest

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.stores.folder import FolderStore


async def read_all(engine: CheckpointEngine, max_bytes: int = 65_536) -> list[tuple[int | None, bytes]]:
    pages, cursor = [], ""
    while (page := await engine.read_logs("train", cursor, max_bytes)).data:
        pages.append((page.epoch, page.data))
        cursor = page.cursor
    return pages


async def test_segments_are_read_in_order_epoch_by_epoch(store: FolderStore) -> None:
    engine = CheckpointEngine(store)
    at = await engine.append_log("train", 1, 0, b"one ")
    await engine.append_log("train", 1, at, b"two")
    await engine.append_log("train", 10, 0, b"ten")
    await engine.append_log("train", 2, 0, b"again")
    await engine.append_log("train-other", 1, 0, b"not ours")
    assert await read_all(engine) == [(1, b"one two"), (2, b"again"), (10, b"ten")]


async def test_pages_are_no_longer_than_asked_and_join_up(store: FolderStore) -> None:
    engine = CheckpointEngine(store)
    at = await engine.append_log("train", 1, 0, b"0123456")
    await engine.append_log("train", 1, at, b"789")
    pages = await read_all(engine, max_bytes=4)
    assert [data for _, data in pages] == [b"0123", b"4567", b"89"]


async def test_a_reader_that_waits_sees_only_what_is_new(store: FolderStore) -> None:
    engine = CheckpointEngine(store)
    empty = await engine.read_logs("train")
    assert (empty.data, empty.epoch) == (b"", None)
    at = await engine.append_log("train", 1, 0, b"first")
    page = await engine.read_logs("train", empty.cursor)
    assert (await engine.read_logs("train", page.cursor)).data == b""
    await engine.append_log("train", 1, at, b"second")
    assert (await engine.read_logs("train", page.cursor)).data == b"second"


async def test_what_one_workload_wrote_is_forgotten_and_nobody_elses(store: FolderStore) -> None:
    engine = CheckpointEngine(store)
    await engine.append_log("train", 1, 0, b"one")
    await engine.append_log("train", 2, 0, b"two")
    await engine.append_log("train", 1, 0, b"{}", series=True)
    await engine.append_log("train-other", 1, 0, b"theirs")
    assert await engine.forget_logs("train") == 3
    assert await read_all(engine) == []
    assert (await engine.read_logs("train", series=True)).data == b""
    assert (await engine.read_logs("train-other")).data == b"theirs"
    assert await engine.forget_logs("train") == 0


async def test_a_repeated_append_adds_nothing_and_tells_where_to_go_on(store: FolderStore) -> None:
    engine = CheckpointEngine(store)
    assert await engine.append_log("train", 1, 0, b"abc") == 3
    assert await engine.append_log("train", 1, 0, b"abcdef") == 3
    assert await engine.append_log("train", 1, 3, b"") == 3
    assert await engine.append_log("train", 1, 3, b"def") == 6
    assert await engine.log_end("train", 1) == 6
    assert await read_all(engine) == [(1, b"abcdef")]


async def test_overlapping_segments_of_two_couriers_are_read_once(store: FolderStore) -> None:
    engine = CheckpointEngine(store)
    await engine.append_log("train", 1, 0, b"abcdef")
    await engine.append_log("train", 1, 2, b"cd")
    await engine.append_log("train", 1, 4, b"efgh")
    assert await read_all(engine) == [(1, b"abcdefgh")]


async def test_output_that_no_machine_could_send_is_jumped_over(store: FolderStore) -> None:
    engine = CheckpointEngine(store)
    await engine.append_log("train", 1, 0, b"abc")
    await engine.append_log("train", 1, 100, b"xyz")
    assert await read_all(engine) == [(1, b"abcxyz")]


async def test_a_foreign_cursor_is_refused(store: FolderStore) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await CheckpointEngine(store).read_logs("train", "nonsense")


class Slow(FolderStore):
    """Answers the reads that are under way only when no more of them come."""

    asked, under_way, most = 0, 0, 0

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes | None:
        self.asked += 1
        self.under_way += 1
        before = 0
        while before != self.asked:
            before = self.asked
            await asyncio.sleep(0)
        self.most = max(self.most, self.under_way)
        self.under_way -= 1
        return await super().get(key, start=start, length=length)


async def test_a_page_of_very_small_pieces_takes_one_journey_to_the_store(store: FolderStore) -> None:
    engine, slow = CheckpointEngine(store), Slow(store.root)
    at = 0
    for number in range(1_000):
        at = await engine.append_log("train", 1, at, b"%03d\n" % number)
    first = await CheckpointEngine(slow).read_logs("train", "", 65_536)
    assert slow.asked == slow.most < 100 < len(first.data)
    assert b"".join(data for _, data in await read_all(engine)) == b"".join(b"%03d\n" % n for n in range(1_000))
