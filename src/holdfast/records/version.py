"""Which version of the schema a database has, and which one this code needs. Plain SQL: Alembic takes long to load."""

import re
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect

from holdfast.records.engine import make_engine, reader, translated
from holdfast.records.errors import RecordsBehind

MIGRATIONS = Path(__file__).parent / "migrations"


def current(url: str) -> str | None:
    """The schema's version, or None for a database that was never migrated."""
    engine = make_engine(url)
    try:
        with translated(), reader(engine).connect() as connection:
            return version_of(connection)
    finally:
        engine.dispose()


def require_current(engine: Engine) -> None:
    """Raises `RecordsBehind` unless the schema is of this code's version; the message names the remedy."""
    with translated(), reader(engine).connect() as connection:
        found = refuse_newer(version_of(connection))
    if found != head():
        so_far = "have never been set up" if found is None else f"are at version {found}, and this code needs {head()}"
        raise RecordsBehind(f"the records {so_far}; run `holdfast records migrate`")


def head() -> str:
    """The version that this code needs."""
    return _known()[-1]


def refuse_newer(found: str | None) -> str | None:
    """The same version. Raises `RecordsBehind` for one that this code has never heard of."""
    if found is not None and found not in _known():
        raise RecordsBehind(f"the records are at version {found}, which this Holdfast does not know; upgrade Holdfast")
    return found


def version_of(connection: Connection) -> str | None:
    """What Alembic has noted in this database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


def _known() -> list[str]:
    """Every version, oldest first: the files of the migrations bear it in their names."""
    files = (MIGRATIONS / "versions").glob("v*.py")
    return sorted(found[1] for file in files if (found := re.match(r"v(\d+)_", file.name)))
