"""JSON lines cut from a stream that arrives in any pieces."""

import json

import pytest

from holdfast.hosts.lines import JsonLines


class Pieces:
    """A stream that arrives in pieces of one size."""

    def __init__(self, data: bytes, size: int) -> None:
        self._pieces = iter([data[at : at + size] for at in range(0, len(data), size)])

    async def read(self, n: int) -> bytes:
        return next(self._pieces, b"")


@pytest.mark.parametrize("size", [1, 7, 1000, 1_000_000])
async def test_objects_come_out_whole_whatever_the_pieces(size: int) -> None:
    sent = [{"n": number, "text": "é\n" * number} for number in range(20)]
    data = b"".join(json.dumps(item).encode() + b"\n" for item in sent)
    assert [item async for item in JsonLines(Pieces(data, size))] == sent


async def test_a_large_object_keeps_its_place_in_the_order() -> None:
    sent = [{"n": 1}, {"n": 2, "pad": "x" * 2_000_000}, {"n": 3}]
    data = b"".join(json.dumps(item).encode() + b"\n" for item in sent)
    assert [item["n"] async for item in JsonLines(Pieces(data, 65_536))] == [1, 2, 3]


async def test_a_half_line_at_the_end_is_dropped() -> None:
    assert [item async for item in JsonLines(Pieces(b'{"n":1}\n{"n":', 100))] == [{"n": 1}]


@pytest.mark.parametrize("line", [b"words\n", b"[1]\n"])
async def test_what_is_no_object_is_an_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        [item async for item in JsonLines(Pieces(line, 100))]
