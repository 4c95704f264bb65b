"""Packs: the objects in which chunks travel and rest.

A pack is the encoded chunks one after the other, then an index, then a footer of 12 bytes: the length of the index
(4 bytes, big endian) and a magic word. The index is JSON squeezed by zlib: `chunks` are rows of id, plain size, offset,
length and codec, so that locations can be found again from the packs alone; `nonce` makes every pack a new one, so that
nobody ever writes a key that garbage collection may be about to delete. A keyed BLAKE2b of all its bytes names a pack.
"""

import base64
import hashlib
import json
import secrets
import struct
import zlib
from typing import Any, Dict, List

from .chunks import Data

MAGIC = b"HFPACK01"
VERSION = 1
# Of plain bytes in one pack; what is squeezed is less, the index of at most `MOST_CHUNKS` rows comes on top.
TARGET = 16 * 1024 * 1024
MOST_CHUNKS = 2048


class Pack:
    """A pack being filled. Its parts are never joined: they are hashed and sent one by one."""

    def __init__(self, key: bytes) -> None:
        self._parts: List[Data] = []
        self._digest = hashlib.blake2b(key=key, digest_size=32)
        # MD5 because that is what every store checks a body against.
        self._md5 = hashlib.md5()
        self.size = 0
        self.chunks: List[List[Any]] = []

    def add(self, chunk: str, size: int, codec: str, payload: Data) -> None:
        """Append one encoded chunk of `size` plain bytes."""
        self.chunks.append([chunk, size, self.size, len(payload), codec])
        self._append(payload)

    def seal(self) -> Dict[str, Any]:
        """Write index and footer; returns what the control side has to know of the pack."""
        body = {"version": VERSION, "nonce": secrets.token_hex(8), "chunks": self.chunks}
        index = zlib.compress(json.dumps(body, separators=(",", ":")).encode(), 6)
        self._append(index)
        self._append(struct.pack(">I", len(index)) + MAGIC)
        name = self._digest.hexdigest()
        return {
            "key": f"packs/{name[:2]}/{name}",
            "size": self.size,
            "md5": base64.b64encode(self._md5.digest()).decode(),
        }

    def parts(self) -> List[Data]:
        return self._parts

    def _append(self, data: Data) -> None:
        self._parts.append(data)
        self._digest.update(data)
        self._md5.update(data)
        self.size += len(data)
