"""Find the Temporal server and connect to it, or say why not.

The address comes from Temporal's own variables and profiles, unless an embedded stack lives in the data directory
and no `TEMPORAL_*` variable is set.
"""

import asyncio
import re
from datetime import timedelta
from typing import Any

from temporalio.envconfig import ClientConfig
from temporalio.service import ConnectConfig, RPCError, ServiceClient

from holdfast.client.errors import TemporalUnavailable

DEFAULT_ADDRESS = "localhost:7233"
CONNECT_TIMEOUT = timedelta(seconds=5)
ANSWER_TIMEOUT = timedelta(seconds=10)  # a server that hangs takes connections and says nothing


class Server:
    """Where a Temporal server is, and which of its namespaces is ours."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options  # as `Client.connect` takes them
        self.address: str = options["target_host"]
        self.namespace: str = options["namespace"]


def find_server(*, embedded_address: str | None, embedded_namespace: str = "default") -> Server:
    """Choose the server. `embedded_address` is that of a living `holdfast up`, which then wins over profiles.

    Raises:
        TemporalUnavailable: the profile cannot be read.
    """
    if embedded_address:
        return Server({"target_host": embedded_address, "namespace": embedded_namespace})
    try:
        options: dict[str, Any] = dict(ClientConfig.load_client_connect_config())
    except (RuntimeError, ValueError, OSError) as err:
        raise TemporalUnavailable(
            f"Temporal's profile cannot be read: {err}", remedy="check TEMPORAL_PROFILE and TEMPORAL_CONFIG_FILE"
        ) from err
    options.setdefault("target_host", DEFAULT_ADDRESS)
    options.setdefault("namespace", "default")
    return Server(options)


async def connect_service(server: Server) -> ServiceClient:
    """Connect without the rest of the SDK: enough for raw calls, and quick to import.

    Raises:
        TemporalUnavailable: nobody answers there.
    """
    options = {key: value for key, value in server.options.items() if key != "namespace"}
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT.total_seconds()):
            return await ServiceClient.connect(ConnectConfig(connect_timeout=CONNECT_TIMEOUT, **options))
    except TimeoutError as err:
        reason = f"it did not answer within {ANSWER_TIMEOUT.total_seconds():.0f} s"
        raise TemporalUnavailable(f"no Temporal server answers at {server.address}: {reason}") from err
    except (RuntimeError, RPCError) as err:
        raise unavailable(server.address, err) from err


def unavailable(address: str, err: BaseException) -> TemporalUnavailable:
    """The error for a server that does not answer."""
    told = str(err)
    # The transport's error is a nest of native structures; its innermost message is the one a person can read.
    inner = re.findall(r'(?:message|error): "([^"]*)"', told)
    reason = inner[-1] if inner else told.partition("\n")[0][:200] or type(err).__name__
    return TemporalUnavailable(f"no Temporal server answers at {address}: {reason}")
