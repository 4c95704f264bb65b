"""Bring a database to the schema of this code. The only module of the records that loads Alembic."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine

from holdfast.records.engine import make_engine, translated
from holdfast.records.patience import UNHURRIED
from holdfast.records.version import MIGRATIONS, head, refuse_newer, version_of

_ADVISORY_LOCK = 0x486F6C64  # any number that every process of ours agrees on


@dataclass(frozen=True, kw_only=True)
class Migration:
    """What `migrate` did. The two are equal when there was nothing to do; `before` is None for a new database."""

    before: str | None
    after: str


def migrate(url: str) -> Migration:
    """Bring the schema to this code's version. Safe to call from many processes at once; they take turns.

    Raises:
        RecordsBehind: the schema is newer than this code. Nothing was changed.
        RecordsUnavailable: the database did not answer, or stayed locked.
    """
    engine = make_engine(url, patience=UNHURRIED)
    try:
        with translated(), _alone(engine), engine.begin() as connection:
            _lock(connection)
            before = refuse_newer(version_of(connection))
            command.upgrade(_config(connection), "head")
            return Migration(before=before, after=head())
    finally:
        engine.dispose()


def _private_file(path: Path) -> Path:
    path.touch(mode=0o600)
    return path


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Keep other migrations of the same SQLite file out, and put the file into WAL mode.

    The switch to WAL does not wait for other connections as a transaction does: only a lock beside the file does.
    """
    with ExitStack() as held:
        if engine.dialect.name == "sqlite":
            lock = held.enter_context(_private_file(Path(f"{engine.url.database}.lock")).open())
            fcntl.flock(lock, fcntl.LOCK_EX)
            with closing(engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA journal_mode = WAL")
        yield
