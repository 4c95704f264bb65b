"""What every store promises (`checkpoints/stores/base.py`), asked of each of them."""

import asyncio
from datetime import UTC, datetime, timedelta

from holdfast.checkpoints.stores.base import Conditional, SignedRequest, Store, StoreFacts
from holdfast.checkpoints.stores.probing import md5_of, send
from holdfast.checkpoints.stores.s3 import S3Store
from tests.weed import Weed

MINUTE = timedelta(minutes=1)


async def test_reads_back_what_was_put_whole_and_in_part(store: Store) -> None:
    assert await store.put("packs/aa/one", b"0123456789")
    assert await store.get("packs/aa/one") == b"0123456789"
    assert await store.get("packs/aa/one", start=3, length=4) == b"3456"
    assert await store.get("packs/aa/one", start=8) == b"89"


async def test_keeps_an_empty_object(store: Store) -> None:
    assert await store.put("logs/empty", b"")
    assert await store.get("logs/empty") == b""


async def test_says_none_for_what_does_not_exist(store: Store) -> None:
    assert await store.get("nothing/here") is None
    assert await store.get("nothing/here", start=1, length=2) is None
    assert await store.head("nothing/here") is None
    assert await store.list("nothing/") == []


async def test_refuses_to_create_what_exists_and_leaves_it_alone(store: Store) -> None:
    assert await store.put("manifests/m", b"first")
    assert not await store.put("manifests/m", b"second")
    assert await store.get("manifests/m") == b"first"


async def test_lets_exactly_one_of_many_writers_create(store: Store) -> None:
    bodies = [f"writer {number}".encode() for number in range(12)]
    won = await asyncio.gather(*(store.put("race", body) for body in bodies))
    assert sum(won) == 1
    assert await store.get("race") == bodies[won.index(True)]


async def test_heads_show_size_and_time(store: Store) -> None:
    await store.put("logs/x", b"abc")
    found = await store.head("logs/x")
    assert found is not None
    assert (found.key, found.size) == ("logs/x", 3)
    assert abs(datetime.now(UTC) - found.modified) < MINUTE


async def test_lists_in_byte_order_below_the_prefix_only(store: Store) -> None:
    names = ["list/a/b", "list/a-b", "list/a.b", "list/ab", "list/a/0", "listed/other"]
    for name in names:
        await store.put(name, name.encode())
    found = await store.list("list/")
    assert [each.key for each in found] == sorted(names[:-1])
    assert [each.size for each in found] == [len(each.key) for each in found]


async def test_deletes_and_does_not_mind_what_is_gone(store: Store) -> None:
    await store.put("gc/a", b"a")
    await store.put("gc/b", b"b")
    await store.delete(["gc/a", "gc/never"])
    await store.delete(["gc/a"])
    await store.delete([])
    assert [each.key for each in await store.list("gc/")] == ["gc/b"]


async def test_a_signed_put_takes_the_announced_body(store: Store) -> None:
    address = await store.sign_put("packs/p", size=5, md5=md5_of(b"hello"), expires=MINUTE)
    assert send("PUT", address, b"hello")[0] == 200
    assert await store.get("packs/p") == b"hello"


async def test_a_signed_put_refuses_any_other_body(store: Store) -> None:
    address = await store.sign_put("packs/p", size=5, md5=md5_of(b"hello"), expires=MINUTE)
    for body, headers in [
        (b"hallo", {}),
        (b"hello, and more", {}),
        (b"hallo", {"Content-MD5": md5_of(b"hallo")}),
    ]:
        status, _ = send("PUT", address, body, headers)
        assert status in (400, 403), body
    assert await store.head("packs/p") is None


async def test_a_signed_get_reads_whole_and_by_range(store: Store) -> None:
    await store.put("packs/p", b"0123456789")
    address = await store.sign_get("packs/p", expires=MINUTE)
    assert send("GET", address) == (200, b"0123456789")
    assert send("GET", address, extra={"Range": "bytes=2-4"}) == (206, b"234")


async def test_a_signed_address_permits_nothing_else(store: Store) -> None:
    await store.put("packs/p", b"mine")
    get = await store.sign_get("packs/p", expires=MINUTE)
    elsewhere = SignedRequest(url=get.url.replace("packs/p", "packs/q"))
    await store.put("packs/q", b"not yours")
    assert send("GET", elsewhere)[0] == 403
    assert send("PUT", get, b"overwritten")[0] == 403
    assert send("DELETE", get)[0] in (403, 501)
    assert await store.get("packs/p") == b"mine"


async def test_an_expired_address_is_refused(store: Store) -> None:
    await store.put("packs/p", b"mine")
    address = await store.sign_get("packs/p", expires=timedelta(seconds=1))
    async with asyncio.timeout(30):
        while (await asyncio.to_thread(send, "GET", address))[0] == 200:
            await asyncio.sleep(0.1)
    assert send("GET", address)[0] == 403


async def test_a_missing_object_is_told_apart_from_a_refusal(store: Store) -> None:
    assert send("GET", await store.sign_get("packs/none", expires=MINUTE))[0] == 404


async def test_the_probe_finds_everything_we_need_and_leaves_nothing(store: Store) -> None:
    assert await store.probe() == StoreFacts(
        create_only=Conditional.REFUSED, signed_put=True, signed_get=True, wrong_body_refused=True
    )
    assert await store.list("probe/") == []


async def test_a_bucket_marks_an_object_anew_when_it_changes(weed: Weed) -> None:
    bucket = S3Store(weed.settings(prefix="marks"))
    found = []
    for data in (b"one", b"two", b"one"):
        assert await bucket.put("d/x", data)
        head, (listed,) = await bucket.head("d/x"), await bucket.list("d/")
        assert head is not None and head.mark == listed.mark != ""
        found.append(head.mark)
        await bucket.delete(["d/x"])
    await bucket.close()
    assert found[0] != found[1]
