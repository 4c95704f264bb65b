"""What a stack remembers, and who may read it."""

import os
import stat
import threading
from pathlib import Path

import pytest

from holdfast.workers.stack.errors import AlreadyRunning
from holdfast.workers.stack.state import Home, Phase, ProcessRecord, StackState, without_processes, write_private

STATE = StackState(
    phase=Phase.READY,
    plan={"workers": ["worker-1"]},
    settings={"market_url": "http://127.0.0.1:1"},
    keepers=(ProcessRecord(pid=1, started="10"), ProcessRecord(pid=2, started="20")),
    processes={"worker-1": ProcessRecord(pid=3, started="30", restarts=4)},
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "data")
    made.create()
    return made


def test_reads_back_what_was_written(home: Home) -> None:
    home.write(STATE)
    assert home.read() == STATE


def test_there_is_no_state_where_no_stack_ran(home: Home) -> None:
    assert home.read() is None


def test_nobody_else_may_read_anything(home: Home) -> None:
    home.write(STATE)
    home.secrets()
    os.close(home.lock())
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    for path in home.path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_state_holds_no_secret(home: Home) -> None:
    home.write(STATE)
    secrets = home.secrets()
    assert secrets["market_key"] not in (home.path / "stack.json").read_text()


def test_secrets_are_drawn_once_and_differ_between_directories(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    other.create()
    assert home.secrets() == home.secrets()
    assert home.secrets() != other.secrets()


def test_an_older_stack_gets_the_accounts_of_providers_that_were_added_since(home: Home) -> None:
    drawn = home.secrets()
    write_private(home.path / "secrets.json", drawn | {"providers": {"vast": {"api_key": "its own"}}})
    found = home.secrets()
    assert found["market_key"] == drawn["market_key"] and found["store"] == drawn["store"]
    assert found["providers"]["vast"] == {"api_key": "its own"}
    assert found["providers"]["tensordock"]["api_key"] == drawn["market_key"]
    assert home.secrets() == found


def test_a_reader_never_sees_half_a_state(home: Home) -> None:
    home.write(STATE)
    writing = threading.Thread(target=lambda: [home.write(STATE) for _ in range(300)])
    writing.start()
    while writing.is_alive():
        assert home.read() == STATE
    writing.join()


def test_only_one_may_hold_the_lock(home: Home) -> None:
    held = home.lock()
    with pytest.raises(AlreadyRunning, match="holdfast down"):
        home.lock()
    os.close(held)
    os.close(home.lock())


def test_a_record_knows_its_process_from_a_later_one_with_the_same_pid() -> None:
    me = ProcessRecord.of(os.getpid())
    assert me.lives()
    assert not ProcessRecord(pid=os.getpid(), started="1").lives()


def test_nothing_runs_in_a_stopped_state() -> None:
    stopped = without_processes(STATE, phase=Phase.STOPPED, failure="why")
    assert (stopped.keepers, stopped.processes, stopped.failure) == ((), {}, "why")
    assert stopped.plan == STATE.plan
