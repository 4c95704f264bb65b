"""Connections: an SQLite file or a PostgreSQL server, behind the same transactions and the same errors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from holdfast.records.errors import RecordsError, RecordsUnavailable
from holdfast.records.patience import PATIENCE, Patience, milliseconds

_READ_ONLY = "holdfast_read_only"
_POSTGRES = ("postgres", "postgresql")


def make_engine(url: str, *, patience: Patience = PATIENCE) -> Engine:
    """An engine for `url`; connects at first use. An SQLite file is created readable by its owner only.

    `postgres://` and `postgresql://` mean psycopg, which the extra `holdfast[postgres]` installs.

    Raises:
        RecordsError: the URL is of no use, or its driver is not installed.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, patience)
    try:
        return _postgres(parsed, patience)
    except ModuleNotFoundError as err:
        raise RecordsError(f"records in PostgreSQL need {err.name}: install holdfast[postgres]") from None


def reader(engine: Engine) -> Engine:
    """The same engine for transactions that only read: in SQLite they do not wait for the writer."""
    return engine.execution_options(**{_READ_ONLY: True})


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's failures into `RecordsUnavailable`. Values bound to statements are not repeated."""
    try:
        yield
    except IntegrityError as err:
        # Two writers were first at the same row: the transaction is gone, and the next try sees the other's row.
        raise RecordsUnavailable(f"another writer was first: {err.orig}") from err
    except (OperationalError, PoolTimeout) as err:
        raise RecordsUnavailable(f"the records do not answer: {getattr(err, 'orig', None) or err}") from err
    except DBAPIError as err:
        if not err.connection_invalidated:
            raise
        raise RecordsUnavailable(f"the connection to the records broke: {err.orig}") from err


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise RecordsError("the records URL cannot be read; write sqlite:///path or postgresql://...") from None
    if parsed.drivername in _POSTGRES:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise RecordsError(f"records cannot be kept in {parsed.get_backend_name()}; use sqlite or postgresql")
    return parsed


def _postgres(url: URL, patience: Patience) -> Engine:
    from holdfast.records.postgres import connector  # noqa: PLC0415 (its driver comes with an extra)

    engine = create_engine(url, pool_pre_ping=True, hide_parameters=True, pool_timeout=patience.pool.total_seconds())
    event.listen(engine, "do_connect", connector(patience))
    return engine


def _sqlite(url: URL, patience: Patience) -> Engine:
    if not url.database or url.database == ":memory:":
        raise RecordsError("records in memory would be lost: name a file, as in sqlite:///records.db")
    try:
        _create_private(Path(url.database))
    except OSError as err:
        raise RecordsError(f"the records file cannot be opened: {err}") from err
    engine = create_engine(url, hide_parameters=True, pool_timeout=patience.pool.total_seconds())
    event.listen(engine, "connect", _preparer(patience))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create_private(path: Path) -> None:
    # SQLite gives its journal files the mode of the database, so this one mode protects all three.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)


def _preparer(patience: Patience) -> Callable[[Any, object], None]:
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        connection.execute(f"PRAGMA busy_timeout = {milliseconds(patience.lock)}")
        connection.execute("PRAGMA foreign_keys = ON")

    return prepare


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: one that read first and then had to wait would have read the past.
    only_reads = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")
