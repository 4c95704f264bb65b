"""What a gateway counts. The names are a public interface, as all of ours."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_HELD = (0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600)
_ADDED = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)


class GatewayMetrics:
    """One per process. `endpoint` is a name that exists, or "" for requests that reached none."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "holdfast_gateway_requests", "Requests answered.", ("endpoint", "status"), registry=registry
        )
        self.in_flight = Gauge("holdfast_gateway_in_flight", "Requests at a replica.", ("endpoint",), registry=registry)
        self.held = Gauge(
            "holdfast_gateway_held", "Requests that wait for a replica.", ("endpoint",), registry=registry
        )
        self.held_seconds = Histogram(
            "holdfast_gateway_held_seconds",
            "How long those that waited did.",
            ("endpoint",),
            buckets=_HELD,
            registry=registry,
        )
        self.added_seconds = Histogram(
            "holdfast_gateway_added_seconds",
            "From a request's arrival to the first byte of its answer, without what was waited for.",
            ("endpoint",),
            buckets=_ADDED,
            registry=registry,
        )
        self.wakes = Counter("holdfast_gateway_wakes", "Passes asked for.", ("endpoint", "outcome"), registry=registry)
        self.retries = Counter("holdfast_gateway_retries", "Requests sent once more.", ("endpoint",), registry=registry)
        self.cut = Counter(
            "holdfast_gateway_cut",
            "Requests that were not carried to their end.",
            ("endpoint", "cause"),
            registry=registry,
        )
