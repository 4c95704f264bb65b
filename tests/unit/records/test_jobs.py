"""Jobs on record: the newest word counts, all can be listed, and what they need is spared by garbage collection."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from holdfast.contracts.activities import (
    CloseWorkloadInput,
    ForgetJobInput,
    ListJobsInput,
    RecordJobInput,
    ReportInput,
)
from holdfast.contracts.jobs import ArrayPlace, JobAttempt, JobCause, JobPhase, JobSpec, JobStatus
from holdfast.contracts.workload import Phase, Upshot
from holdfast.records.errors import Fenced
from holdfast.records.store import Records
from tests.unit.records.makers import claim, commit, opening

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def status(name: str, *, minutes: int = 0, **more: object) -> JobStatus:
    at = NOW + timedelta(minutes=minutes)
    told = {
        "phase": JobPhase.RUNNING,
        "reason": "runs",
        "since": at,
        "submitted_at": at,
        "tenant": "default",
        "priority": 3,
        "fairness_key": name,
        **more,
    }
    return JobStatus(name=name, **told)  # type: ignore[arg-type]


def word(told: JobStatus, *manifests: str, after: int = 0) -> RecordJobInput:
    spec = JobSpec.model_validate({"name": told.name, "command": "true", "price": {"max_hourly": "1"}})
    return RecordJobInput(status=told, spec=spec, manifests=manifests, at=NOW + timedelta(seconds=after))


def test_the_newest_word_counts(records: Records):
    first = status("j", attempts=(JobAttempt(number=1, workload="j-a1", began_at=NOW),))
    last = replace(
        first,
        phase=JobPhase.SUCCEEDED,
        cause=JobCause.DONE,
        ended_at=NOW,
        attempts=(
            JobAttempt(
                number=1, workload="j-a1", began_at=NOW, ended_at=NOW, upshot=Upshot.FINISHED, cost=Decimal("0.1")
            ),
        ),
        place=ArrayPlace(array="s", index=0, size=1, values={"A": "1"}),
    )
    records.record_job(word(first))
    records.record_job(word(last, after=2))
    records.record_job(word(first, after=1))
    assert records.job("j") == last
    assert records.job("other") is None


def test_they_are_listed_in_pages_the_newest_first(records: Records):
    for number in range(7):
        ended = NOW if number % 2 else None
        place = ArrayPlace(array="s", index=number, size=7) if number > 4 else None
        records.record_job(word(status(f"j{number}", minutes=number, ended_at=ended, place=place)))
    found, before = [], ""
    while True:
        page = records.jobs(ListJobsInput(at_most=3, before=before))
        found += [each.name for each in page.jobs]
        if not (before := page.next):
            break
    assert found == [f"j{number}" for number in reversed(range(7))]
    assert [each.name for each in records.jobs(ListJobsInput(running=True)).jobs] == ["j6", "j4", "j2", "j0"]
    assert [each.name for each in records.jobs(ListJobsInput(array="s")).jobs] == ["j6", "j5"]
    assert records.jobs(ListJobsInput(tenant="nobody")).jobs == ()


def test_what_they_need_is_live_and_no_more(records: Records):
    records.record_job(word(status("a"), "files", "data"))
    records.record_job(word(status("b"), "files"))
    assert sorted(records.live_after(None).manifests) == ["data", "files", "files"]
    records.record_job(word(status("a"), "outputs", after=1))
    assert sorted(records.live_after(None).manifests) == ["files", "outputs"]


def test_pages_of_what_is_live_tell_each_once(records: Records, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("holdfast.records.checkpoints.LIVE_TOLD", 2)
    for name in "abc":
        records.record_job(word(status(name), f"{name}1", f"{name}2"))
    found: list[str] = []
    page = records.live_after(None)
    while True:
        found += page.manifests
        if page.last is None:
            break
        page = records.live_after(page.last)
    assert found == ["a1", "a2", "b1", "b2", "c1", "c2"]


def test_of_a_job_that_is_forgotten_nothing_is_needed_any_more(records: Records):
    for name in ("a", "b"):
        records.record_job(word(status(name), f"{name}-outputs"))
        records.open_workload(opening(f"{name}-a1"))
        records.claim_epoch(claim(1, f"{name}-a1"))
        records.commit_checkpoint(commit(1, name=f"{name}-a1"))
        records.close_workload(
            CloseWorkloadInput(workload=f"{name}-a1", phase=Phase.FAILED, reason="over", closed_at=NOW)
        )
    assert records.forget_job(ForgetJobInput(job="a", attempts=("a-a1", "a-a2"))) == 1
    assert (records.job("a"), records.jobs(ListJobsInput()).jobs) == (None, (status("b"),))
    live = records.live_after(None).manifests
    assert ("b-outputs" in live, "a-outputs" in live, len(live)) == (True, False, 2)
    assert records.report_workload(ReportInput(workload="a-a1")) is not None, "what it cost is left"
    assert records.forget_job(ForgetJobInput(job="a", attempts=("a-a1", "a-a2"))) == 0


def test_no_workload_has_the_name_of_a_jobs_files(records: Records):
    with pytest.raises(Fenced, match="files of a job"):
        records.open_workload(opening("job--j"))


def test_a_workload_that_never_was_costs_nothing(records: Records):
    assert records.cost_of("never") == 0
