"""A workload's deadline in the words of the policy that keeps it (`policy/deadline`).

Work counts as done when it is saved: what a loss would take away is not.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from holdfast.contracts.checkpoints import CheckpointRef
from holdfast.contracts.machines import Terms
from holdfast.contracts.spec import DeadlineSpec, WorkloadSpec
from holdfast.contracts.workload import DeadlineState, Seen
from holdfast.policy.deadline import Answer, Moment, Plan, Rule, Use, decide
from holdfast.policy.outlook import WINDOW, Outlook, Sighting, looking_back

SHORTEST_REVIEW: Final = timedelta(seconds=2)
LONGEST_REVIEW: Final = timedelta(minutes=10)
_MOST_SEEN: Final = 200  # turns of the spot market that are carried along; far more than two days have


def review(wanted: DeadlineSpec) -> timedelta:
    """How often the question is asked while nothing happens: often enough beside what a move costs."""
    return min(max(wanted.changeover / 2, SHORTEST_REVIEW), LONGEST_REVIEW)


def ends_at(wanted: DeadlineSpec, begun_at: datetime) -> datetime:
    """The deadline, of a workload that began then."""
    return wanted.by or begun_at + (wanted.within or timedelta())


def plan(spec: WorkloadSpec, wanted: DeadlineSpec, begun_at: datetime) -> Plan:
    """What is to be done by when, as the policy wants to know it."""
    return Plan(
        work=wanted.work,
        deadline=max(ends_at(wanted, begun_at) - begun_at, timedelta(seconds=1)),
        changeover=wanted.changeover,
        review=review(wanted) + spec.failover.silence,  # a loss is noticed as late as that
        cadence=spec.checkpoint.every,
    )


def is_possible(wanted: DeadlineSpec, begun_at: datetime) -> bool:
    """Whether a machine on demand, rented at once, meets it."""
    return begun_at + wanted.changeover + wanted.work <= ends_at(wanted, begun_at)


def done(earned: timedelta, *, head: CheckpointRef | None, started_at: datetime | None) -> timedelta:
    """The work that is saved: on earlier machines, and on this one up to its newest checkpoint."""
    if head is None or started_at is None:
        return earned
    return earned + max(head.taken_at - started_at, timedelta())


def earned(
    before: timedelta, *, head: CheckpointRef | None, base: CheckpointRef | None, started_at: datetime | None
) -> timedelta:
    """What a new machine begins with: all that was saved, less what an older checkpoint lacks; nothing from nothing.

    `started_at` is when the work had started on the machine before.
    """
    if base is None:
        return timedelta()
    lacking = head.taken_at - base.taken_at if head is not None and base.sequence < head.sequence else timedelta()
    return max(done(before, head=head, started_at=started_at) - lacking, timedelta())


def saw(seen: Sequence[Seen], *, at: datetime, up: bool) -> tuple[Seen, ...]:
    """The sightings with one more; only turns are kept, and those that still say something."""
    if seen and seen[-1].up is up:
        return tuple(seen)
    return (*(each for each in seen if at - each.at < 2 * WINDOW), Seen(at=at, up=up))[-_MOST_SEEN:]


class At(NamedTuple):
    """How things stand when the question is asked."""

    now: datetime
    done: timedelta  # of the work, and saved
    using: Use
    spot_up: bool


def answer(spec: WorkloadSpec, wanted: DeadlineSpec, state: DeadlineState, moment: At) -> Answer:
    """What the work should run on now, and why."""
    return decide(
        Rule(wanted.rule.value),
        plan(spec, wanted, state.begun_at),
        Moment(
            elapsed=moment.now - state.begun_at,
            done=moment.done,
            using=moment.using,
            spot_up=moment.spot_up,
            outlook=_outlook(state.seen, moment.now),
        ),
    )


def with_terms(spec: WorkloadSpec, use: Use) -> WorkloadSpec:
    """The spec as machines of this kind are searched for."""
    terms = Terms.ON_DEMAND if use is Use.ON_DEMAND else Terms.INTERRUPTIBLE
    return spec.model_copy(update={"resources": spec.resources.model_copy(update={"terms": terms})})


def _outlook(seen: Sequence[Seen], now: datetime) -> Outlook:
    if not seen:
        return Outlook()
    first = seen[0].at
    return looking_back([Sighting(each.at - first, each.up) for each in seen], now=now - first)
