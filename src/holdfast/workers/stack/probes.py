"""When a process of the stack counts as ready: when it has done once what it is there for.

Each probe answers within about a second and is repeated by the caller. They run before anything heavy is imported,
so they speak plain HTTP and, for the store, use the small client.
"""

import contextlib
import http.client
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from obstore.exceptions import BaseError
from obstore.store import S3Store

from holdfast.workers.stack.ports import LOOPBACK

PATIENCE = timedelta(seconds=1)
RETENTION = timedelta(days=30)
READY_MARK = ".ready"


def answers(port: int, path: str) -> bool:
    """Whether a server answers 200 there."""
    return _request(port, "GET", path) is not None


def store_takes_object(port: int, *, bucket: str, keys: Mapping[str, str]) -> bool:
    """Whether what was stored in an earlier life can be read, and something new be stored.

    SeaweedFS listens some tenths of a second before it can store anything, and after a restart it may take new objects
    some seconds before it finds any old one.
    """
    store = S3Store(
        bucket,
        endpoint=f"http://{LOOPBACK}:{port}",
        region="us-east-1",
        access_key_id=keys["access_key_id"],
        secret_access_key=keys["secret_access_key"],
        client_options={"allow_http": True, "timeout": PATIENCE},
        retry_config={"max_retries": 0, "retry_timeout": PATIENCE},
    )
    try:
        with contextlib.suppress(FileNotFoundError):  # a new store
            store.get(READY_MARK).bytes()
        store.put(READY_MARK, b"ready")
    except (BaseError, OSError):
        return False
    return True


def namespace_is_ready(http_port: int, namespace: str) -> bool:
    """Whether the Temporal server knows the namespace; closed workflows are then kept for `RETENTION`, not a day."""
    path = f"/api/v1/namespaces/{namespace}"
    found = _request(http_port, "GET", path)
    if found is None:
        return False
    ttl = f"{int(RETENTION.total_seconds())}s"
    if json.loads(found)["config"]["workflowExecutionRetentionTtl"] == ttl:
        return True
    return _request(http_port, "POST", path + "/update", {"config": {"workflowExecutionRetentionTtl": ttl}}) is not None


def search_attributes(http_port: int, namespace: str) -> set[str] | None:
    """The custom search attributes that the namespace has; None if the server does not answer."""
    found = _request(http_port, "GET", f"/cluster/namespaces/{namespace}/search-attributes")
    return None if found is None else set(json.loads(found).get("customAttributes", {}))


def _request(port: int, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes | None:
    """The content of a 200 answer; None for any other and for no answer."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PATIENCE.total_seconds())
    try:
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return content if response.status == http.client.OK else None
