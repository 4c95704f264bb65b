"""Keep every process of the stack alive, until told to stop.

1. Take over the processes of an earlier supervisor that still live; start the rest, all at once.
2. Start again whatever dies, at once the first time and more slowly if it keeps dying.
3. See that somebody watches us: when our guardian dies, start another.
4. On SIGTERM stop everything, workers first and servers last; on SIGINT do it without grace.

Holds throughout: `stack.json` names every process, so that a supervisor may be killed at any instant and its
successor, or `holdfast down`, finds them all.
"""

import argparse
import asyncio
import os
import signal
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from holdfast.workers.stack import logs
from holdfast.workers.stack.keeper import STOP_SIGNALS
from holdfast.workers.stack.plan import Plan
from holdfast.workers.stack.processes import Process
from holdfast.workers.stack.reports import Kind, Reporter
from holdfast.workers.stack.services import Service, services
from holdfast.workers.stack.state import Home, Phase, ProcessRecord, StackState, without_processes

FIRST_READY_WITHIN = timedelta(seconds=90)
DEATHS_BEFORE_GIVING_UP = 4  # before the stack was ready for the first time; afterwards it never gives up
STEADY_AFTER = timedelta(seconds=30)  # a process that lived this long is started again without delay
PROBE_EVERY = timedelta(milliseconds=50)
_PAUSES = tuple(timedelta(seconds=seconds) for seconds in (0, 0.5, 1, 2, 5))


class Supervisor:
    """One supervisor's life, in one event loop."""

    def __init__(self, home: Home, state: StackState, *, lock_fd: int, reporter: Reporter) -> None:
        self._home = home
        self._state = state
        self._lock_fd = lock_fd
        self._reporter = reporter
        self._services = services(Plan.from_json(state.plan), home)
        self._was_ready = {service.name: asyncio.Event() for service in self._services}
        self._running: dict[str, Process] = {}
        self._guardian: Process | None = None
        self._announced = asyncio.Event()
        self._stop = asyncio.Event()
        self._failure: str | None = None
        self._hard = False

    async def run(self, guardian: ProcessRecord | None) -> int:
        """Supervise until stopped. 0 after a stop that was asked for, 1 if the stack did not come up."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop_on, signal.SIGTERM)
        loop.add_signal_handler(signal.SIGINT, self._stop_hard)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        self._remember(keepers=(ProcessRecord.of(os.getpid()),), ready=())
        adopted = self._adopt()
        if self._state.phase is Phase.STOPPING:
            self._stop.set()
        async with asyncio.TaskGroup() as tasks:
            keeping = [tasks.create_task(self._keep(each, adopted.get(each.name))) for each in self._services]
            keeping.append(tasks.create_task(self._announce_ready()))
            keeping.append(tasks.create_task(self._keep_guardian(guardian)))
            await self._stop.wait()
            for task in keeping:
                task.cancel()
        await self._stop_everything()
        return 1 if self._failure else 0

    def _adopt(self) -> dict[str, Process]:
        """Take over what lives. What this plan no longer has (there were more workers before) is let go."""
        adopted = {}
        for name, record in self._state.processes.items():
            process = Process.adopt(record)
            if process and name in self._was_ready:
                adopted[name] = self._running[name] = process
            elif process:
                process.signal(signal.SIGTERM)
        if adopted:
            self._note(f"took over {', '.join(adopted)}")
        return adopted

    # Keeping one service alive

    async def _keep(self, service: Service, process: Process | None) -> None:
        deaths = 0
        while True:
            process = process or self._spawn(service)
            started = asyncio.get_running_loop().time()
            status = await self._watch(service, process)
            lived = timedelta(seconds=asyncio.get_running_loop().time() - started)
            deaths = 1 if lived > STEADY_AFTER else deaths + 1
            if not await self._mourn(service, status, deaths):
                return
            process = None

    async def _watch(self, service: Service, process: Process) -> int | None:
        """Wait for the end of a process, marking its service ready meanwhile."""
        async with asyncio.TaskGroup() as tasks:
            probing = tasks.create_task(self._probe(service, process))
            status = await process.gone()
            probing.cancel()
        return status

    async def _probe(self, service: Service, process: Process) -> None:
        while not await asyncio.to_thread(service.ready):  # noqa: ASYNC110 (another process sets no event of ours)
            await asyncio.sleep(PROBE_EVERY.total_seconds())
        if process.record.restarts and self._was_ready[service.name].is_set():
            self._note(f"{service.name} is back (pid {process.record.pid})")
        self._was_ready[service.name].set()
        self._remember(ready=tuple(name for name, ready in self._was_ready.items() if ready.is_set()))

    async def _mourn(self, service: Service, status: int | None, deaths: int) -> bool:
        """Wait as long as befits the number of deaths. False if there is no hope."""
        how = _how_it_ended(status)
        never_ready = not self._was_ready[service.name].is_set() and self._state.phase is Phase.STARTING
        if never_ready and deaths >= DEATHS_BEFORE_GIVING_UP:
            self._give_up(f"{service.name} {how} before it was ready, {deaths} times", service)
            return False
        pause = _PAUSES[min(deaths, len(_PAUSES)) - 1]
        self._note(f"{service.name} {how}; starting it again" + (f" in {pause.total_seconds():g} s" if pause else ""))
        await asyncio.sleep(pause.total_seconds())
        return True

    def _spawn(self, service: Service) -> Process:
        before = self._state.processes.get(service.name)
        process = Process.spawn(
            service.command,
            env=service.env,
            log=self._home.path / "logs" / f"{service.name}.log",
            restarts=before.restarts + 1 if before else 0,
        )
        self._running[service.name] = process
        self._remember(processes={**self._state.processes, service.name: process.record})
        return process

    # Ready, or not

    async def _announce_ready(self) -> None:
        within = FIRST_READY_WITHIN.total_seconds() if self._state.phase is Phase.STARTING else None
        try:
            async with asyncio.timeout(within):
                for ready in self._was_ready.values():
                    await ready.wait()
        except TimeoutError:
            late = next(each for each in self._services if not self._was_ready[each.name].is_set())
            self._give_up(f"{late.name} was not ready after {within:g} s", late)
            return
        self._remember(phase=Phase.READY)
        self._reporter.send(Kind.READY, "ready")
        self._announced.set()

    def _give_up(self, what: str, service: Service) -> None:
        log = self._home.path / "logs" / f"{service.name}.log"
        self._failure = f"{what}. The end of {log}:\n{logs.tail(log)}"
        self._stop.set()

    # Our own guardian

    async def _keep_guardian(self, record: ProcessRecord | None) -> None:
        """`record` is the launcher in the foreground; a detached one watches us only until we are ready."""
        self._guardian = Process.adopt(record) if record else None
        if record is None:
            await self._announced.wait()
        while True:
            if self._guardian is None:
                self._guardian = self._spawn_guardian()
            self._remember(keepers=(ProcessRecord.of(os.getpid()), self._guardian.record))
            await self._guardian.gone()
            self._guardian = None

    def _spawn_guardian(self) -> Process:
        read_end, write_end = os.pipe()
        try:
            guardian = Process.spawn(
                [sys.executable, "-m", "holdfast.workers.stack.keeper", str(self._home.path), str(self._lock_fd)],
                env=os.environ,
                log=self._home.path / "logs" / "guardian.log",
                stdin=read_end,
                pass_fds=[self._lock_fd],
            )
        finally:
            os.close(read_end)
        self._reporter.add(write_end)
        return guardian

    # Stopping

    def _stop_on(self, which: signal.Signals) -> None:
        self._note(f"told to stop by {which.name}")
        self._stop.set()

    def _stop_hard(self) -> None:
        self._hard = True
        self._stop_on(signal.SIGINT)
        for process in self._running.values():
            process.signal(signal.SIGKILL)

    async def _stop_everything(self) -> None:
        """Workers first, so that they can still tell the server what they leave; then the servers, together."""
        self._remember(phase=Phase.STOPPING, failure=self._failure)
        self._note("stopping")
        await asyncio.gather(*(self._stop_one(each) for each in self._services if each.is_worker))
        await asyncio.gather(*(self._stop_one(each) for each in self._services if not each.is_worker))
        self._state = without_processes(self._state, phase=Phase.STOPPED, failure=self._failure)
        self._home.write(self._state)
        if self._failure:
            self._reporter.send(Kind.FAILED, self._failure)

    async def _stop_one(self, service: Service) -> None:
        process = self._running.pop(service.name, None)
        if process and not await process.stop(grace=timedelta(0) if self._hard else service.grace) and not self._hard:
            self._note(f"{service.name} did not end by itself and was killed")
        await asyncio.to_thread(service.tidy)

    # Memory

    def _remember(self, **changes: Any) -> None:
        self._state = replace(self._state, **changes)
        self._home.write(self._state)

    def _note(self, text: str) -> None:
        logs.say(text)
        self._reporter.send(Kind.NOTE, text)


def _how_it_ended(status: int | None) -> str:
    if status is None:
        return "ended"
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"


def supervise(home: Home, *, lock_fd: int, report_fd: int | None, guardian: ProcessRecord | None) -> int:
    """Run a supervisor on a stack whose plan is already in `stack.json`."""
    reporter = Reporter()
    if report_fd is not None:
        reporter.add(report_fd)
    state = home.read()
    assert state is not None, "the launcher writes the plan before it starts a supervisor"

    async def live() -> int:
        return await Supervisor(home, state, lock_fd=lock_fd, reporter=reporter).run(guardian)

    return asyncio.run(live())


def main(argv: list[str] | None = None) -> int:
    """The supervisor as a process of its own; started by the launcher or a guardian only."""
    parser = argparse.ArgumentParser(prog="holdfast-stack-supervisor")
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--lock-fd", type=int, required=True)
    parser.add_argument("--report-fd", type=int, required=True)
    parser.add_argument("--guardian", type=int, help="pid of the process that watches us, if there is one already")
    given = parser.parse_args(argv)
    guardian = ProcessRecord.of(given.guardian) if given.guardian else None
    return supervise(Home(given.data_dir), lock_fd=given.lock_fd, report_fd=given.report_fd, guardian=guardian)


if __name__ == "__main__":
    sys.exit(main())
