"""The Temporal SDK's own metrics, on a Prometheus port of their own.

The SDK's core is not Python: its counters cannot join our registry, so a process has two addresses to scrape.
"""

import socket

from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig


def sdk_runtime(*, bind: str, port: int) -> tuple[Runtime, str]:
    """A runtime whose metrics are served at the returned URL; port 0 takes a free one. One per process.

    Names and units follow Prometheus's habits: `temporal_..._seconds`, `temporal_..._total`.
    """
    address = f"{bind}:{port or _free_port(bind)}"
    metrics = PrometheusConfig(
        bind_address=address, counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True
    )
    telemetry = TelemetryConfig(metrics=metrics, global_tags={"service": "holdfast"})
    return Runtime(telemetry=telemetry), f"http://{address}/metrics"


def _free_port(bind: str) -> int:
    # The SDK does not tell which port it got, so it is given one that was free a moment ago.
    with socket.socket() as probe:
        probe.bind((bind, 0))
        port: int = probe.getsockname()[1]
        return port
