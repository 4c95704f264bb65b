"""The market's side of the nursery: ask for a host, learn its port, keep a nursery alive."""

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

from holdfast.simcloud.hosts.folder import HostFolder, Running
from holdfast.simcloud.hosts.processes import ProcessRef

_PACKET = 64 * 1024
_PATIENCE = 15.0  # seconds for a newborn to answer on a busy computer


class StillBirth(Exception):
    """A host did not come up. Remedy: try again; its host.log says why."""


class Midwife:
    """Start hosts through a nursery process, which is replaced when it has died."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self._waiting: dict[str, asyncio.Future[Running | None]] = {}
        self._starting = asyncio.Lock()

    async def open(self) -> None:
        """Start the nursery, so that the first host need not wait for it. Idempotent."""
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                await self._start_nursery()

    async def close(self) -> None:
        """End the nursery. Hosts stay."""
        if self._process is not None:
            self._hang_up()
            await self._process.wait()

    async def deliver(self, folder: HostFolder) -> Running:
        """Start the host of this folder, or find the one that runs already; return when it accepts SSH.

        Raises StillBirth when no host answers in time.
        """
        if running := folder.running():
            return running
        await self.open()
        answer = self._waiting[str(folder.path)] = asyncio.get_running_loop().create_future()
        try:
            await self._ask(folder)
            running = await asyncio.wait_for(answer, _PATIENCE) or folder.running()
        except TimeoutError:
            running = folder.running()
        finally:
            self._waiting.pop(str(folder.path), None)
        if running is None:
            raise StillBirth(str(folder.path))
        return running

    async def _ask(self, folder: HostFolder) -> None:
        try:
            self._send(folder)
        except OSError:  # the nursery died without our seeing it yet
            assert self._process is not None
            self._hang_up()
            await self._process.wait()
            await self.open()
            self._send(folder)

    def _send(self, folder: HostFolder) -> None:
        assert self._socket is not None
        self._socket.send(str(folder.path).encode())

    async def _start_nursery(self) -> None:
        if self._socket is not None:
            self._hang_up()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "holdfast.simcloud.hosts.nursery",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
        self._socket = ours
        asyncio.get_running_loop().add_reader(ours, self._hear)

    def _hear(self) -> None:
        assert self._socket is not None
        packet = self._socket.recv(_PACKET)
        if not packet:  # the nursery and all newborns closed their ends
            self._hang_up()
            return
        message = json.loads(packet)
        waiting = self._waiting.get(message["folder"])
        if waiting is not None and not waiting.done():
            waiting.set_result(_running(message["running"]))

    def _hang_up(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None


def _running(found: dict[str, dict[str, int] | int] | None) -> Running | None:
    if found is None:
        return None
    process, port = found["process"], found["port"]
    assert isinstance(process, dict)
    assert isinstance(port, int)
    return Running(process=ProcessRef(**process), port=port)


def _environment() -> dict[str, str]:
    """The nursery needs to find this package and nothing else of the market's environment."""
    source = str(Path(__file__).resolve().parents[3])
    return {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": source}
