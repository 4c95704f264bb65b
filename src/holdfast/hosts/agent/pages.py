"""Long lists in short messages: JSON, gzip and base64, cut into pages of at most a quarter of a mebibyte."""

import base64
import gzip
import json
from typing import Any, List

PAGE = 192 * 1024  # a multiple of three: pages joined as text are still base64


def cut(document: Any) -> List[str]:
    """The pages of a document; there is at least one."""
    return cut_bytes(gzip.compress(json.dumps(document, separators=(",", ":")).encode(), 5, mtime=0))


def cut_bytes(data: bytes) -> List[str]:
    return [base64.b64encode(data[at : at + PAGE]).decode() for at in range(0, max(len(data), 1), PAGE)]


def join_bytes(pages: List[str]) -> bytes:
    return b"".join(base64.b64decode(page) for page in pages)


def join(pages: List[str]) -> Any:
    """The document again."""
    return json.loads(gzip.decompress(join_bytes(pages)))
