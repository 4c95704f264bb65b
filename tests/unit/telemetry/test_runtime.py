"""The SDK's metrics have an address of their own."""

import httpx

from holdfast.telemetry.runtime import sdk_runtime


def test_the_sdk_serves_its_metrics_on_a_free_port_and_says_which() -> None:
    runtime, url = sdk_runtime(bind="127.0.0.1", port=0)
    assert httpx.get(url).status_code == 200
    assert runtime is not None
