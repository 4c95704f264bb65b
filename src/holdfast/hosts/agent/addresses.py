"""Signed addresses: asked for in batches, used while fresh, asked for again when the store no longer takes them."""

import contextlib
import threading
import time
from typing import Callable, Dict, Iterable, List, Tuple, TypeVar

from .failures import AgentFailure
from .http_store import AddressRefused
from .methods import Ask, Json

BATCH = 32
TRIES = 3
# An address is not used in the last part of its life: a transfer that begins must be able to end.
FRESH_PART = 0.8

Answer = TypeVar("Answer")


class Addresses:
    """Where to send to or get from. Safe to share between threads."""

    def __init__(self, ask: Ask, question: str, ahead: Iterable[Json]) -> None:
        """`ahead` lists what will be needed, each with its `key`, in the order of need."""
        self._ask = ask
        self._question = question
        self._wanted: Dict[str, Json] = {}
        self._known: Dict[str, Tuple[float, Json]] = {}
        self._lock = threading.Lock()
        self.announce(ahead)

    def announce(self, more: Iterable[Json]) -> None:
        with self._lock:
            self._wanted.update((each["key"], each) for each in more)

    def use(self, key: str, transfer: Callable[[Json], Answer]) -> Answer:
        """Call `transfer` with a fresh address; again with a new one when the store refuses it."""
        for _ in range(TRIES - 1):
            with contextlib.suppress(AddressRefused):
                return transfer(self._find(key))
            self._forget(key)
        try:
            return transfer(self._find(key))
        except AddressRefused as err:
            raise AgentFailure("store_refused", f"{key}: {err}") from None

    def _find(self, key: str) -> Json:
        with self._lock:  # held while asking, which needs nothing that another thread of ours holds
            if key not in self._known or self._known[key][0] < time.monotonic():
                self._fetch(key)
            return self._known[key][1]

    def _fetch(self, key: str) -> None:
        batch = self._batch(key)
        answer = self._ask(self._question, {"objects": batch})
        until = time.monotonic() + FRESH_PART * float(answer["expires_in"])
        self._known.update((name, (until, address)) for name, address in answer["addresses"].items())
        if key not in self._known:
            raise AgentFailure("store_refused", f"the control side gave no address for {key}")

    def _batch(self, key: str) -> List[Json]:
        others = [name for name in self._wanted if name != key and name not in self._known]
        return [self._wanted[name] for name in [key, *others[: BATCH - 1]]]

    def _forget(self, key: str) -> None:
        with self._lock:
            self._known.pop(key, None)
