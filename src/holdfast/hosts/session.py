"""A login on a rented machine, and the way from there to its agent."""

import asyncio
import json
import shlex
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncssh

from holdfast.contracts.hearsay import words
from holdfast.contracts.machines import SshAddress
from holdfast.hosts import ssh
from holdfast.hosts.agent_bundle import agent_bundle, bootstrap_source
from holdfast.hosts.errors import HostRefused, HostUnreachable, NoAgent

_WINDOW = 8 * 1024 * 1024  # bytes in flight per channel: a scan's answer is megabytes
_NOISE = 200  # lines that a login's start-up files may print before the agent speaks
_NO_REASON = "it gives no reason"
_NOISE_BYTES = 256 * 1024  # of them together
_PYTHONS = "python3 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 python"
# Images keep Python outside a login's PATH; the first one that is new enough is taken.
_FIND_PYTHON = """
PATH="$PATH:/usr/local/bin:/opt/conda/bin:/venv/main/bin"
for python in {pythons}; do
  "$python" -S -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null || continue
  exec "$python" -S -c {program} {arguments}
done
echo '{{"holdfast": "refused", "reason": "no Python 3.8 or newer on this machine"}}'
"""

SshProcess = asyncssh.SSHClientProcess[bytes]


@dataclass(frozen=True)
class HostSession:
    """One SSH connection. `host_key` is to be pinned at first contact."""

    connection: asyncssh.SSHClientConnection
    host_key: str

    async def reach_agent(self, label: str, *, start: bool, within: timedelta) -> SshProcess:
        """A process that carries JSON lines to and from the agent of `label`.

        With `start`, whatever is missing is put there first: the agent's file, its home, its daemon.

        Raises:
            NoAgent: `start` is False and no agent of this label runs.
            HostRefused: the machine cannot run the agent.
            HostUnreachable: it fell silent on the way.
        """
        try:
            async with asyncio.timeout(within.total_seconds()):
                process: SshProcess = await self.connection.create_process(
                    _bootstrap(label, start=start), encoding=None, window=_WINDOW, stderr=asyncssh.DEVNULL
                )
                try:
                    await _until_ready(process)
                except BaseException:
                    process.close()  # the connection stays, and must not gather what nobody uses
                    raise
        except TimeoutError as late:
            raise HostUnreachable(f"no agent answered within {within.total_seconds():.0f} s") from late
        except (OSError, asyncssh.Error) as error:
            raise HostUnreachable(f"the connection broke before the agent answered: {error}") from error
        return process

    async def close(self) -> None:
        """Hang up; what runs on the machine goes on. Idempotent."""
        self.connection.close()
        await self.connection.wait_closed()


async def open_session(
    address: SshAddress, *, private_key: asyncssh.SSHKey, host_key: str | None, connect_timeout: timedelta
) -> HostSession:
    """Log in; `host_key` None means first contact. Raises as `ssh.connect` does."""
    connection = await ssh.connect(address, private_key=private_key, host_key=host_key, connect_timeout=connect_timeout)
    return HostSession(connection, ssh.host_key_of(connection))


def _bootstrap(label: str, *, start: bool) -> str:
    bundle = agent_bundle()
    arguments = [bundle.name, bundle.digest, str(len(bundle.data)), label, "start" if start else "find"]
    return _FIND_PYTHON.format(
        pythons=_PYTHONS, program=shlex.quote(bootstrap_source()), arguments=shlex.join(arguments)
    )


async def _until_ready(process: SshProcess) -> None:
    heard = 0
    for _ in range(_NOISE):
        line = await process.stdout.readline()
        heard += len(line)
        if not line or heard > _NOISE_BYTES:
            break
        word = _parse(line)
        match word.get("holdfast"):
            case "ready":
                return
            case "need":
                process.stdin.write(agent_bundle().data)
            case "no_agent":
                raise NoAgent(words(word.get("reason", _NO_REASON)))
            case "refused":
                raise HostRefused(words(word.get("reason", _NO_REASON)))
    raise HostRefused("the machine ended the conversation, or said much else, before its agent spoke")


def _parse(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
