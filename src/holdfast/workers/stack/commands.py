"""`holdfast up`, `down` and the stack's part of `status`, as functions."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from holdfast.settings import load_settings
from holdfast.workers.stack.errors import AlreadyRunning, NotReady, StackError
from holdfast.workers.stack.keeper import Keeper
from holdfast.workers.stack.plan import Plan, UpOptions, make_plan
from holdfast.workers.stack.reports import Kind, Report
from holdfast.workers.stack.state import Home, Phase, ProcessRecord, StackState

STOP_WITHIN = timedelta(seconds=90)


@dataclass(frozen=True, kw_only=True)
class ProcessStatus:
    """One process of the stack."""

    name: str
    pid: int
    lives: bool
    restarts: int


@dataclass(frozen=True, kw_only=True)
class StackStatus:
    """What is known of the stack in one data directory."""

    data_dir: Path
    phase: Phase | None
    """None where no stack ever ran."""
    kept: bool
    """Somebody sees that the processes stay alive."""
    processes: tuple[ProcessStatus, ...]
    addresses: Mapping[str, str]
    failure: str | None


def up(options: UpOptions, say: Callable[[str], None]) -> int:
    """Start the stack, print where things are when it is ready, and stay until it is stopped.

    With `detach` returns as soon as everything is ready. A stack that ran here before carries on, with the
    processes that still live. Returns 0; raises `StackError` if it cannot start, with nothing left running, and
    `KeyboardInterrupt` after a signal that came before it was ready.
    """
    home = Home(options.data_dir)
    home.create()
    lock_fd = home.lock()
    try:
        home.write(_first_state(options, home))
        return _launch(options, home, lock_fd, say)
    finally:
        os.close(lock_fd)


def _first_state(options: UpOptions, home: Home) -> StackState:
    before = home.read()
    alive = {name: record for name, record in before.processes.items() if record.lives()} if before else {}
    remembered = before.plan["ports"] if before else {}
    plan = make_plan(options, load_settings(data_dir=home.path), remembered=remembered, alive=alive)
    home.secrets()
    return StackState(
        phase=Phase.STARTING,
        plan=plan.to_json(),
        settings=plan.offered_settings(),
        servers=plan.servers(),
        keepers=(ProcessRecord.of(os.getpid()),),
        processes=alive,
    )


def _launch(options: UpOptions, home: Home, lock_fd: int, say: Callable[[str], None]) -> int:
    told: dict[Kind, str] = {}

    def tell(report: Report) -> None:
        if report.kind is Kind.NOTE:
            say(report.text)
        elif report.kind is Kind.READY and Kind.READY not in told:  # a later supervisor is ready once more
            say(ready_table(home, foreground=not options.detach))
        told[report.kind] = report.text

    keeper = Keeper(home, lock_fd=lock_fd, say=tell)
    with keeper.stops_on_signals():
        keeper.keep(detach=options.detach)
    if Kind.FAILED in told:
        raise NotReady(told[Kind.FAILED], remedy="correct that and run `holdfast up` again; the data is kept")
    if Kind.READY not in told or not options.detach:
        say("stopped; the data is kept")
    if Kind.READY not in told:
        if keeper.asked_to_stop:
            raise KeyboardInterrupt
        raise NotReady("the stack was stopped before it was ready", remedy="run `holdfast up` again")
    return 0


def ready_table(home: Home, *, foreground: bool) -> str:
    """Where things are, for people."""
    state = home.read()
    assert state is not None
    rows = {**Plan.from_json(state.plan).addresses(), "Data": str(home.path), "Logs": str(home.path / "logs")}
    width = max(len(name) for name in rows)
    ending = "Ctrl-C stops everything" if foreground else "`holdfast down` stops everything"
    return "\n".join(
        [f"{name:<{width}}  {where}" for name, where in rows.items()] + [f"Ready. {ending}; the data stays."]
    )


def down(data_dir: Path, say: Callable[[str], None]) -> int:
    """Stop the stack in this data directory and keep its data. Waits until no process of it is left; repeatable.

    Returns 0, also if nothing ran. Raises `StackError` if something survived.
    """
    home = Home(data_dir)
    state = home.read()
    if state is None or not _any_lives(state):
        say(f"no stack runs in {home.path}")
        return 0
    deadline = time.monotonic() + STOP_WITHIN.total_seconds()
    while time.monotonic() < deadline:
        if _stopped(home):
            say("stopped; the data is kept")
            return 0
        _stop_somehow(home, say)
        time.sleep(0.1)
    raise StackError(
        f"the stack in {home.path} did not stop", remedy="see its logs folder; `holdfast down` may be repeated"
    )


def _stop_somehow(home: Home, say: Callable[[str], None]) -> None:
    """Ask the keepers if one of them lives, else do it ourselves."""
    state = home.read()
    if state is None:
        return
    if any(record.lives() for record in state.keepers):
        _ask_to_stop(state)
        return
    with contextlib.suppress(AlreadyRunning):  # a keeper too young to be on record holds the lock: ask it next time
        _stop_abandoned(home, state, say)


def _ask_to_stop(state: StackState) -> None:
    """Signal the supervisor, which is the first of the keepers; a missing one is about to be replaced by the other."""
    if state.phase in (Phase.STOPPING, Phase.STOPPED):
        return
    if state.keepers and state.keepers[0].lives():
        os.kill(state.keepers[0].pid, signal.SIGTERM)


def _stop_abandoned(home: Home, state: StackState, say: Callable[[str], None]) -> None:
    """Both keepers were killed and servers live on: a supervisor is started for the stopping alone."""
    lock_fd = home.lock()
    try:
        home.write(replace(state, phase=Phase.STOPPING))
        keeper = Keeper(home, lock_fd=lock_fd, say=lambda report: say(report.text))
        keeper.keep()
    finally:
        os.close(lock_fd)


def _stopped(home: Home) -> bool:
    state = home.read()
    if state is not None and _any_lives(state):
        return False
    try:
        os.close(home.lock())
    except AlreadyRunning:  # the supervisor or its guardian is about to end
        return False
    return True


def _any_lives(state: StackState) -> bool:
    return any(record.lives() for record in (*state.keepers, *state.processes.values()))


def status(data_dir: Path) -> StackStatus:
    """What `stack.json` says, checked against the processes that really live."""
    home = Home(data_dir)
    state = home.read()
    if state is None:
        return StackStatus(data_dir=home.path, phase=None, kept=False, processes=(), addresses={}, failure=None)
    return StackStatus(
        data_dir=home.path,
        phase=state.phase,
        kept=any(record.lives() for record in state.keepers),
        processes=tuple(
            ProcessStatus(name=name, pid=record.pid, lives=record.lives(), restarts=record.restarts)
            for name, record in state.processes.items()
        ),
        addresses=Plan.from_json(state.plan).addresses(),
        failure=state.failure,
    )
