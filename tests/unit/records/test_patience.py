"""A database that does not answer is said to be unavailable, in time for whoever waits; later all goes on."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from holdfast.records import workloads
from holdfast.records.errors import RecordsUnavailable
from holdfast.records.patience import PATIENCE, UNHURRIED, Patience
from holdfast.records.store import Records
from tests.unit.records.makers import claim, commit, opening

ACTIVITY = timedelta(seconds=30)  # what `workflows/steps` gives to whatever is written down
SHORT = timedelta(milliseconds=300)
BRIEF = Patience(connect=SHORT, pool=SHORT, lock=SHORT, answer=SHORT)
on_postgres = pytest.mark.parametrize("kind", ["postgresql"])


@pytest.fixture
def hasty(url: str) -> Iterator[Records]:
    """Records that wait for nothing longer than a moment; the workload is open, its first epoch claimed."""
    opened = Records.open(url, patience=BRIEF)
    opened.open_workload(opening())
    opened.claim_epoch(claim(1))
    yield opened
    opened.close()


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Processes that get no time while the block runs: the kernel still takes what is sent to them."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def server_of(url: str) -> tuple[int, ...]:
    """The processes of a database server, but for the one that was asked."""
    with psycopg.connect(url) as connection:
        asked = connection.info.backend_pid
        accepting = int(Path(f"/proc/{asked}/status").read_text().partition("PPid:")[2].split()[0])
        others = {int(pid) for pid in Path(f"/proc/{accepting}/task/{accepting}/children").read_text().split()}
    return accepting, *(others - {asked})


def test_every_wait_ends_before_the_activity_does() -> None:
    queued_then_frozen = PATIENCE.pool + PATIENCE.answer + PATIENCE.connect
    queued_then_locked_out = PATIENCE.pool + PATIENCE.lock
    assert max(queued_then_frozen, queued_then_locked_out, PATIENCE.statement, PATIENCE.idle) < ACTIVITY
    assert PATIENCE.lock < PATIENCE.statement < PATIENCE.answer  # who knows more says what is wrong
    assert UNHURRIED.lock < UNHURRIED.statement < UNHURRIED.answer


def test_a_rival_that_holds_the_row_and_stalls_is_waited_for_but_not_for_ever(url: str, hasty: Records) -> None:
    stalled = Records.open(url)
    with stalled._writing() as session:
        workloads.locked(session, "train")
        with pytest.raises(RecordsUnavailable):
            hasty.commit_checkpoint(commit(1))
    stalled.close()
    assert hasty.commit_checkpoint(commit(1)).sequence == 1


@on_postgres
def test_the_transaction_of_a_client_that_says_nothing_ends_and_its_row_is_free(url: str, hasty: Records) -> None:
    silent, patient = Records.open(url, patience=Patience(idle=SHORT)), Records.open(url)
    with pytest.raises(RecordsUnavailable), silent._writing() as session:
        workloads.locked(session, "train").head_sequence = 7
        session.flush()
        assert patient.commit_checkpoint(commit(1)).sequence == 1  # waits for the row, and gets it
    assert [each.sequence for each in hasty.list_checkpoints("train")] == [1]
    for each in (silent, patient):
        each.close()


@on_postgres
def test_a_statement_that_takes_too_long_is_ended_by_the_server(url: str) -> None:
    records = Records.open(url, patience=Patience(statement=SHORT))
    with pytest.raises(RecordsUnavailable, match="statement timeout"), records._reading() as session:
        session.connection().exec_driver_sql("SELECT pg_sleep(60)")
    assert records.workload_names() == []
    records.close()


@on_postgres
def test_a_server_that_freezes_under_a_statement_is_hung_up_on(hasty: Records) -> None:
    with pytest.raises(RecordsUnavailable), hasty._writing() as session:
        workloads.locked(session, "train")
        pid = session.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with frozen(pid):
            workloads.locked(session, "train")
    assert hasty.commit_checkpoint(commit(1)).sequence == 1


@on_postgres
def test_a_server_that_is_frozen_as_a_whole_is_unavailable_until_it_thaws(url: str, hasty: Records) -> None:
    with frozen(*server_of(url)):
        for _ in range(2):  # on the connection that we had, and on a new one
            with pytest.raises(RecordsUnavailable):
                hasty.commit_checkpoint(commit(1))
    assert hasty.commit_checkpoint(commit(1)).sequence == 1
