"""Answers that stay small however long a workload lives: of a list its newest end, and how long it is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import TypeAdapter
from sqlmodel import Session, func, select
from sqlmodel.sql.expression import SelectOfScalar

Row = TypeVar("Row")
Entry = TypeVar("Entry")

ROOM = 480 * 1024
"""Bytes of JSON for all lists of one answer. Temporal takes 2 MiB in one payload, and warns of it from 512 KiB on."""
_BATCH = 100


@dataclass(frozen=True, kw_only=True)
class Window:
    """Which part of a list is asked for."""

    room: int  # bytes
    oldest: int | None = None  # so many from the beginning; None: all


@dataclass(frozen=True, kw_only=True)
class Page(Generic[Entry]):
    """The newest entries of the window, oldest first, and how many the whole list has."""

    entries: tuple[Entry, ...]
    total: int


def newest(
    session: Session,
    query: SelectOfScalar[Row],
    entry: Callable[[Row], Entry],
    kind: TypeAdapter[Entry],
    window: Window,
) -> Page[Entry]:
    """As many entries as there is room for; the query lists them newest first.

    Rows that are only ever appended keep their place from page to page.
    """
    total = session.exec(select(func.count()).select_from(query.order_by(None).subquery())).one()
    end = total if window.oldest is None else min(window.oldest, total)
    found: list[Entry] = []
    room = window.room
    for row in _rows(session, query, skip=total - end) if room else ():
        item = entry(row)
        room -= len(kind.dump_json(item)) + 1  # and a comma
        if room < 0:
            break
        found.append(item)
    return Page(entries=tuple(reversed(found)), total=total)


def _rows(session: Session, query: SelectOfScalar[Row], *, skip: int) -> Iterator[Row]:
    while batch := session.exec(query.offset(skip).limit(_BATCH)).all():
        yield from batch
        skip += len(batch)
