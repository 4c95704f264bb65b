"""Every metric that Holdfast exports, by name, behind one typed facade.

Built once per process by `workers/wiring` and handed to whoever has something to count. The names are a public
interface: dashboards and alert rules hold on to them. Durations are seconds, sizes bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from time import perf_counter

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from holdfast.contracts.incidents import Incident
from holdfast.contracts.market import Asking, PriceSource, RecordedPrices
from holdfast.telemetry.gateway_metrics import GatewayMetrics

_CALL = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
_RECOVERY = (1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
_WORK_LOST = (0, 1, 5, 15, 30, 60, 120, 300, 900, 3600)
_TRANSFER = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)


class Metrics:
    """What this process counts. Safe to call from any thread; no call waits or raises."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or process_registry()
        self.gateway = GatewayMetrics(self.registry)
        self._machines = self._gauge("holdfast_machines", "Machines we pay for.", "provider", "state")
        self._hourly = self._gauge("holdfast_hourly_usd", "What those machines cost in an hour, in USD.", "provider")
        self._strangers = self._gauge(
            "holdfast_strangers", "Machines that no running workload owns, at the last sweep.", "provider", "ruling"
        )
        self._drift = self._gauge(
            "holdfast_cost_drift_usd", "What a provider charged above our own meter, when last compared.", "provider"
        )
        self._answered = self._gauge(
            "holdfast_survey_answered", "1 while a provider answered the last question for prices.", "provider"
        )
        self._held_back = self._gauge(
            "holdfast_prices_held", "Prices of the last survey that are too wild to be believed at once.", "provider"
        )
        self._refits = self._counter(
            "holdfast_refits", "Prices forecast anew, by the kind of answer, or failed.", "answer"
        )
        self._refit_time = self._histogram(
            "holdfast_refit_seconds", "From an order to forecast some series to the answer.", _TRANSFER
        )
        self._drifts = self._gauge(
            "holdfast_cost_drift_beyond_tolerance", "1 while that is more than rounding explains.", "provider"
        )
        self._workloads = self._gauge("holdfast_workloads", "Workloads that have not ended.", "state")
        self._failovers = self._counter("holdfast_failovers", "Losses answered.", "cause", "strategy", "recovered")
        self._recovery_time = self._histogram(
            "holdfast_recovery_time_seconds", "Last sign of life to first progress (RTO).", _RECOVERY, "strategy"
        )
        self._work_lost = self._histogram(
            "holdfast_work_lost_seconds", "Work done after the restored checkpoint (RPO).", _WORK_LOST, "strategy"
        )
        self._phases = self._histogram(
            "holdfast_recovery_phase_seconds", "Where the time of a recovery went.", _RECOVERY, "phase"
        )
        self._notifications = self._counter(
            "holdfast_notifications", "Tries to tell something by webhook.", "kind", "outcome"
        )
        self._transfers = self._histogram(
            "holdfast_checkpoint_seconds", "Saves and restores.", _TRANSFER, "operation", "outcome"
        )
        self._bytes = self._counter("holdfast_checkpoint_bytes", "Bytes moved to or from the store.", "operation")
        self._calls = self._histogram(
            "holdfast_provider_call_seconds", "Calls of provider APIs.", _CALL, "provider", "verb", "outcome"
        )

    def notification(self, kind: str, outcome: str) -> None:
        """Count a try to tell something by webhook: `delivered`, `failed` (tried again) or `given_up`."""
        self._notifications.labels(kind, outcome).inc()

    def strangers(self, provider: str, rulings: Mapping[str, int]) -> None:
        """Replace what the last sweep found at a provider: machines that nobody owns, by what is done about them."""
        for ruling, count in rulings.items():
            self._strangers.labels(provider, ruling).set(count)

    def drift(self, provider: str, *, metered: Decimal, charged: Decimal, beyond: bool) -> None:
        """Replace how a provider's bill differed from our meter when they were last compared."""
        self._drift.labels(provider).set(float(charged - metered))
        self._drifts.labels(provider).set(int(beyond))

    def surveyed(self, asking: Asking, done: RecordedPrices) -> None:
        """Replace how a provider answered when it was last asked for prices."""
        if asking.source is PriceSource.SURVEY:
            self._answered.labels(asking.provider).set(int(asking.answered))
            self._held_back.labels(asking.provider).set(done.held)

    def refitted(self, answers: Sequence[str], *, took: timedelta) -> None:
        """Count forecasts that were made together: what each said, or `failed`."""
        for answer in answers:
            self._refits.labels(answer).inc()
        self._refit_time.observe(took.total_seconds())

    def fleet(self, provider: str, machines: Mapping[str, int], hourly: float) -> None:
        """Replace the picture of what is rented at one provider: machines by state, and USD per hour for all."""
        self.forget_fleet(provider)
        for state, count in machines.items():
            self._machines.labels(provider, state).set(count)
        self._hourly.labels(provider).set(hourly)

    def forget_fleet(self, provider: str) -> None:
        """Show nothing of a provider that somebody else looks at from now on."""
        self._machines.remove_by_labels({"provider": provider})
        self._hourly.remove_by_labels({"provider": provider})

    def workloads(self, counts: Mapping[str, int]) -> None:
        """Replace the number of workloads in each state; none given, none is shown."""
        self._workloads.clear()
        for state, count in counts.items():
            self._workloads.labels(state).set(count)

    def incident(self, incident: Incident) -> None:
        """Count a loss that has been answered, well or not. Call once per incident."""
        recovered = incident.epoch_gained is not None
        self._failovers.labels(incident.cause, incident.strategy, str(recovered).lower()).inc()
        if incident.recovery_time is not None:
            self._recovery_time.labels(incident.strategy).observe(incident.recovery_time.total_seconds())
        if incident.work_lost is not None:
            self._work_lost.labels(incident.strategy).observe(incident.work_lost.total_seconds())
        for phase, took in vars(incident.phases).items():
            if took:
                self._phases.labels(phase).observe(took.total_seconds())

    def checkpoint(self, operation: str, *, outcome: str, took: timedelta, moved: int) -> None:
        """Count a `save` or `restore` that ended; `moved` are the bytes that crossed the wire."""
        self._transfers.labels(operation, outcome).observe(took.total_seconds())
        self._bytes.labels(operation).inc(moved)

    def provider_call(self, provider: str, verb: str, *, outcome: str, took: timedelta) -> None:
        """Count one call; `outcome` is `ok` or the name of the error."""
        self._calls.labels(provider, verb, outcome).observe(took.total_seconds())

    @contextmanager
    def timed_provider_call(self, provider: str, verb: str) -> Iterator[None]:
        """Count the call made inside; an exception is its outcome, and goes on."""
        began = perf_counter()
        outcome = "ok"
        try:
            yield
        except BaseException as err:
            outcome = type(err).__name__
            raise
        finally:
            self.provider_call(provider, verb, outcome=outcome, took=timedelta(seconds=perf_counter() - began))

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(name, about, labels, registry=self.registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, buckets: Iterable[float], *labels: str) -> Histogram:
        return Histogram(name, about, labels, buckets=tuple(buckets), registry=self.registry)


def process_registry() -> CollectorRegistry:
    """A registry with what every process shows of itself: memory, CPU, open files, Python's collector and version."""
    registry = CollectorRegistry()
    collectors: tuple[Callable[..., object], ...] = (ProcessCollector, PlatformCollector, GCCollector)
    for collector in collectors:
        collector(registry=registry)
    return registry
