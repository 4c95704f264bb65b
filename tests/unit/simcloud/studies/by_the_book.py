"""The published rules of the simulation, written down a second time: tick by tick, in hours, without any shortcut.

It shares no code with the product, so that a mistake would have to be made twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class Book:
    """What a job came to, and where it stands. Hours; the cost is in hours on demand."""

    finished: float = float("inf")
    cost: float = 0.0
    losses: int = 0
    launches: int = 0
    done: float = 0.0
    on: str = ""  # "spot", "on demand" or nothing
    settling: float = 0.0


def job(up: Sequence[bool], tick: float, start: int, *, c: float, d: float, over: float, k: float, policy: str) -> Book:
    """Work of `c` hours, due after `d`, on one zone; a changeover takes `over`, and spot costs the share `k`."""
    book = Book()
    for at in range(start, len(up)):
        t = (at - start) * tick
        if book.on == "spot" and not up[at]:
            book.losses += 1
            book.on = ""
        wanted = _wanted(book, up, at, t, tick, c, d, over, policy)
        if wanted != book.on:
            book.on, book.settling = wanted, over
            book.launches += wanted != ""
        if book.on == "":
            continue
        price = k if book.on == "spot" else 1.0
        useful = max(0.0, tick - book.settling)
        if book.done + useful >= c - 1e-9:
            passed = book.settling + c - book.done
            book.cost += price * passed
            book.finished = t + passed
            return book
        book.cost += price * tick
        book.done += useful
        book.settling = max(0.0, book.settling - tick)
    return book


def _wanted(
    book: Book, up: Sequence[bool], at: int, t: float, tick: float, c: float, d: float, over: float, policy: str
) -> str:
    if book.on == "spot":
        return "spot"
    if d - t - (c - book.done) < 2 * over + tick - 1e-9:
        return "on demand"
    if policy == "uniform_progress" and book.on == "on demand" and book.done < (t + 2 * over) * c / d - 1e-9:
        return "on demand"
    if up[at]:
        return "spot"
    if policy == "greedy":
        return ""
    if policy == "forecast_progress":
        window = up[max(0, at + 1 - round(48 / tick)) : at + 1]
        share = (sum(window) * tick + 3) / (len(window) * tick + 6)
        spare = 2 * over if book.on == "on demand" else 0
        return "on demand" if c - book.done > 0.9 * share * (d - t) - spare else ""
    if book.on == "on demand":
        return "on demand" if book.done < (t + 2 * over) * c / d - 1e-9 else ""
    return "on demand" if book.done < t * c / d - 1e-9 else ""
