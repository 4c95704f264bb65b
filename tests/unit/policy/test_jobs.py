"""What follows the end of an attempt, and what money and time a job has."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from holdfast.contracts.jobs import (
    MOST_ATTEMPTS,
    ArraySpec,
    JobAttempt,
    JobCause,
    JobPhase,
    JobSpec,
    Late,
    RetriesSpec,
)
from holdfast.contracts.workload import Phase, Upshot
from holdfast.policy import jobs

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
TWICE = RetriesSpec(errors=2, wait=timedelta(seconds=10))


def attempts(*upshots: Upshot, cost: str = "0.50") -> tuple[JobAttempt, ...]:
    return tuple(
        JobAttempt(number=number, workload=f"j-a{number}", began_at=NOW, upshot=each, cost=Decimal(cost))
        for number, each in enumerate(upshots, start=1)
    )


def spec(**given: Any) -> JobSpec:
    return JobSpec.model_validate({"name": "j", "command": "true", "price": {"max_hourly": "1"}, **given})


@pytest.mark.parametrize(
    ("upshot", "phase", "cause"),
    [
        (Upshot.FINISHED, JobPhase.SUCCEEDED, JobCause.DONE),
        (Upshot.CODE, JobPhase.FAILED, JobCause.CODE),
        (Upshot.SETUP, JobPhase.FAILED, JobCause.SETUP),
        (Upshot.NO_MACHINE, JobPhase.FAILED, JobCause.NO_MACHINE),
        (Upshot.NOT_SAVED, JobPhase.FAILED, JobCause.STORE),
        (Upshot.BUDGET, JobPhase.STOPPED, JobCause.BUDGET),
        (Upshot.ASKED, JobPhase.CANCELLED, JobCause.ASKED),
        (Upshot.CANCELLED, JobPhase.CANCELLED, JobCause.ASKED),
        (Upshot.UNFORESEEN, JobPhase.FAILED, JobCause.INTERNAL),
    ],
)
def test_each_end_has_its_cause(upshot: Upshot, phase: JobPhase, cause: JobCause):
    found = jobs.verdict(attempts(upshot), stopping=None, retries=RetriesSpec())
    assert (found.phase, found.cause) == (phase, cause)


def test_every_upshot_is_judged():
    for each in Upshot:
        assert jobs.verdict(attempts(each), stopping=None, retries=RetriesSpec())


def test_errors_are_tried_again_as_often_as_the_spec_allows_and_later_each_time():
    first = jobs.verdict(attempts(Upshot.CODE), stopping=None, retries=TWICE)
    second = jobs.verdict(attempts(Upshot.CODE, Upshot.CODE), stopping=None, retries=TWICE)
    third = jobs.verdict(attempts(Upshot.CODE, Upshot.CODE, Upshot.CODE), stopping=None, retries=TWICE)
    assert (first.phase, first.wait) == (JobPhase.RETRYING, timedelta(seconds=10))
    assert (second.phase, second.wait) == (JobPhase.RETRYING, timedelta(seconds=20))
    assert (third.phase, third.cause) == (JobPhase.FAILED, JobCause.CODE)


def test_a_machine_that_could_not_be_replaced_is_no_error_of_the_code():
    found = jobs.verdict(attempts(Upshot.LOST, Upshot.CODE, Upshot.LOST), stopping=None, retries=RetriesSpec())
    assert (found.phase, found.wait) == (JobPhase.RETRYING, 2 * jobs.AFTER_A_LOSS)
    assert jobs.errors(attempts(Upshot.LOST, Upshot.CODE)) == 1
    every = jobs.verdict(attempts(*[Upshot.LOST] * MOST_ATTEMPTS), stopping=None, retries=RetriesSpec())
    assert (every.phase, every.cause) == (JobPhase.FAILED, JobCause.LOST)


def test_what_is_stopped_is_not_tried_again():
    found = jobs.verdict(attempts(Upshot.CODE), stopping=JobCause.LATE, retries=TWICE)
    assert (found.phase, found.cause) == (JobPhase.STOPPED, JobCause.LATE)


def test_work_that_finished_has_finished_whatever_was_wanted():
    found = jobs.verdict(attempts(Upshot.FINISHED), stopping=JobCause.ASKED, retries=RetriesSpec())
    assert found.phase is JobPhase.SUCCEEDED


def test_money_that_is_spent_is_spent_for_all_attempts():
    spent = attempts(Upshot.CODE, Upshot.CODE)
    assert jobs.spent(spent) == Decimal("1.00")
    assert jobs.budget_left(Decimal(5), spent) == Decimal("4.00")
    assert jobs.budget_left(Decimal("0.75"), spent) == 0
    assert jobs.budget_left(None, spent) is None


def test_the_deadline_counts_from_the_submission():
    deadline = {"work": "1h", "within": "3h"}
    wanted = spec(policy={"deadline": deadline})
    assert jobs.deadline_of(wanted, NOW) == NOW + timedelta(hours=3)
    assert jobs.stopped_at(wanted, NOW) is None
    late = spec(policy={"deadline": deadline}, when_late="stop", stop_after="2h")
    assert late.when_late is Late.STOP
    assert jobs.stopped_at(late, NOW) == NOW + timedelta(hours=2)
    told = jobs.workload_of(wanted, 2, submitted_at=NOW, budget=None, place=None).policy.deadline
    assert told is not None and (told.by, told.within, told.work) == (
        NOW + timedelta(hours=3),
        None,
        timedelta(hours=1),
    )


def test_an_array_has_a_job_for_each_combination():
    found = jobs.places("s", ArraySpec(values={"LR": ("1", "2"), "SEED": ("a", "b", "c")}, at_once=4))
    assert [each.index for each in found] == list(range(6))
    assert dict(found[4].values) == {"LR": "2", "SEED": "b"}
    assert {(each.size, each.at_once) for each in found} == {(6, 4)}
    attempt = jobs.workload_of(spec(environment={"LR": "0"}), 1, submitted_at=NOW, budget=None, place=found[4])
    assert attempt.environment == {
        "LR": "2",
        "SEED": "b",
        "ARRAY_INDEX": "4",
        "ARRAY_SIZE": "6",
        "JOB_NAME": "j",
        "JOB_ATTEMPT": "1",
    }


def test_an_array_is_neither_empty_nor_without_end():
    assert len(jobs.places("s", ArraySpec(count=20))) == 20
    with pytest.raises(ValueError, match="needs a count"):
        jobs.places("s", ArraySpec())
    with pytest.raises(ValueError, match="not 1000000"):
        jobs.places("s", ArraySpec(count=10_000, values={"A": tuple(map(str, range(100)))}))


def test_each_phase_of_a_workload_that_goes_on_is_shown():
    quiet = {Phase.SUSPECT, Phase.STOPPED, Phase.FINISHED, Phase.FAILED}
    assert {each for each in Phase if jobs.phase_of(each) is None} == quiet
