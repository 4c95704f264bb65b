"""The connection to Temporal: by Temporal's own profiles and `TEMPORAL_*` variables, else the embedded server."""

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode

from holdfast.client.asking import AskingAgain
from holdfast.client.connection import Server, connect_service, find_server
from holdfast.client.errors import TemporalUnavailable
from holdfast.client.payloads import PAYLOADS
from holdfast.client.translation import from_rpc
from holdfast.settings import Settings


async def connect(settings: Settings, runtime: Runtime | None = None) -> Client:
    """Connect at once, to a server that has our namespace.

    Raises:
        TemporalUnavailable: nobody answers there, or the server lacks the namespace.
    """
    embedded = settings.embedded_temporal
    server = find_server(
        embedded_address=embedded.address if embedded else None,
        embedded_namespace=embedded.namespace if embedded else "default",
    )
    service = await connect_service(Server(server.options | {"runtime": runtime}))
    client = Client(service, namespace=server.namespace, data_converter=PAYLOADS, interceptors=[AskingAgain()])
    await _require_namespace(client, server)
    return client


async def _require_namespace(client: Client, server: Server) -> None:
    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=server.namespace))
    except RPCError as err:
        if err.status is RPCStatusCode.NOT_FOUND:
            raise TemporalUnavailable(
                f"the Temporal server at {server.address} has no namespace {server.namespace!r}",
                remedy="create it with `temporal operator namespace create`, or set TEMPORAL_NAMESPACE",
            ) from err
        raise from_rpc(err, server.address) from err
