"""Doing many things on a few threads."""

import threading
import time
from typing import Any, Callable, Dict, Iterable, List, TypeVar

Item = TypeVar("Item")


def each(items: Iterable[Item], work: Callable[[Item], None], threads: int) -> None:
    """Call `work` for every item on so many threads, and wait for all of them.

    After the first failure no further item is started; it is raised when the running ones have ended. Nothing is
    queued, so memory is what `threads` calls of `work` need.
    """
    source = iter(items)
    turn = threading.Lock()
    failures: List[BaseException] = []

    def labour() -> None:
        while not failures:
            with turn:
                try:
                    item = next(source)
                except StopIteration:
                    return
            try:
                work(item)
            except BaseException as err:  # handed to the caller below
                failures.append(err)

    crew = [threading.Thread(target=labour, daemon=True) for _ in range(threads)]
    for member in crew:
        member.start()
    for member in crew:
        member.join()
    if failures:
        raise failures[0]


def seldom(note: Callable[[Dict[str, Any]], None], seconds: float = 1.0) -> Callable[[Dict[str, Any]], None]:
    """Pass on at most one note in so many seconds: enough to show life, for any number of threads."""
    lock = threading.Lock()
    last = [-seconds]

    def noted(facts: Dict[str, Any]) -> None:
        with lock:
            if time.monotonic() - last[0] < seconds:
                return
            last[0] = time.monotonic()
            note(facts)

    return noted
