"""Bring a database to the schema of this code, and say where it stands."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from holdfast.records.engine import make_engine, reader, translated
from holdfast.records.errors import RecordsBehind

_MIGRATIONS = Path(__file__).parent / "migrations"
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
    engine = make_engine(url)
    try:
        with translated(), _alone(engine), engine.begin() as connection:
            _lock(connection)
            before = _refuse_newer(_revision(connection))
            command.upgrade(_config(connection), "head")
            return Migration(before=before, after=head())
    finally:
        engine.dispose()


def current(url: str) -> str | None:
    """The schema's version, or None for a database that was never migrated."""
    engine = make_engine(url)
    try:
        with translated(), reader(engine).connect() as connection:
            return _revision(connection)
    finally:
        engine.dispose()


def require_current(engine: Engine) -> None:
    """Raises `RecordsBehind` unless the schema is of this code's version; the message names the remedy."""
    with translated(), reader(engine).connect() as connection:
        found = _refuse_newer(_revision(connection))
    if found != head():
        so_far = "have never been set up" if found is None else f"are at version {found}, and this code needs {head()}"
        raise RecordsBehind(f"the records {so_far}; run `holdfast records migrate`")


def head() -> str:
    """The version that this code needs."""
    newest = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    assert newest is not None, "the package ships at least one migration"
    return newest


def _refuse_newer(found: str | None) -> str | None:
    known = {script.revision for script in ScriptDirectory(str(_MIGRATIONS)).walk_revisions()}
    if found is not None and found not in known:
        raise RecordsBehind(f"the records are at version {found}, which this Holdfast does not know; upgrade Holdfast")
    return found


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _private_file(path: Path) -> Path:
    path.touch(mode=0o600)
    return path


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
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
