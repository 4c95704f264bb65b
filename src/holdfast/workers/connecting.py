"""The connection to Temporal: by Temporal's own profiles and `TEMPORAL_*` variables, else the embedded server."""

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime

from holdfast.settings import Settings


async def connect(settings: Settings, runtime: Runtime | None = None) -> Client:
    """Connect at once.

    Raises:
        RuntimeError: nobody answers there.
    """
    config = ClientConfig.load_client_connect_config()
    if embedded := settings.embedded_temporal:
        config["target_host"], config["namespace"] = embedded.address, embedded.namespace
    config.setdefault("target_host", "localhost:7233")
    return await Client.connect(**config, data_converter=pydantic_data_converter, runtime=runtime)
