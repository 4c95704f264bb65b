"""Which ports the stack listens on, all of them on the loopback address.

Four are for people and have a default; the rest are between the stack's own processes and are free ones. A port
once chosen is remembered, so that a second `up` is found where the first was.
"""

import contextlib
import random
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from holdfast.workers.stack.errors import PortBusy

LOOPBACK = "127.0.0.1"
WEED_OFFSET = 10_000  # SeaweedFS serves gRPC on each port plus this
# Below Linux's range for outgoing connections (from 32,768), so that none of these takes a port between our look and
# the server's bind. The first span leaves room for its port plus WEED_OFFSET.
_PAIRED, _SINGLE = range(10_240, 20_000), range(30_000, 32_768)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One port that some process of the stack listens on."""

    name: str
    purpose: str
    default: int | None = None
    paired: bool = False
    """Takes `port + WEED_OFFSET` too."""

    def numbers(self, port: int) -> tuple[int, ...]:
        return (port, port + WEED_OFFSET) if self.paired else (port,)


TEMPORAL = (
    Wanted(name="temporal", purpose="the Temporal server", default=7233),
    Wanted(name="ui", purpose="the Temporal Web UI", default=8233),
    Wanted(name="temporal-http", purpose="the Temporal server's HTTP API"),
    Wanted(name="temporal-metrics", purpose="the Temporal server's metrics"),
)
STORE = (
    Wanted(name="s3", purpose="the S3 store", default=8333, paired=True),
    Wanted(name="weed-master", purpose="the store's master", paired=True),
    Wanted(name="weed-volume", purpose="the store's volumes", paired=True),
    Wanted(name="weed-filer", purpose="the store's filer", paired=True),
    Wanted(name="weed-admin", purpose="the store's admin port", paired=True),
)
MARKET = (Wanted(name="market", purpose="the simulated market", default=8433),)

GATEWAY = (Wanted(name="gateway", purpose="the gateway", default=8533),)


def of_worker(name: str) -> tuple[Wanted, ...]:
    """The ports of one worker process."""
    return (
        Wanted(name=name, purpose=f"metrics and health of {name}"),
        Wanted(name=f"{name}-sdk", purpose=f"Temporal SDK metrics of {name}"),
    )


def choose(
    wanted: tuple[Wanted, ...], *, auto: bool, asked: Mapping[str, int], remembered: Mapping[str, int]
) -> dict[str, int]:
    """A port for each: the one asked for, else the one of last time, else the default, else any free one.

    A port that was asked for or is the default must be free, or `PortBusy` says who wanted it; with `auto`, and for
    ports that nobody needs to know, another one is taken instead.
    """
    chosen: dict[str, int] = {}
    for each in wanted:
        port = asked.get(each.name) or remembered.get(each.name) or (None if auto else each.default)
        movable = each.name not in asked and (auto or each.default is None)
        if port is None or (movable and _first_busy(each, port)):
            port = _free(each, taken=set(chosen.values()))
        elif port in chosen.values():
            raise _refused_twice(each, port)
        elif busy := _first_busy(each, port):
            raise _refusal(each, port, busy)
        chosen[each.name] = port
    return chosen


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port at this moment."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a closing connection is no owner
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _first_busy(each: Wanted, port: int) -> int | None:
    return next((number for number in each.numbers(port) if not is_free(number)), None)


def _free(each: Wanted, *, taken: set[int]) -> int:
    for port in _shuffled(_PAIRED if each.paired else _SINGLE):
        if port not in taken and _first_busy(each, port) is None:
            return port
    raise PortBusy(f"no free port is left for {each.purpose}", remedy="end what listens on this machine")


def _shuffled(span: range) -> Iterator[int]:
    # In random order, so that two stacks that start together do not look at the same port.
    return iter(random.sample(span, len(span)))


def _refusal(each: Wanted, port: int, busy: int) -> PortBusy:
    detail = f" (which also takes {busy})" if busy != port else ""
    return PortBusy(
        f"port {busy} is taken, and {each.purpose} wants port {port}{detail}",
        remedy=f"end what listens there, or choose another port: {_elsewhere(each)}",
    )


def _refused_twice(each: Wanted, port: int) -> PortBusy:
    return PortBusy(
        f"port {port} is asked for twice, the second time for {each.purpose}",
        remedy=f"choose another port: {_elsewhere(each)}",
    )


def _elsewhere(each: Wanted) -> str:
    return f"`--port {each.name}=NUMBER`, or `--port auto` alone to take free ones"
