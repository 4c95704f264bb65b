"""`upload`: send chunks of a scan that the store lacks.

Parameters: `scan`, `pages` (how many pages of needed chunk ids to ask for), `key`, `home`, `streams` (optional).
Asks: `needed {page}` → `{blob}`; `confirm {packs}` → `{present: [key]}`; `put_urls {objects: [{key, size, md5}]}` →
`{addresses: {key: {url, headers} or {present: true}}, expires_in}`; `stored {pack: {key, size}, blob}` once per pack,
`blob` listing `[chunk, size, offset, length, codec]`. Result: `packs`, `bytes` (sent), `resumed` (bytes found from an
earlier try) and `changed` (files that are no longer as scanned: their chunks were not sent).

One pack per stream is in memory, so 8 streams need about 150 MB.
"""

import os
from typing import Any, Dict, Iterator, List, Set, Tuple

from . import chunks, pages
from .addresses import Addresses
from .failures import AgentFailure
from .http_store import HttpStore
from .memory import Memory
from .methods import Ask, Json, Note
from .packs import MOST_CHUNKS, TARGET, Pack
from .parallel import each, seldom
from .scan import DEFAULT_HOME
from .tree import open_file

STREAMS = 8

Place = Tuple[str, str, int, int]  # chunk, path, offset, length


def upload(params: Json, ask: Ask, note: Note) -> Json:
    """Send what is needed and not yet sent; a repeat after a crash sends only the rest."""
    key = bytes.fromhex(params["key"])
    memory = Memory(params.get("home", DEFAULT_HOME), key)
    scan = memory.read_scan(params["scan"])
    if scan is None:
        raise AgentFailure("scan_unknown", "the scan is no longer kept on this machine; scan again")
    needed = set(pages.join([ask("needed", {"page": page})["blob"] for page in range(params["pages"])]))
    courier = _Courier(scan["root"], key, memory, ask, seldom(note))
    needed -= courier.resume(needed)
    each(_loads(_places(scan, needed)), courier.deliver, params.get("streams") or STREAMS)
    memory.trim_journal()
    return courier.summary()


def _places(scan: Json, needed: Set[str]) -> Iterator[Place]:
    """Where to read each needed chunk, once, in the order of the scan."""
    left = set(needed)
    for entry in scan["entries"]:
        offset = 0
        for chunk, length in entry["chunks"]:
            if chunk in left:
                left.discard(chunk)
                yield chunk, entry["path"], offset, length
            offset += length


def _loads(places: Iterator[Place]) -> Iterator[List[Place]]:
    """Group chunks into what fits into one pack even if nothing can be squeezed."""
    load: List[Place] = []
    size = 0
    for place in places:
        if load and (size + place[3] > TARGET or len(load) >= MOST_CHUNKS):
            yield load
            load, size = [], 0
        load.append(place)
        size += place[3]
    if load:
        yield load


class _Courier:
    """Fills packs and sends them; used by all streams at once."""

    def __init__(self, root: str, key: bytes, memory: Memory, ask: Ask, note: Note) -> None:
        self._root = root
        self._key = key
        self._memory = memory
        self._ask = ask
        self._note = note
        self._store = HttpStore()
        self._addresses = Addresses(ask, "put_urls", ())
        self._sent: List[int] = []
        self._resumed: List[int] = []
        self._changed: Set[str] = set()

    def resume(self, needed: Set[str]) -> Set[str]:
        """Chunks that packs of an earlier, interrupted upload already hold."""
        useful = {pack["key"]: pack for pack in self._memory.sent_packs() if _holds(pack, needed)}
        if not useful:
            return set()
        asked = [{"key": pack["key"], "size": pack["size"]} for pack in useful.values()]
        found: Set[str] = set()
        for name in self._ask("confirm", {"packs": asked})["present"]:
            self._report(useful[name])
            self._resumed.append(useful[name]["size"])
            found.update(chunk[0] for chunk in useful[name]["chunks"])
        return found

    def deliver(self, load: List[Place]) -> None:
        """Fill one pack and see it acknowledged by the store, by the journal and by the control side."""
        pack = Pack(self._key)
        for place in load:
            self._pack(pack, place)
        if not pack.chunks:
            return
        sealed = pack.seal()
        self._addresses.announce([sealed])
        sent = self._addresses.use(sealed["key"], lambda address: self._put(address, pack, sealed["size"]))
        done = {"key": sealed["key"], "size": sealed["size"], "chunks": pack.chunks}
        self._memory.note_sent(done)
        self._sent.append(sent)
        self._report(done)

    def summary(self) -> Json:
        return {
            "packs": len(self._sent),
            "bytes": sum(self._sent),
            "resumed": sum(self._resumed),
            "changed": sorted(self._changed),
        }

    def _pack(self, pack: Pack, place: Place) -> None:
        chunk, path, offset, length = place
        try:
            fd, _ = open_file(os.path.join(self._root, path))
        except OSError:
            self._changed.add(path)
            return
        try:
            data = chunks.read(fd, (offset, length))
        finally:
            os.close(fd)
        if chunks.identify(data, self._key) != chunk:
            self._changed.add(path)
            return
        codec, payload = chunks.encode(data)
        pack.add(chunk, length, codec, payload)

    def _put(self, address: Json, pack: Pack, size: int) -> int:
        """Returns the bytes sent: none when the control side says that the store has this very pack."""
        if address.get("present"):
            return 0
        self._store.put(address, pack.parts(), size)
        return size

    def _report(self, pack: Dict[str, Any]) -> None:
        blob = "".join(pages.cut(pack["chunks"]))
        self._ask("stored", {"pack": {"key": pack["key"], "size": pack["size"]}, "blob": blob})
        self._note({"phase": "upload", "bytes": sum(self._sent)})


def _holds(pack: Dict[str, Any], needed: Set[str]) -> bool:
    return any(chunk[0] in needed for chunk in pack["chunks"])
