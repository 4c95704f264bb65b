"""Long lists in short messages, as the agent cuts and joins them: JSON, gzip and base64 in pages.

The agent has its own few lines for this (it runs elsewhere, on its own); a test holds both to the same form.
"""

import base64
import gzip
import json
from collections.abc import Sequence
from typing import Any

PAGE = 192 * 1024  # a multiple of three: pages joined as text are still base64


def cut(document: Any) -> list[str]:
    """The pages of a document; there is at least one."""
    return cut_bytes(gzip.compress(json.dumps(document, separators=(",", ":")).encode("ascii"), 5, mtime=0))


def cut_bytes(data: bytes) -> list[str]:
    """The pages of bytes that are squeezed already."""
    return [base64.b64encode(data[at : at + PAGE]).decode() for at in range(0, max(len(data), 1), PAGE)]


def join(pages: Sequence[str]) -> Any:
    """The document again. Raises ValueError or OSError for anything that was not cut so."""
    return json.loads(gzip.decompress(b"".join(base64.b64decode(page) for page in pages)))
