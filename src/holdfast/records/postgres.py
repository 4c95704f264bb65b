"""Connections to PostgreSQL that do not wait for ever. The only module of the records that loads its driver.

The server ends what takes too long, and the transaction of a client that is gone, so that nobody keeps a row locked.
A server that is frozen, or on the other side of a cut network, ends nothing: then we hang up.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Timer
from typing import Any

import psycopg

from holdfast.records.patience import Patience, milliseconds

_PROBES = 3


class ImpatientConnection(psycopg.Connection[Any]):
    """Hangs up when the server has not answered in time: whoever waits gets an `OperationalError`."""

    answer = Patience.answer

    def wait(self, *args: Any, **kwargs: Any) -> Any:
        with _hanging_up_after(self.answer, self.fileno()):
            return super().wait(*args, **kwargs)


def connector(patience: Patience) -> Callable[..., ImpatientConnection]:
    """What SQLAlchemy's event `do_connect` calls."""

    def connect(_dialect: object, _record: object, args: list[Any], arguments: dict[str, Any]) -> ImpatientConnection:
        connection = ImpatientConnection.connect(*args, **_arguments(patience) | arguments)
        connection.answer = patience.answer
        _set_limits(connection, patience)
        return connection

    return connect


def _arguments(patience: Patience) -> dict[str, Any]:
    probe = max(1, round(patience.answer.total_seconds() / (_PROBES + 1)))
    return {
        "connect_timeout": max(2, round(patience.connect.total_seconds())),  # libpq knows no shorter one
        "tcp_user_timeout": milliseconds(patience.answer),
        "keepalives_idle": probe,
        "keepalives_interval": probe,
        "keepalives_count": _PROBES,
    }


def _set_limits(connection: ImpatientConnection, patience: Patience) -> None:
    # Not in the connection string: poolers refuse options there.
    limits = {
        "statement_timeout": patience.statement,
        "lock_timeout": patience.lock,
        "idle_in_transaction_session_timeout": patience.idle,
    }
    with connection.transaction():
        for name, limit in limits.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, str(milliseconds(limit))))


@contextmanager
def _hanging_up_after(limit: timedelta, number: int) -> Iterator[None]:
    # Of the descriptor a copy: its number may be another connection's by the time the watch goes off.
    with socket.socket(fileno=os.dup(number)) as line:
        watch = Timer(limit.total_seconds(), _hang_up, (line,))
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()


def _hang_up(line: socket.socket) -> None:
    with suppress(OSError):  # closed by now: the answer came in the last instant
        line.shutdown(socket.SHUT_RDWR)
