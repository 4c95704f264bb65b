"""What follows the end of an attempt, how much money the next one has, and when a job must be over."""

import itertools
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from holdfast.contracts.jobs import (
    LONGEST_FOR_A_PRICE,
    MOST_ATTEMPTS,
    MOST_OF_AN_ARRAY,
    ArrayPlace,
    ArraySpec,
    JobAttempt,
    JobCause,
    JobPhase,
    JobSpec,
    Late,
    RetriesSpec,
    Start,
    attempt_name,
)
from holdfast.contracts.spec import PolicySpec, SecretRef, WorkloadSpec
from holdfast.contracts.workload import Phase, Upshot

LONGEST_WAIT = timedelta(hours=1)
AFTER_A_LOSS = timedelta(seconds=30)
CODE_ERRORS = (Upshot.CODE, Upshot.SETUP)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether there is another attempt, or how the job ends."""

    phase: JobPhase  # RETRYING, or a final one
    cause: JobCause | None = None  # of the end
    wait: timedelta = timedelta()  # before the next attempt


_ENDS = {
    Upshot.FINISHED: (JobPhase.SUCCEEDED, JobCause.DONE),
    Upshot.CODE: (JobPhase.FAILED, JobCause.CODE),
    Upshot.SETUP: (JobPhase.FAILED, JobCause.SETUP),
    Upshot.NO_MACHINE: (JobPhase.FAILED, JobCause.NO_MACHINE),
    Upshot.LOST: (JobPhase.FAILED, JobCause.LOST),
    Upshot.NOT_SAVED: (JobPhase.FAILED, JobCause.STORE),
    Upshot.BUDGET: (JobPhase.STOPPED, JobCause.BUDGET),
    Upshot.ASKED: (JobPhase.CANCELLED, JobCause.ASKED),
    Upshot.CANCELLED: (JobPhase.CANCELLED, JobCause.ASKED),
    Upshot.UNFORESEEN: (JobPhase.FAILED, JobCause.INTERNAL),
}
_STOPPED_FOR = {
    JobCause.ASKED: JobPhase.CANCELLED,
    JobCause.LATE: JobPhase.STOPPED,
    JobCause.BUDGET: JobPhase.STOPPED,
}


def verdict(attempts: tuple[JobAttempt, ...], *, stopping: JobCause | None, retries: RetriesSpec) -> Verdict:
    """What follows the newest attempt, which has ended. Work that finished has finished, whatever was wanted of it."""
    newest = attempts[-1]
    upshot = newest.upshot or Upshot.UNFORESEEN
    if stopping is not None and upshot is not Upshot.FINISHED:
        return Verdict(phase=_STOPPED_FOR[stopping], cause=stopping)
    failed = errors(attempts)
    if upshot in CODE_ERRORS and failed <= retries.errors:
        return Verdict(phase=JobPhase.RETRYING, wait=min(retries.wait * 2 ** (failed - 1), LONGEST_WAIT))
    if upshot is Upshot.LOST and len(attempts) < MOST_ATTEMPTS:  # no fault of the code's: it is not counted
        return Verdict(phase=JobPhase.RETRYING, wait=min(AFTER_A_LOSS * 2 ** (_lost(attempts) - 1), LONGEST_WAIT))
    phase, cause = _ENDS[upshot]
    return Verdict(phase=phase, cause=cause)


def errors(attempts: tuple[JobAttempt, ...]) -> int:
    """Attempts that ended with an error in the code."""
    return sum(each.upshot in CODE_ERRORS for each in attempts)


def spent(attempts: tuple[JobAttempt, ...]) -> Decimal:
    """USD, by those that have ended."""
    return sum((each.cost for each in attempts), start=Decimal(0))


def budget_left(budget: Decimal | None, attempts: tuple[JobAttempt, ...]) -> Decimal | None:
    """For the attempt that comes, or is under way. None: there is no limit."""
    return None if budget is None else max(budget - spent(attempts), Decimal(0))


def deadline_of(spec: JobSpec, submitted_at: datetime) -> datetime | None:
    """By when it is wanted."""
    wanted = spec.policy.deadline
    if wanted is None:
        return None
    return wanted.by or submitted_at + (wanted.within or timedelta())


def stopped_at(spec: JobSpec, submitted_at: datetime) -> datetime | None:
    """When it is stopped, done or not. None: never for being late."""
    deadline = deadline_of(spec, submitted_at) if spec.when_late is Late.STOP else None
    moments = [each for each in (deadline, submitted_at + spec.stop_after if spec.stop_after else None) if each]
    return min(moments, default=None)


def latest_start(spec: JobSpec, submitted_at: datetime) -> datetime | None:
    """By when it begins, whatever machines cost then. None: it begins at once.

    With a deadline there is time left for the work and two changeovers, which is what its rule keeps in hand.
    """
    if spec.start is Start.NOW:
        return None
    latest = submitted_at + (spec.start_within or LONGEST_FOR_A_PRICE)
    wanted, by = spec.policy.deadline, deadline_of(spec, submitted_at)
    if wanted is not None and by is not None:
        latest = min(latest, by - wanted.work - 2 * wanted.changeover)
    return latest


def policy_of(spec: JobSpec, submitted_at: datetime) -> PolicySpec:
    """The deadline counts from the job's submission, however long it waited, and whichever attempt it is."""
    wanted, by = spec.policy.deadline, deadline_of(spec, submitted_at)
    if wanted is None or by is None:
        return spec.policy
    return spec.policy.model_copy(update={"deadline": wanted.model_copy(update={"within": None, "by": by})})


