"""The fence: a caller of an older epoch than the highest one seen is refused, and its work is stopped."""

import threading
from typing import Optional

from .failures import AgentFailure
from .home import Home
from .methods import Json
from .work import Work

_FILE = "fence.json"
_GRACE = 5.0  # seconds for fenced work to end by itself; what it still writes is lost anyway


class Fence:
    """Remember the highest epoch over restarts of the daemon."""

    def __init__(self, home: Home, work: Work) -> None:
        self._home = home
        self._work = work
        self._raising = threading.Lock()
        self.epoch = self._written = int((home.read(_FILE) or {"epoch": 0})["epoch"])

    def check(self, epoch: Optional[int]) -> None:
        """Refuse a caller that has not said its epoch, or whose epoch is over."""
        if epoch is None:
            raise AgentFailure("bad_request", "the first call of a conversation is hello, with the caller's epoch")
        if epoch < self.epoch:
            raise AgentFailure("fenced", f"epoch {epoch} was fenced off by epoch {self.epoch}")

    def raise_to(self, epoch: int) -> Json:
        """Refuse everything below `epoch` from now on, and stop work that was started below it. Idempotent.

        Written down last: neither a full disk nor work that cannot be killed keeps the rest from happening. What could
        not be written is an error, and the repeat writes it.
        """
        with self._raising:
            self.epoch = max(epoch, self.epoch)
        try:
            return {"epoch": self.epoch, "stopped": self._stop_older()}
        finally:
            self._write()

    def _stop_older(self) -> bool:
        known = self._work.record()
        stopped = known is not None and known.epoch < self.epoch and self._work.goes_on(known)
        if stopped:
            self._work.stop(_GRACE)
        return stopped

    def _write(self) -> None:
        with self._raising:
            if self._written < self.epoch:
                self._home.write(_FILE, {"epoch": self.epoch})
                self._written = self.epoch
