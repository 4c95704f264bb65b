"""How a demo tells what happens: each line of a workload's timeline, once; and where the same is to be seen."""

from collections.abc import Callable
from pathlib import Path

from holdfast.cli import words
from holdfast.contracts.workload import Event
from holdfast.workers.stack.commands import status

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


def web_ui(home: Path) -> str:
    """The address of the Temporal Web UI of the stack there."""
    return next((address for name, address in status(home).addresses.items() if "Web UI" in name), "")
