"""Ask a service on a rented machine as a caller would, through the SSH connection that we have with the machine."""

import asyncio
import io
import math
import secrets
import time
import wave
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import asyncssh
import h11

from holdfast.contracts.deployments import SmokeRequest
from holdfast.hosts.errors import HostUnreachable
from holdfast.hosts.session import HostSession
from holdfast.policy.smoke import Answer

LARGEST: Final = 32 * 1024 * 1024
"""Bytes of an answer that are read; a picture in base64 is some megabytes."""
_AT_ONCE = 65_536
_RATE, _PITCH = 16_000, 440  # Hz


async def ask(session: HostSession, *, port: int, request: SmokeRequest) -> Answer:
    """Send it to `port` of the machine's loopback address, and read the answer.

    Raises:
        HostUnreachable: the connection to the machine itself is gone.
    """
    began, within = time.monotonic(), request.within.total_seconds()
    try:
        async with asyncio.timeout(within):
            status, body, trouble = await _exchange(session.connection, port, request)
    except TimeoutError:
        status, body, trouble = None, b"", f"no whole answer within {within:g} s"
    except (OSError, asyncssh.Error, h11.ProtocolError) as err:
        if session.connection.is_closed():
            raise HostUnreachable(f"the connection broke: {err}") from err
        status, body, trouble = None, b"", f"it hung up, or does not speak HTTP: {err}"
    took = timedelta(seconds=time.monotonic() - began)
    return Answer(status=status, body=body, trouble=trouble, took=took)


async def _exchange(
    connection: asyncssh.SSHClientConnection, port: int, request: SmokeRequest
) -> tuple[int | None, bytes, str]:
    reader, writer = await connection.open_connection("127.0.0.1", port, encoding=None)
    try:
        http = h11.Connection(h11.CLIENT)
        kind, content = _content(request)
        headers = [("Host", f"127.0.0.1:{port}"), ("Accept", "*/*"), ("Connection", "close")]
        if content or request.method != "GET":
            headers += [("Content-Type", kind), ("Content-Length", str(len(content)))]
        writer.write(http.send(h11.Request(method=request.method, target=request.path, headers=headers)) or b"")
        writer.write(http.send(h11.Data(data=content)) or b"" if content else b"")
        writer.write(http.send(h11.EndOfMessage()) or b"")
        return await _answer(http, reader)
    finally:
        writer.close()


async def _answer(http: h11.Connection, reader: "asyncssh.SSHReader[bytes]") -> tuple[int | None, bytes, str]:
    status, body = None, bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(_AT_ONCE))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > LARGEST:
                return status, b"", f"the answer is longer than {LARGEST} bytes"
        elif isinstance(event, h11.EndOfMessage):
            return status, bytes(body), ""
        elif not isinstance(event, h11.InformationalResponse):
            return None, b"", "it hung up"


def _content(request: SmokeRequest) -> tuple[str, bytes]:
    """Its type and its bytes."""
    if not request.form and not request.sound_seconds:
        return "application/json", request.body.encode()
    boundary = secrets.token_hex(16)
    return f"multipart/form-data; boundary={boundary}", _multipart(request.form, request.sound_seconds, boundary)


def _multipart(form: Mapping[str, str], sound_seconds: float, boundary: str) -> bytes:
    parts = [(f'form-data; name="{key}"', "text/plain", value.encode()) for key, value in form.items()]
    if sound_seconds:
        parts.append(('form-data; name="file"; filename="tone.wav"', "audio/wav", _tone(sound_seconds)))
    lines = [
        f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: {kind}\r\n\r\n".encode() + data + b"\r\n"
        for disposition, kind, data in parts
    ]
    return b"".join(lines) + f"--{boundary}--\r\n".encode()


def _tone(seconds: float) -> bytes:
    """A WAV file: one channel, 16 bits."""
    file = io.BytesIO()
    count = int(seconds * _RATE)
    samples = (int(8000 * math.sin(2 * math.pi * _PITCH * n / _RATE)) for n in range(count))
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_RATE)
        sound.writeframes(b"".join(each.to_bytes(2, "little", signed=True) for each in samples))
    return file.getvalue()
