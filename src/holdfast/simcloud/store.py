"""The market's memory: one SQLite file that is right after every commit, whenever the process dies.

Nothing is cached in the process. What a request reads is what a restarted market would read.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from holdfast.simcloud.model import Account, AccountKey, Fault, Holding, Instance, Numbered, Period, Slot

_SCHEMA = """
CREATE TABLE IF NOT EXISTS things (
    kind TEXT NOT NULL, id INTEGER NOT NULL, owner INTEGER, body TEXT NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_owner ON things (kind, owner);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

Thing = TypeVar("Thing", bound=Numbered)


class Shelf(Generic[Thing]):
    """All things of one kind, by id."""

    def __init__(self, database: sqlite3.Connection, model: type[Thing]) -> None:
        self._database = database
        self._model: type[Thing] = model
        self._kind = model.__name__

    def get(self, number: int) -> Thing | None:
        """The thing with this id, or None."""
        row = self._database.execute("SELECT body FROM things WHERE kind = ? AND id = ?", (self._kind, number))
        found = row.fetchone()
        return None if found is None else self._model.model_validate_json(found[0])

    def all(self) -> list[Thing]:
        """Everything on the shelf, by rising id."""
        rows = self._database.execute("SELECT body FROM things WHERE kind = ? ORDER BY id", (self._kind,))
        return [self._model.model_validate_json(body) for (body,) in rows]

    def owned_by(self, owner: int) -> list[Thing]:
        """The things filed under this owner, by rising id."""
        query = "SELECT body FROM things WHERE kind = ? AND owner = ? ORDER BY id"
        return [self._model.model_validate_json(body) for (body,) in self._database.execute(query, (self._kind, owner))]

    def put(self, thing: Thing, *, owner: int | None = None) -> None:
        """Store a new thing or a new state of it."""
        self._database.execute(
            "INSERT INTO things VALUES (?, ?, ?, ?) "
            "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body, owner = excluded.owner",
            (self._kind, thing.id, owner, thing.model_dump_json()),
        )

    def last_of(self, owner: int) -> Thing | None:
        """The newest thing filed under this owner."""
        query = "SELECT body FROM things WHERE kind = ? AND owner = ? ORDER BY id DESC LIMIT 1"
        found = self._database.execute(query, (self._kind, owner)).fetchone()
        return None if found is None else self._model.model_validate_json(found[0])

    def remove(self, number: int) -> None:
        """Forget a thing. Idempotent."""
        self._database.execute("DELETE FROM things WHERE kind = ? AND id = ?", (self._kind, number))


class Store:
    """The shelves, and transactions over them."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")  # safe against a killed process, which is what we face
        self._database.executescript(_SCHEMA)
        self._depth = 0
        self.slots = Shelf(self._database, Slot)
        self._instances = Shelf(self._database, Instance)
        self.periods = Shelf(self._database, Period)
        self.keys = Shelf(self._database, AccountKey)
        self.faults = Shelf(self._database, Fault)
        self.holdings = Shelf(self._database, Holding)
        self._accounts = Shelf(self._database, Account)

    def shelf(self, model: type[Thing]) -> Shelf[Thing]:
        """A shelf for things that only a provider's own wire layer knows."""
        return Shelf(self._database, model)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. May be nested; the outermost commits."""
        self._depth += 1
        try:
            if self._depth == 1:
                self._database.execute("BEGIN IMMEDIATE")
            yield
            if self._depth == 1:
                self._database.execute("COMMIT")
        except BaseException:
            if self._depth == 1:
                self._database.execute("ROLLBACK")
            raise
        finally:
            self._depth -= 1

    def next_id(self, space: str, first: int) -> int:
        """A number never given before in this space."""
        row = self._database.execute(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
            (space, first),
        )
        return int(row.fetchone()[0])

    def instances(self) -> list[Instance]:
        """The tenancies that exist, by rising id."""
        return self._instances.owned_by(_EXISTS)

    def instance(self, number: int) -> Instance | None:
        """A tenancy that exists."""
        found = self._instances.get(number)
        return found if found is not None and found.destroyed_at is None else None

    def put_instance(self, instance: Instance) -> None:
        """Store a tenancy's new state. One that was destroyed leaves the list but stays on record."""
        self._instances.put(instance, owner=_EXISTS if instance.destroyed_at is None else _DESTROYED)

    def account(self) -> Account:
        """The one account."""
        found = self._accounts.get(1)
        assert found is not None, "the market was not opened"
        return found

    def put_account(self, account: Account) -> None:
        """Store the account's new state."""
        self._accounts.put(account)

    def is_new(self) -> bool:
        """Whether the market has never been opened on this file."""
        return self._accounts.get(1) is None


_EXISTS, _DESTROYED = 1, 0
