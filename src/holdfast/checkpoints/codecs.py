"""Undoing the codecs of chunks. Their names are part of the format; encoding is the agent's work."""

import zlib


def decode(codec: str, payload: bytes | memoryview, size: int) -> bytes | memoryview:
    """The plain bytes, never more than one beyond `size`.

    Raises:
        ValueError: the payload is damaged, or the codec is of a newer version.
    """
    match codec:
        case "raw":
            return payload
        case "zlib":
            try:
                return zlib.decompressobj().decompress(payload, size + 1)
            except zlib.error as err:
                raise ValueError(str(err)) from None
    raise ValueError(f"codec {codec!r} is not known to this version")
