"""The grid, the names and the codecs: what makes two saves of equal bytes equal."""

import gzip
import os
import struct
from pathlib import Path

import pytest

from holdfast.checkpoints import codecs, wire
from holdfast.checkpoints.format import identify
from holdfast.hosts.agent import chunks, pages
from holdfast.hosts.agent.chunks import CHUNK

KEY = b"k" * 32


def extents_of(path: Path, data: bytes) -> list[tuple[int, int]]:
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        return chunks.extents(fd, len(data))
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("size", "lengths"),
    [(0, []), (1, [1]), (CHUNK, [CHUNK]), (CHUNK + 1, [CHUNK, 1]), (2 * CHUNK, [CHUNK, CHUNK])],
)
def test_the_grid_covers_every_byte_once(tmp_path: Path, size: int, lengths: list[int]) -> None:
    found = extents_of(tmp_path / "f", bytes(size))
    assert [length for _, length in found] == lengths
    assert [offset for offset, _ in found] == [sum(lengths[:at]) for at in range(len(lengths))]


def test_a_safetensors_header_is_a_chunk_of_its_own(tmp_path: Path) -> None:
    header = struct.pack("<Q", 100) + b"{" + b" " * 99
    found = extents_of(tmp_path / "f", header + bytes(CHUNK + 5))
    assert found == [(0, 108), (108, CHUNK), (108 + CHUNK, 5)]


@pytest.mark.parametrize("head", [b"", struct.pack("<Q", 2**63) + b"{", struct.pack("<Q", 100) + b"x"])
def test_what_only_resembles_safetensors_has_the_plain_grid(tmp_path: Path, head: bytes) -> None:
    data = head + bytes(CHUNK + 5)
    assert extents_of(tmp_path / "f", data)[0] == (0, CHUNK)


@pytest.mark.parametrize(
    "data", [b"", b"x", b"text " * 50_000, os.urandom(300_000)], ids=["empty", "one", "text", "noise"]
)
def test_both_sides_decode_what_the_agent_encodes(data: bytes) -> None:
    codec, payload = chunks.encode(data)
    assert len(payload) <= len(data)
    assert bytes(chunks.decode(codec, payload, len(data))) == data
    assert bytes(codecs.decode(codec, bytes(payload), len(data))) == data


@pytest.mark.parametrize("decode", [chunks.decode, codecs.decode])
def test_neither_side_decodes_what_it_does_not_know(decode: object) -> None:
    assert callable(decode)
    with pytest.raises(ValueError, match="planes"):
        decode("planes", b"", 0)
    with pytest.raises(ValueError, match=r"incorrect|invalid"):
        decode("zlib", b"no zlib at all", 4)


def test_a_bomb_does_not_grow_beyond_the_size_it_claims() -> None:
    _, payload = chunks.encode(bytes(10_000_000))
    assert len(chunks.decode("zlib", payload, 1000)) <= 1001
    assert len(codecs.decode("zlib", bytes(payload), 1000)) <= 1001


def test_a_list_from_a_machine_does_not_unfold_beyond_its_bound() -> None:
    document = ["0" * 1_000_000]
    assert wire.join(wire.cut(document), largest=1_000_004) == document
    with pytest.raises(ValueError, match="more than 1000000 bytes"):
        wire.join(wire.cut(document), largest=1_000_000)


@pytest.mark.parametrize(
    "pages",
    [[], [""], ["not base64"], ["AAAA"], [wire.cut([0] * 9)[0][:24]], wire.cut_bytes(gzip.compress(b"[" * 100_000))],
    ids=["no page", "an empty page", "no base64", "no gzip", "half of one", "no end of brackets"],
)
def test_what_was_not_cut_as_a_list_is_a_value_error(pages: list[str]) -> None:
    with pytest.raises(ValueError):
        wire.join(pages)


def test_both_sides_name_and_page_alike() -> None:
    document = {"odd": "\udcff", "list": list(range(1000))}
    assert identify(b"abc", KEY) == chunks.identify(b"abc", KEY)
    assert wire.cut(document) == pages.cut(document)
    assert wire.join(pages.cut(document)) == pages.join(wire.cut(document)) == document


def test_long_documents_are_cut_into_pages_of_bounded_size() -> None:
    document = [os.urandom(16).hex() for _ in range(30_000)]
    cut = wire.cut(document)
    assert len(cut) > 1
    assert max(map(len, cut)) <= 256 * 1024
    assert pages.join(cut) == document
    assert pages.join(["".join(cut)]) == document