def workload_of(
    spec: JobSpec,
    number: int,
    *,
    submitted_at: datetime,
    budget: Decimal | None,
    place: ArrayPlace | None,
) -> WorkloadSpec:
    """What an attempt is: the job's own words, with what is left of its money, and its state proven before the end."""
    told: dict[str, str | SecretRef] = {"JOB_NAME": spec.name, "JOB_ATTEMPT": str(number)}
    if place is not None:
        told |= {"ARRAY_INDEX": str(place.index), "ARRAY_SIZE": str(place.size), **place.values}
    words = {name: getattr(spec, name) for name in WorkloadSpec.model_fields}
    return WorkloadSpec(
        **words
        | {
            "name": attempt_name(spec.name, number),
            "command": spec.what_runs,
            "workdir": None,
            "environment": {**spec.environment, **told},
            "policy": policy_of(spec, submitted_at),
            "budget": budget,
            "checkpoint": spec.checkpoint.model_copy(update={"verify_last": True}),
        }
    )


def places(array: str, wanted: ArraySpec) -> tuple[ArrayPlace, ...]:
    """Every job of an array: each combination of the values, `count` times.

    Raises:
        ValueError: there would be none, or too many.
    """
    names = tuple(wanted.values)
    if not names and wanted.count is None:
        raise ValueError("an array needs a count, or values")
    size = math.prod([len(each) for each in wanted.values.values()]) * (wanted.count or 1)
    if not 1 <= size <= MOST_OF_AN_ARRAY:
        raise ValueError(f"an array has 1 to {MOST_OF_AN_ARRAY} jobs, not {size}")
    rows = [row for row in itertools.product(*wanted.values.values()) for _ in range(wanted.count or 1)]
    return tuple(
        ArrayPlace(
            array=array, index=index, size=size, values=dict(zip(names, row, strict=True)), at_once=wanted.at_once
        )
        for index, row in enumerate(rows)
    )


def phase_of(workload: Phase) -> JobPhase | None:
    """As a job shows what its workload is at. None: it goes on as before."""
    match workload:
        case Phase.PLACING | Phase.WAITING:
            return JobPhase.STARTING
        case Phase.RUNNING:
            return JobPhase.RUNNING
        case Phase.FAILING_OVER | Phase.RESUMING:
            return JobPhase.MOVING
        case Phase.PAUSING | Phase.PAUSED:
            return JobPhase.PAUSED
        case Phase.STOPPING:
            return JobPhase.STOPPING
        case _:
            return None


def _lost(attempts: tuple[JobAttempt, ...]) -> int:
    return sum(each.upshot is Upshot.LOST for each in attempts)
