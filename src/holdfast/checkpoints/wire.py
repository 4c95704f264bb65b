"""Long lists in short messages, as the agent cuts and joins them: JSON, gzip and base64 in pages.

The agent has its own few lines for this (it runs elsewhere, on its own); a test holds both to the same form.
"""

import base64
import gzip
import json
import zlib
from collections.abc import Sequence
from typing import Any

PAGE = 192 * 1024  # a multiple of three: pages joined as text are still base64
LONGEST_PAGE = PAGE // 3 * 4  # characters
LARGEST = 256 * 1024 * 1024  # bytes of a document: the list of some millions of files, or of terabytes in chunks
_GZIP = 16 + zlib.MAX_WBITS


def cut(document: Any) -> list[str]:
    """The pages of a document; there is at least one."""
    return cut_bytes(gzip.compress(json.dumps(document, separators=(",", ":")).encode("ascii"), 5, mtime=0))


def cut_bytes(data: bytes) -> list[str]:
    """The pages of bytes that are squeezed already."""
    return [base64.b64encode(data[at : at + PAGE]).decode() for at in range(0, max(len(data), 1), PAGE)]


def join(pages: Sequence[str], largest: int = LARGEST) -> Any:
    """The document again. Whoever cut it may be a stranger: no more than `largest` bytes are ever unfolded.

    Raises:
        ValueError: it was not cut so, or is larger.
    """
    unfolding = zlib.decompressobj(_GZIP)
    try:
        plain = unfolding.decompress(b"".join(base64.b64decode(page) for page in pages), largest + 1)
        if len(plain) > largest:
            raise ValueError(f"a list of more than {largest} bytes")
        if not unfolding.eof:
            raise ValueError("a list that breaks off")
        return json.loads(plain)
    except (zlib.error, RecursionError) as odd:
        raise ValueError(f"not a list: {odd}") from odd
