"""How long we wait for a database before we say that it does not answer."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, kw_only=True)
class Patience:
    """One bound for each way to wait. The activities that write have 30 s, and a thread cannot be cancelled."""

    connect: timedelta = timedelta(seconds=5)
    pool: timedelta = timedelta(seconds=5)  # until another thread gives its connection back
    lock: timedelta = timedelta(seconds=10)  # a row that somebody else holds; in SQLite, the whole file
    statement: timedelta = timedelta(seconds=12)
    answer: timedelta = timedelta(seconds=15)  # from a server that is frozen or cut off, and keeps no time itself
    idle: timedelta = timedelta(seconds=15)  # in a transaction that says nothing, because its client is gone


PATIENCE = Patience()
UNHURRIED = Patience(  # for migrations: they rewrite tables, and take turns
    lock=timedelta(minutes=10), statement=timedelta(hours=6), answer=timedelta(hours=7), idle=timedelta(hours=6)
)


def milliseconds(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
