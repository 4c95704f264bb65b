"""Processes that are started, adopted and ended."""

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

from holdfast.workers.stack.processes import Process
from holdfast.workers.stack.state import ProcessRecord
from tests.unit.stack.conftest import eventually

SLEEPS = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
)
SOON, PATIENT = timedelta(milliseconds=100), timedelta(seconds=30)


def start(command: tuple[str, ...], folder: Path) -> Process:
    return Process.spawn(command, env=os.environ, log=folder / "a.log")


async def test_tells_how_its_own_process_ended(tmp_path: Path) -> None:
    process = start((sys.executable, "-c", "raise SystemExit(3)"), tmp_path)
    assert await process.gone() == 3


async def test_asks_before_it_kills(tmp_path: Path) -> None:
    process = start(SLEEPS, tmp_path)
    assert await process.stop(grace=PATIENT)
    assert await process.gone() == -signal.SIGTERM


async def test_kills_what_does_not_listen(tmp_path: Path) -> None:
    process = start(STUBBORN, tmp_path)
    eventually(lambda: "up" in (tmp_path / "a.log").read_text())
    assert not await process.stop(grace=SOON)
    assert await process.gone() == -signal.SIGKILL


async def test_a_signal_to_an_ended_process_reaches_nobody(tmp_path: Path) -> None:
    process = start((sys.executable, "-c", ""), tmp_path)
    await process.gone()
    process.signal(signal.SIGKILL)
    assert await process.stop(grace=SOON)


async def test_adopts_a_living_process_and_notices_its_end(tmp_path: Path) -> None:
    process = start(SLEEPS, tmp_path)
    adopted = Process.adopt(process.record)
    assert adopted is not None
    process.signal(signal.SIGKILL)
    assert await adopted.gone() is None
    assert await process.gone() == -signal.SIGKILL


async def test_does_not_adopt_a_stranger_with_the_same_pid() -> None:
    assert Process.adopt(ProcessRecord(pid=os.getpid(), started="1")) is None


async def test_does_not_adopt_the_dead(tmp_path: Path) -> None:
    process = start((sys.executable, "-c", ""), tmp_path)
    await process.gone()
    assert Process.adopt(process.record) is None


async def test_a_process_leads_a_session_of_its_own(tmp_path: Path) -> None:
    process = start(SLEEPS, tmp_path)
    assert os.getsid(process.record.pid) == process.record.pid
    await process.stop(grace=PATIENT)
