"""A rented machine on this computer: a real SSH server whose commands run in a home folder of their own."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import asyncssh

from holdfast.contracts.machines import SshAddress
from holdfast.hosts.agent.processes import identify

PATIENCE = 20.0  # seconds until a condition that should come true within moments counts as a failure


async def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait for a condition without ever waiting longer than needed."""
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        await asyncio.sleep(0.02)


class Machine:
    """Commands run as `/bin/sh -c` in `home`; whatever they leave running is found by a mark in its environment."""

    def __init__(self, home: Path, client_key: asyncssh.SSHKey) -> None:
        self.home = home
        self.commands: list[str] = []
        self.received = 0  # bytes that came in over all commands' stdin
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.path = os.environ["PATH"]
        self.variables: dict[str, str] = {}  # the machine's own environment
        self.greeting = ""  # shell commands that run before each command
        self.client_key = client_key
        self._server: asyncssh.SSHAcceptor | None = None

    async def boot(self, port: int = 0) -> SshAddress:
        trusted = asyncssh.import_authorized_keys(self.client_key.export_public_key().decode())
        self._server = await asyncssh.listen(
            "127.0.0.1",
            port,
            server_host_keys=[self.host_key],
            authorized_client_keys=trusted,
            process_factory=self._run,
            encoding=None,
            line_editor=False,
        )
        return SshAddress(host="127.0.0.1", port=self._server.get_port(), user="root")

    async def halt(self) -> None:
        """Stop answering; processes stay."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def kill_everything(self) -> None:
        for _ in range(3):
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def processes(self) -> list[int]:
        """Every living process that grew from a command of this machine."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    marked = self._mark.encode() in (entry / "environ").read_bytes().split(b"\0")
                    if marked and identify(int(entry.name)):
                        found.append(int(entry.name))
        return found

    def command_lines(self) -> str:
        lines = []
        for pid in self.processes():
            with suppress(OSError):
                lines.append(Path(f"/proc/{pid}/cmdline").read_bytes().decode())
        return "\n".join(lines)

    @property
    def _mark(self) -> str:
        return f"TEST_MACHINE={self.home}"

    async def _run(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        assert process.command is not None
        self.commands.append(process.command)
        child = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            self.greeting + process.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=self.home,
            env={"HOME": str(self.home), "PATH": self.path, "TEST_MACHINE": str(self.home), **self.variables},
            start_new_session=True,
        )
        inward = asyncio.create_task(self._carry_in(process, child))
        assert child.stdout is not None
        with suppress(asyncssh.Error, OSError):
            while data := await child.stdout.read(65_536):
                process.stdout.write(data)
                await process.stdout.drain()
        inward.cancel()
        process.exit(await child.wait())

    async def _carry_in(self, process: "asyncssh.SSHServerProcess[bytes]", child: asyncio.subprocess.Process) -> None:
        assert child.stdin is not None
        with suppress(asyncssh.Error, OSError):
            while data := await process.stdin.read(65_536):
                self.received += len(data)
                child.stdin.write(data)
                await child.stdin.drain()
        child.stdin.close()
