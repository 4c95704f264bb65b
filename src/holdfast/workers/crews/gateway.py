"""Gateway: an HTTP server for the callers of endpoints. It works on no queue, and holds the SSH key."""

import os
import socket
from uuid import uuid4

from holdfast.hosts.keys import load_or_create_key
from holdfast.hosts.tunnel import Tunnels
from holdfast.workers.gateway.app import Gateway
from holdfast.workers.gateway.bodies import MEGABYTE
from holdfast.workers.gateway.serving import Server
from holdfast.workers.gateway.temporal import TemporalDoorkeeper
from holdfast.workers.shop import Shop


async def crew(shop: Shop) -> list[Server]:
    """One server with one SSH connection for each machine that it sends requests to."""
    settings = shop.settings.gateway
    key = load_or_create_key(shop.settings.data_dir / "keys")
    tunnels = Tunnels(key, connect_timeout=shop.settings.hosts.connect_timeout)
    shop.stack.push_async_callback(tunnels.close)
    gateway = Gateway(
        TemporalDoorkeeper(shop.client),
        tunnels,
        shop.metrics.gateway,
        name=f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}",
        refresh=settings.refresh,
        room=int(settings.buffer_mb * MEGABYTE),
    )
    server = Server(gateway, settings)
    shop.needs["gateway"] = server.check
    return [server]
