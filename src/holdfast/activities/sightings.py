"""Which machines this worker hears and which it misses: whether a silence is a machine's, or our own side's.

That a provider answers another worker says nothing of this one's network, nor of its key. Another machine of ours that
answers does; others that fell silent together with the one in question say the opposite.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from enum import Enum, auto

_LISTEN_FOR = timedelta(seconds=3)
"""As long as a watch waits for a heartbeat: by then every machine that is listened to was heard, or is missed too."""
_MISSED_FOR = timedelta(minutes=30).total_seconds()
"""Longer than anybody pauses between two looks at a silent machine; one that nobody looks for any more is forgotten."""
_GLANCE = 0.05  # seconds


class OwnSide(Enum):
    """What the other machines say of this worker's network and key."""

    PROVEN = auto()  # one answers
    DOUBTED = auto()  # there are others, and none answers
    ALONE = auto()  # there is none to compare with


class Sightings:
    """By label, in the memory of one process, which loads its key once."""

    def __init__(self, *, listen_for: timedelta = _LISTEN_FOR, clock: Callable[[], float] = time.monotonic) -> None:
        self._listen_for = listen_for.total_seconds()
        self._clock = clock
        self._listened_to: set[str] = set()
        self._answered: dict[str, float] = {}  # every machine that ever let this process in, and when it did last
        self._missed: dict[str, float] = {}  # which did not answer since any machine did

    def listen(self, label: str) -> None:
        """From now on somebody waits for this machine's heartbeats."""
        self._listened_to.add(label)

    def saw(self, label: str) -> None:
        """It answered, so whatever was missed before was not missed for a fault of ours."""
        self._answered[label] = self._clock()
        self._missed.clear()

    def missed(self, label: str) -> None:
        """It did not answer, or would not have us."""
        self._listened_to.discard(label)
        self._missed[label] = self._clock()

    def forget(self, label: str) -> None:
        """Nobody waits for it any more, for another reason than its silence."""
        self._listened_to.discard(label)

    def was_let_in(self, label: str) -> bool:
        """Whether the key of this very process once opened this machine."""
        return label in self._answered

    async def own_side(self, label: str) -> OwnSide:
        """Ask the others, now that this machine was missed. Waits for those that are listened to, for seconds."""
        asked = self._clock()
        while self._listened_to - {label} and self._clock() < asked + self._listen_for:
            if any(at > asked for other, at in self._answered.items() if other != label):
                return OwnSide.PROVEN
            await asyncio.sleep(_GLANCE)
        recent = {other for other, at in self._missed.items() if at > asked - _MISSED_FOR}
        return OwnSide.DOUBTED if (recent | self._listened_to) - {label} else OwnSide.ALONE
