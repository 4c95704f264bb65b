"""Work for the CPU is done in other processes, which come and go, and which may die."""

import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast.workers.fitters import Fitters, TookTooLong

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0
FOR_EVER = 3600


@pytest.fixture(autouse=True)
def _found_by_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def where(number: int) -> tuple[int, int]:
    return number, os.getpid()


def moody(word: str) -> str:
    if word == "die":
        os._exit(3)
    if word == "hang":
        time.sleep(FOR_EVER)
    if word == "fail":
        raise ValueError("not today")
    return word.upper()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.02)


async def test_work_is_done_elsewhere_and_in_no_more_processes_than_allowed() -> None:
    fitters = Fitters(where, processes=2)
    done = await asyncio.gather(*(fitters(number) for number in range(12)))
    assert [number for number, _ in done] == list(range(12))
    assert os.getpid() not in {process for _, process in done} and len({process for _, process in done}) <= 2
    await fitters.close()
    assert multiprocessing.active_children() == []


async def test_a_task_that_kills_its_process_spoils_itself_alone() -> None:
    fitters = Fitters(moody, processes=2)
    done: list[Any] = await asyncio.gather(
        *(fitters(each) for each in ("a", "die", "b", "fail", "c")), return_exceptions=True
    )
    assert [each for each in done if isinstance(each, str)] == ["A", "B", "C"]
    assert isinstance(done[1], BrokenProcessPool) and isinstance(done[3], ValueError)
    assert await fitters("again") == "AGAIN"
    await fitters.close()


async def test_a_task_that_does_not_end_is_ended_and_the_next_one_is_done() -> None:
    fitters = Fitters(moody, processes=1)
    assert await fitters("warm") == "WARM"
    fitters.within = timedelta(seconds=0.3)
    with pytest.raises(TookTooLong, match="no answer"):
        await fitters("hang")
    fitters.within = timedelta(seconds=PATIENCE)
    assert await fitters("b") == "B"
    await fitters.close()


async def test_without_work_the_processes_end_and_come_back_with_it() -> None:
    fitters = Fitters(moody, processes=1, rest=timedelta(milliseconds=50))
    assert await fitters("a") == "A"
    await until(lambda: not multiprocessing.active_children())
    assert await fitters("b") == "B"
    await fitters.close()


async def test_to_close_waits_for_no_task() -> None:
    fitters = Fitters(moody, processes=1)
    assert await fitters("warm") == "WARM"
    hanging = asyncio.create_task(fitters("hang"))
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        await fitters.close()
    (ended,) = await asyncio.gather(hanging, return_exceptions=True)
    assert isinstance(ended, BrokenProcessPool | asyncio.CancelledError)
    with pytest.raises(BrokenProcessPool, match="closed"):
        await fitters("late")
    assert multiprocessing.active_children() == [], "and none is opened again"


async def test_a_worker_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from tests.unit.workers.test_fitters import where\n"
        "from holdfast.workers.fitters import Fitters\n"
        "async def main():\n"
        "    print((await Fitters(where, processes=1)(1))[1], flush=True)\n"
        "    await asyncio.sleep(3600)\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    script = tmp_path / "worker.py"
    script.write_text(program)
    worker = await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert worker.stdout
    child = int(await worker.stdout.readline())
    assert _lives(child)
    worker.kill()
    await worker.wait()
    await until(lambda: not _lives(child))


def _lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
