"""The life of one host process, from the fork to the kill.

It leads its own session and is a child subreaper, so it survives the market and keeps its users' daemons findable. It
holds ``host.lock`` for as long as it lives: two markets, or one that was killed in the middle of a boot, can never
start the same machine twice.
"""

import asyncio
import ctypes
import fcntl
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from holdfast.simcloud.hosts.folder import HostFolder, HostSpec, Running
from holdfast.simcloud.hosts.link import Cable
from holdfast.simcloud.hosts.metadata import MetadataServer
from holdfast.simcloud.hosts.processes import end_tree, process_ref
from holdfast.simcloud.hosts.sshd import SshServer, listen

_PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 15, 36
_GLANCE = 2.0  # seconds between two looks at the market

Announce = Callable[[Running], None]


class AlreadyRunning(Exception):
    """Another process is the host of this folder. Remedy: adopt that one."""


def become_host(spec: HostSpec, announce: Announce) -> None:
    """Turn this fresh child process into the host. Returns only when the host has been orphaned for too long.

    Raises AlreadyRunning when the folder has a live host.
    """
    folder = HostFolder(Path(spec.folder))
    _detach(folder)
    lock = _hold(folder.path / "host.lock")
    try:
        asyncio.run(_serve(folder, spec, announce))
    finally:
        os.close(lock)


def _detach(folder: HostFolder) -> None:
    os.setsid()
    kernel = ctypes.CDLL(None, use_errno=True)
    kernel.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    kernel.prctl(_PR_SET_NAME, b"sim-host", 0, 0, 0)
    os.chdir(folder.home)
    os.umask(0o022)
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(folder.path / "host.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(nothing)
    os.close(log)


def _hold(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as busy:
        os.close(lock)
        raise AlreadyRunning(str(path.parent)) from busy
    return lock


async def _serve(folder: HostFolder, spec: HostSpec, announce: Announce) -> None:
    listener = listen(spec.address, spec.port)
    cable, facts = Cable(folder.link()), folder.facts()
    metadata = None if facts is None else await MetadataServer(facts).open()
    server = SshServer(folder, spec.environment | ({} if metadata is None else metadata.variables))

    def look_again() -> None:
        cable.set(folder.link())
        if metadata is not None and (news := folder.facts()) is not None and metadata.set(news):
            server.shut_down(metadata.shutdown_script)

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, look_again)
    accepting = asyncio.create_task(cable.accept(listener, server.serve))
    _report(folder, listener.getsockname()[1], announce)
    if spec.onstart:
        server.start(spec.onstart)
    orphaned = asyncio.create_task(_watch_market(Path(spec.market_pid_file), spec.orphan_after))
    await asyncio.wait([accepting, orphaned], return_when=asyncio.FIRST_COMPLETED)
    end_tree(None, folder.mark)


def _report(folder: HostFolder, port: int, announce: Announce) -> None:
    me = process_ref(os.getpid())
    assert me is not None
    running = Running(process=me, port=port)
    folder.write_running(running)
    announce(running)


async def _watch_market(pid_file: Path, orphan_after: float | None) -> None:
    seen = time.monotonic()
    while orphan_after is None or time.monotonic() - seen < orphan_after:
        await asyncio.sleep(_GLANCE)
        if _market_lives(pid_file):
            seen = time.monotonic()


def _market_lives(pid_file: Path) -> bool:
    try:
        return process_ref(int(pid_file.read_text())) is not None
    except FileNotFoundError:
        return False
