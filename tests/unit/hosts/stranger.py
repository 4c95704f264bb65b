"""An SSH server that lets us in and then says and does whatever a test likes: nothing of ours runs on it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncssh

from holdfast.contracts.machines import Lease, SshAddress

Process = asyncssh.SSHServerProcess[bytes]
Behaviour = Callable[["Stranger"], Awaitable[None]]


class Stranger:
    """What stands at the far end of one conversation."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def say(self, **message: Any) -> None:
        await self.write(json.dumps(message).encode() + b"\n")

    async def write(self, data: bytes) -> None:
        self.process.stdout.write(data)
        await self.process.stdout.drain()

    async def hear(self) -> dict[str, Any]:
        """The next message that is no ping."""
        while True:
            message: dict[str, Any] = json.loads(await self.process.stdin.readline())
            if "ping" not in message:
                return message

    async def answer(self, said: Callable[[str, dict[str, Any]], Any]) -> None:
        """Say `ready`, then give each call the result that `said(method, params)` is, for ever."""
        await self.say(holdfast="ready")
        while True:
            call = await self.hear()
            if "method" in call:
                await self.say(id=call["id"], result=said(call["method"], call["params"]))


@asynccontextmanager
async def stranger(behaviour: Behaviour, key: asyncssh.SSHKey, **options: Any) -> AsyncIterator[SshAddress]:
    """The address of a machine on which every command is `behaviour`."""

    async def serve(process: Process) -> None:
        try:
            await behaviour(Stranger(process))
        except (asyncssh.Error, OSError, ValueError):
            process.close()  # we have hung up on it

    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        authorized_client_keys=asyncssh.import_authorized_keys(key.export_public_key().decode()),
        process_factory=serve,
        encoding=None,
        line_editor=False,
        window=64 * 1024,  # of what we say: a machine that does not listen is soon full
        **options,
    )
    yield SshAddress(host="127.0.0.1", port=server.get_port())
    server.close()


def at(lease: Lease, address: SshAddress) -> Lease:
    return replace(lease, ssh=address)
