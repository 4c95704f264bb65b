"""Migrations, connections, and what a person is told when they do not fit."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from holdfast.records import schema, version
from holdfast.records.__main__ import main
from holdfast.records.engine import make_engine
from holdfast.records.errors import RecordsBehind, RecordsError, RecordsUnavailable
from holdfast.records.store import Records
from holdfast.records.tables import METADATA
from tests.unit.records.makers import opening


def test_the_migrations_make_exactly_the_tables_of_the_code(url: str) -> None:
    engine = make_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def test_the_version_that_the_code_needs_is_the_newest_that_alembic_knows() -> None:
    assert version.head() == ScriptDirectory(str(version.MIGRATIONS)).get_current_head()


def test_opening_records_does_not_load_alembic() -> None:
    code = "import sys, holdfast.records.store; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_migrating_twice_does_nothing_the_second_time(empty_url: str) -> None:
    first = schema.migrate(empty_url)
    assert (first.before, first.after) == (None, version.head())
    assert schema.migrate(empty_url).before == version.head() == version.current(empty_url)


def test_processes_that_migrate_at_once_take_turns(empty_url: str) -> None:
    command = [sys.executable, "-m", "holdfast.records", "migrate", "--url", empty_url]
    racing = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [each.communicate(timeout=120)[0] for each in racing]
    assert [each.returncode for each in racing] == [0] * 3
    assert sorted("nothing to do" in line for line in said) == [False, True, True]
    Records.open(empty_url).close()


def test_records_that_were_never_set_up_name_the_remedy(empty_url: str) -> None:
    with pytest.raises(RecordsBehind, match="never been set up; run `holdfast records migrate`"):
        Records.open(empty_url)


def test_records_newer_than_the_code_are_left_alone(url: str) -> None:
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    for use in (Records.open, schema.migrate):
        with pytest.raises(RecordsBehind, match="upgrade Holdfast"):
            use(url)
    assert version.current(url) == "9999"


def test_the_command_says_what_it_did(empty_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["current", "--url", empty_url]) == 3
    assert main(["migrate", "--url", empty_url]) == 0
    assert main(["current", "--url", empty_url]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "the records are at nothing; this code needs version 0016",
        "the records went from nothing to version 0016",
        "the records are at 0016; this code needs version 0016",
    ]


def test_a_file_and_its_journals_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "records.db"
    schema.migrate(f"sqlite:///{path}")
    records = Records.open(f"sqlite:///{path}")
    records.open_workload(opening())
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.glob("records.db*")}
    records.close()
    assert modes.pop("records.db.lock") & 0o077 == 0
    assert modes == dict.fromkeys(("records.db", "records.db-wal", "records.db-shm"), 0o600)


def test_a_server_that_is_not_there_is_unavailable_and_its_password_unsaid(tmp_path: Path) -> None:
    url = f"postgresql://holdfast:hunter2@/records?host={tmp_path}"
    with pytest.raises(RecordsUnavailable) as caught:
        Records.open(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("no url at all", "cannot be read"),
        ("sqlite://", "would be lost"),
        ("mysql://localhost/records", "cannot be kept in mysql"),
        ("sqlite:////proc/records.db", "cannot be opened"),
    ],
)
def test_a_url_of_no_use_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(RecordsError, match=reason):
        make_engine(url)


def test_values_of_a_failed_statement_are_not_repeated(records: Records, url: str) -> None:
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE decisions")
        connection.exec_driver_sql("ALTER TABLE generations RENAME TO elsewhere")
    engine.dispose()
    with pytest.raises(Exception) as caught:
        records.open_workload(opening(environment={"TOKEN": "hunter2"}))
    assert "hunter2" not in str(caught.value)
