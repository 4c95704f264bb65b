"""The SSH server of one simulated machine.

Commands run as ``/bin/sh -c``, each in its own session, in the machine's home folder and with the machine's own
environment. Their pipes carry bytes, never text. Like a real sshd, the server leaves a command alone when its client
goes away: what was started detached goes on.
"""

import os
import signal
import socket
from pathlib import Path

import asyncssh

from holdfast.simcloud.hosts.children import Children, Streams
from holdfast.simcloud.hosts.folder import HostFolder
from holdfast.simcloud.hosts.pipes import Pipes
from holdfast.simcloud.hosts.processes import ask_to_end

_WINDOW = 8 * 1024 * 1024  # bytes in flight per channel; the default halves bulk transfer
_BACKLOG = 16


class SshServer:
    """Serve SSH on connected sockets for one machine."""

    def __init__(self, folder: HostFolder, environment: dict[str, str]) -> None:
        self._folder = folder
        self._children = Children(folder.home, environment)
        self._options = asyncssh.SSHServerConnectionOptions(
            server_factory=lambda: _Door(folder.path / "authorized_keys", login=environment["USER"]),
            server_host_keys=[_host_key(folder.path / "host_key")],
            process_factory=self._run,
            sftp_factory=asyncssh.SFTPServer,  # not chrooted: a path must mean the same in SFTP and in a command
            encoding=None,
            line_editor=False,
            allow_scp=True,
            compression_algs="none",
            window=_WINDOW,
            agent_forwarding=False,
        )

    async def serve(self, sock: socket.socket) -> None:
        """Serve one client; returns when it has logged in or has been turned away."""
        try:
            await asyncssh.run_server(sock, options=self._options)
        except asyncssh.Error:
            sock.close()  # a stranger, or a client that left while knocking

    def start(self, command: str) -> None:
        """Run a command of the machine itself, such as its start script, with its output in a log at home."""
        with (self._folder.home / "onstart.log").open("ab") as log, Path(os.devnull).open("rb") as nothing:
            streams = Streams(stdin=nothing.fileno(), stdout=log.fileno(), stderr=log.fileno())
            self._children.start(command, streams)

    def shut_down(self, script: str | None) -> None:
        """Ask everything that runs to end, as a system that goes down does, and run its last script."""
        ask_to_end(os.getpid())
        if script is not None:
            self.start(script)

    async def _run(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        pipes = Pipes()
        try:
            ended = self._children.start(process.command, pipes.far)
        except OSError as failure:  # for one, the home folder was removed by its renter
            pipes.close()
            process.stderr.write(f"{failure}\n".encode())
            process.exit(255)
            return
        await pipes.converse(process)
        _report_end(process, await ended)


def _report_end(process: "asyncssh.SSHServerProcess[bytes]", code: int) -> None:
    if process.is_closing():
        return
    if code < 0:
        process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
    else:
        process.exit(code)


class _Door(asyncssh.SSHServer):
    """Let the machine's one login in with one of its keys; nobody else, and by no other means."""

    def __init__(self, keys: Path, *, login: str) -> None:
        self._keys = keys
        self._login = login

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        known = self._keys.read_text() if username == self._login else ""
        self._connection.set_authorized_keys(asyncssh.import_authorized_keys(known))
        return True

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return dest_host in ("localhost", "127.0.0.1")


def _host_key(path: Path) -> asyncssh.SSHKey:
    if not path.exists():
        fresh = path.with_name(".host_key")
        fresh.touch(mode=0o600)
        fresh.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
        fresh.replace(path)
    return asyncssh.read_private_key(path)


def listen(address: str, port: int) -> socket.socket:
    """A loopback listener; port 0 takes a free one. Raises OSError when the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener
