"""Ask a service on a rented machine how it is, through the SSH connection that we have with the machine."""

import asyncio
import re
import time
from dataclasses import dataclass
from datetime import timedelta

import asyncssh

from holdfast.hosts.errors import HostUnreachable
from holdfast.hosts.session import HostSession

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_LONGEST_LINE = 1024  # bytes


@dataclass(frozen=True)
class Health:
    """What came of one question."""

    fine: bool
    said: str  # for people: the status, or why there was none
    first_byte: timedelta


async def ask_health(session: HostSession, *, port: int, path: str, within: timedelta) -> Health:
    """GET `path` from `port` of the machine's loopback address; 2xx is fine.

    Raises:
        HostUnreachable: the connection to the machine itself is gone.
    """
    began = time.monotonic()
    try:
        async with asyncio.timeout(within.total_seconds()):
            line = await _status_line(session.connection, port, path)
    except TimeoutError:
        return _unwell(f"it does not answer within {within.total_seconds():g} s", began)
    except asyncssh.ChannelOpenError as err:
        if session.connection.is_closed():
            raise HostUnreachable(f"the connection broke: {err.reason}") from err
        return _unwell(f"port {port} is not open yet", began)
    except (OSError, asyncssh.Error) as err:
        if session.connection.is_closed():
            raise HostUnreachable(f"the connection broke: {err}") from err
        return _unwell(f"it hung up: {err}", began)
    found = _STATUS_LINE.match(line)
    if found is None:
        return _unwell(f"what answers on port {port} does not speak HTTP" if line else "it hung up", began)
    status = int(found[1])
    return Health(200 <= status < 300, f"it answers {status}", timedelta(seconds=time.monotonic() - began))


async def _status_line(connection: asyncssh.SSHClientConnection, port: int, path: str) -> bytes:
    reader, writer = await connection.open_connection("127.0.0.1", port, encoding=None)
    try:
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        writer.write(request.encode("ascii", "replace"))
        line: bytes = await reader.readline()
        return line[:_LONGEST_LINE]
    finally:
        writer.close()


def _unwell(said: str, began: float) -> Health:
    return Health(False, said, timedelta(seconds=time.monotonic() - began))
