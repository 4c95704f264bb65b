"""A conversation with the agent on a rented machine, over SSH.

One task reads the agent's JSON lines and hands each to the exchange it belongs to. When it ends, for any reason,
everybody who still waits is told ChannelLost.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import asyncssh

from holdfast.contracts.channel import Answer, ChannelLost, Json
from holdfast.contracts.hearsay import whole
from holdfast.contracts.machines import Probe
from holdfast.hosts.exchange import BeatStream, Exchange
from holdfast.hosts.heartbeat import Heartbeat, parse_heartbeat, parse_probe
from holdfast.hosts.lines import JsonLines
from holdfast.hosts.session import SshProcess

_PING_EVERY = 10.0  # seconds; the agent gives a connection up that says nothing for six times as long
_UNREAD = 32 * 1024 * 1024  # bytes that we keep for an agent that does not read
_UNREAD_BY_NOBODY = 1024 * 1024  # of them, until questions that no call waits for are one too many


class AgentChannel:
    """Implements `contracts.channel.Channel` over a process that `HostSession.reach_agent` opened."""

    def __init__(self, process: SshProcess) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._exchanges: dict[int, Exchange | BeatStream] = {}
        self._lost: str | None = None
        self._tasks = {asyncio.create_task(self._read()), asyncio.create_task(self._ping())}

    @property
    def closed(self) -> bool:
        """True once the conversation has ended; every further call raises ChannelLost."""
        return self._lost is not None

    async def greet(self, epoch: int) -> dict[str, Any]:
        """Say on behalf of which epoch all further calls are made. The first call of every conversation.

        Raises:
            AgentError: kind `fenced`: a newer epoch was here.
        """
        return await self.call("hello", {"epoch": epoch})

    async def call(
        self, method: str, params: Json, *, answer: Answer | None = None, timeout: timedelta | None = None
    ) -> dict[str, Any]:
        """See `Channel.call`. A call that was given up also ends on the agent, at its next note or question."""
        number, exchange = next(self._numbers), Exchange(answer)
        self._exchanges[number] = exchange
        try:
            async with _patience(timeout):
                await self._send({"id": number, "method": method, "params": params})
            return await exchange.outcome(self._send, timeout)
        except (asyncio.CancelledError, ChannelLost):
            self._tell({"cancel": number})
            raise
        finally:
            del self._exchanges[number]

    async def probe(self) -> Probe:
        """What the machine is, seen from the inside; parts and sizes as far as they make sense."""
        return parse_probe(await self.call("probe", {}))

    async def heartbeat(self, *, within: timedelta | None = None) -> Heartbeat:
        """One heartbeat, now."""
        return parse_heartbeat(await self.call("heartbeat", {}, timeout=within))

    async def heartbeats(self, interval: timedelta = timedelta(seconds=1)) -> AsyncIterator[Heartbeat]:
        """Heartbeats from now on, about one per `interval`, until the conversation is lost.

        Raises:
            ChannelLost: at the end; this iterator never ends well.
            AgentError: the agent does not want to beat for us (kind `fenced`, say), or beats nonsense.
        """
        number, beats = next(self._numbers), BeatStream()
        self._exchanges[number] = beats
        try:
            await self._send({"id": number, "method": "subscribe", "params": {"interval_s": interval.total_seconds()}})
            while True:
                yield parse_heartbeat(await beats.newest())
        finally:
            del self._exchanges[number]
            self._tell({"cancel": number})

    async def close(self) -> None:
        """End the conversation. The agent and its work go on. Idempotent."""
        self._end("closed by us")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._process.close()
        with suppress(asyncssh.Error, OSError):
            await self._process.wait_closed()

    async def _read(self) -> None:
        reason = "the agent hung up"
        try:
            async for message in JsonLines(self._process.stdout):
                self._take(message)
        except (OSError, asyncssh.Error, ValueError) as error:
            reason = f"the conversation broke: {error or type(error).__name__}"
        finally:
            self._end(reason)

    def _take(self, message: dict[str, Any]) -> None:
        _check(message)
        exchange = self._exchanges.get(message["id"])
        if exchange is not None:
            exchange.take(message)
        elif "ask" in message:
            if self._process.channel.get_write_buffer_size() > _UNREAD_BY_NOBODY:
                raise ValueError("questions without end that belong to no call")
            self._tell({"answer": message["ask"], "error": {"kind": "cancelled", "message": "nobody waits any more"}})

    def _end(self, reason: str) -> None:
        if self._lost is None:
            self._lost = reason
            for exchange in self._exchanges.values():
                exchange.fail(reason)

    async def _ping(self) -> None:
        while not self.closed:
            self._tell({"ping": 1})
            await asyncio.sleep(_PING_EVERY)

    async def _send(self, message: Json) -> None:
        """Write a message and wait until the connection has room for the next one."""
        if self._lost is not None:
            raise ChannelLost(self._lost)
        try:
            self._write(message)
            await self._process.stdin.drain()
        except (OSError, asyncssh.Error) as error:
            raise ChannelLost(f"the conversation broke: {error}") from error

    def _tell(self, message: Json) -> None:
        """Write a message that nobody needs to wait for; to a lost agent it is not needed at all."""
        with suppress(OSError, asyncssh.Error):
            if self._lost is None:
                self._write(message)

    def _write(self, message: Json) -> None:
        if self._process.channel.get_write_buffer_size() > _UNREAD:
            self._end("the agent does not read what it asks for")
            raise ConnectionError(self._lost)
        self._process.stdin.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")


def _check(message: dict[str, Any]) -> None:
    """Whether a message has the shape that all may rely upon. Raises ValueError."""
    whole(message.get("id"))
    if "ask" in message:
        whole(message["ask"])
        if not (isinstance(message.get("method"), str) and isinstance(message.get("params"), dict)):
            raise ValueError("a question has a method and parameters")


@asynccontextmanager
async def _patience(timeout: timedelta | None) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
            yield
    except TimeoutError as late:
        raise ChannelLost("the agent takes nothing in") from late
