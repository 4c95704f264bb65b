"""The counters that dashboards and alert rules hold on to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from holdfast.contracts.incidents import Cause, Incident, Phases
from holdfast.telemetry.metrics import Metrics

LOSS = datetime(2026, 1, 1, 12, tzinfo=UTC)
INCIDENT = Incident(
    workload="train",
    epoch_lost=1,
    epoch_gained=2,
    cause=Cause.OUTBID,
    reason="the provider took it back",
    strategy="snapshot",
    silent_since=LOSS,
    decided_at=LOSS + timedelta(seconds=1),
    recovered_at=LOSS + timedelta(seconds=9),
    phases=Phases(detect=timedelta(seconds=1), boot=timedelta(seconds=6)),
    recovery_time=timedelta(seconds=9),
    work_lost=timedelta(seconds=4),
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_an_incident_counts_its_cause_strategy_and_objectives(metrics: Metrics) -> None:
    metrics.incident(INCIDENT)
    assert value(metrics, "holdfast_failovers_total", cause="outbid", strategy="snapshot", recovered="true") == 1
    assert value(metrics, "holdfast_recovery_time_seconds_sum", strategy="snapshot") == 9
    assert value(metrics, "holdfast_work_lost_seconds_sum", strategy="snapshot") == 4


def test_an_incident_shows_only_the_phases_that_happened(metrics: Metrics) -> None:
    metrics.incident(INCIDENT)
    assert value(metrics, "holdfast_recovery_phase_seconds_sum", phase="boot") == 6
    assert value(metrics, "holdfast_recovery_phase_seconds_count", phase="restore") is None


def test_a_failed_failover_has_no_recovery_time(metrics: Metrics) -> None:
    metrics.incident(replace(INCIDENT, epoch_gained=None, recovered_at=None, recovery_time=None, work_lost=None))
    assert value(metrics, "holdfast_failovers_total", cause="outbid", strategy="snapshot", recovered="false") == 1
    assert value(metrics, "holdfast_recovery_time_seconds_count", strategy="snapshot") is None


def test_a_machine_that_is_gone_is_no_longer_shown(metrics: Metrics) -> None:
    metrics.fleet("vast", {"running": 2, "stopped": 1}, 0.8)
    metrics.fleet("vast", {"running": 1}, 0.4)
    assert value(metrics, "holdfast_machines", provider="vast", state="running") == 1
    assert value(metrics, "holdfast_machines", provider="vast", state="stopped") is None
    assert value(metrics, "holdfast_hourly_usd", provider="vast") == 0.4


def test_the_fleets_of_two_providers_stand_beside_each_other(metrics: Metrics) -> None:
    metrics.fleet("vast", {"running": 2}, 0.8)
    metrics.fleet("gcp", {"running": 3}, 1.5)
    metrics.forget_fleet("vast")
    assert value(metrics, "holdfast_machines", provider="gcp", state="running") == 3
    assert value(metrics, "holdfast_machines", provider="vast", state="running") is None
    assert value(metrics, "holdfast_hourly_usd", provider="vast") is None


def test_workloads_are_counted_by_state(metrics: Metrics) -> None:
    metrics.workloads({"running": 3})
    assert value(metrics, "holdfast_workloads", state="running") == 3


def test_a_checkpoint_counts_its_bytes_and_time(metrics: Metrics) -> None:
    metrics.checkpoint("save", outcome="ok", took=timedelta(seconds=2), moved=1024)
    assert value(metrics, "holdfast_checkpoint_bytes_total", operation="save") == 1024
    assert value(metrics, "holdfast_checkpoint_seconds_sum", operation="save", outcome="ok") == 2


def test_a_provider_call_that_fails_is_counted_by_its_error_and_still_fails(metrics: Metrics) -> None:
    with pytest.raises(TimeoutError), metrics.timed_provider_call("vast", "launch"):
        raise TimeoutError
    labels = {"provider": "vast", "verb": "launch", "outcome": "TimeoutError"}
    assert value(metrics, "holdfast_provider_call_seconds_count", **labels) == 1


def test_a_process_shows_its_own_memory_beside_our_metrics() -> None:
    registry = Metrics().registry
    assert registry.get_sample_value("process_resident_memory_bytes")
