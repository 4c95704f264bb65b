"""How a demo tells what happens: each line of a workload's timeline, once."""

from collections.abc import Callable

from holdfast.cli import words
from holdfast.contracts.workload import Event

Say = Callable[[str], None]


class Teller:
    """Prints each line of the timeline once."""

    def __init__(self, say: Say, *, of: str = "") -> None:
        self._say = say
        self._of = f"{of}  " if of else ""
        self._told: set[tuple[object, str]] = set()

    def tell(self, timeline: list[Event]) -> None:
        for event in timeline:
            if (event.at, event.what) not in self._told:
                self._told.add((event.at, event.what))
                self._say(f"{event.at:%H:%M:%S}  {self._of}{words.without_raw_words(event.what)}")
