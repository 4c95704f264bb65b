"""One job on a virtual clock: the production rule is asked, and its answers are carried out on a trace.

A machine that is launched is paid for and makes no progress for the changeover. A spot machine is lost at the first
tick at which its zone is down. The last tick is charged up to completion. Without a cadence progress is kept; with one,
a loss takes away what was done since the last save, and saves take time. On demand nothing is lost, so nothing needs to
be saved; a planned move saves first, and the time for that is part of the changeover.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from math import inf

from holdfast.contracts.spec import Strategy
from holdfast.policy.deadline import Answer, Holds, Moment, Plan, Rule, Use, decide
from holdfast.simcloud.studies import failover
from holdfast.simcloud.studies.saving import KEEPS_ALL, Cadence, Saves
from holdfast.simcloud.studies.world import Choice, World

_ALMOST = 1e-6  # seconds: sums of floats
_LEAST_CADENCE = 1.0  # seconds: saves that cost nothing would be made all the time


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Some time on one machine, or on none. Hours count from the start of the job."""

    use: Use
    zone: str  # "" off spot
    since: float
    until: float
    done_before: float  # hours of work, by its start
    done: float  # hours of work, by its end
    why: str


@dataclass(kw_only=True)
class Outcome:
    """What one job came to. Spans are seconds; `cost` is in seconds on demand."""

    start: int  # tick
    finished: float = inf  # from the start of the job
    cost: float = 0.0
    on_demand: float = 0.0  # time paid for on demand
    spot: float = 0.0  # time paid for on spot
    idle: float = 0.0  # time without progress: waiting, changing over, saving
    lost_work: float = 0.0  # done since the last save when a machine was lost
    losses: int = 0
    started_over: int = 0  # losses that no checkpoint answered
    launches: int = 0
    story: list[Stretch] = field(default_factory=list)


@dataclass(kw_only=True)
class _Machine:
    use: Use = Use.WAIT
    zone: int = -1
    ready_in: float = 0.0  # seconds
    saves: Saves = KEEPS_ALL
    clock: float = 0.0  # seconds of work and saves since it was ready

    @property
    def unsaved(self) -> float:
        """The work that its loss would take away."""
        return 0.0 if self.saves is KEEPS_ALL else self.saves.worked(self.clock) - self.saves.saved(self.clock)


class _Job:
    def __init__(self, world: World, plan: Plan, start: int, choice: Choice, cadence: Cadence | None) -> None:
        self.world, self.plan, self.start, self.choice, self.cadence = world, plan, start, choice, cadence
        self.machine, self.outcome = _Machine(), Outcome(start=start)
        self.work, self.done = plan.work.total_seconds(), 0.0

    def lose(self) -> None:
        """The zone of the spot machine has gone down."""
        self.outcome.losses += 1
        self.outcome.lost_work += self.machine.unsaved
        self.done -= self.machine.unsaved
        if self.cadence and failover.first_rung(has_checkpoint=self.done > _ALMOST).strategy is Strategy.COLDSTART:
            self.outcome.started_over += 1
        self.machine = _Machine()

    def moment(self, at: int) -> Moment:
        """How the job stands at tick `at`."""
        return Moment(
            elapsed=timedelta(seconds=(at - self.start) * self.world.tick),
            done=timedelta(seconds=self.done - self.machine.unsaved),
            using=self.machine.use,
            spot_up=self.machine.use is Use.SPOT or self.world.anywhere.up[at],
            outlook=self.world.outlook(at),
        )

    def obey(self, answer: Answer, at: int) -> None:
        """Rent, keep, or let go."""
        if answer.use is self.machine.use:
            return
        if answer.use is Use.WAIT:
            self.machine = _Machine()
            return
        zone = self.world.pick(at, self.choice) if answer.use is Use.SPOT else -1
        if zone is None:
            raise ValueError("the rule wants spot where there is none")
        self.outcome.launches += 1
        saves = self._saves(at) if answer.use is Use.SPOT else KEEPS_ALL
        ready_in = self.plan.changeover.total_seconds()
        self.machine = _Machine(use=answer.use, zone=zone, ready_in=ready_in, saves=saves)

    def _saves(self, at: int) -> Saves:
        if self.cadence is None:
            return KEEPS_ALL
        takes = self.cadence.takes
        best = max(_LEAST_CADENCE, self.world.outlook(at).cadence(timedelta(seconds=takes)).total_seconds())
        every = best if self.cadence.every is None else self.cadence.every
        # The safety net reckons with `plan.cadence`: no loss may take away more than that.
        most = self.plan.cadence.total_seconds() - takes
        return Saves(every=min(every, most) if most > 0 else every, takes=takes)

    def asked_again(self, answer: Answer, at: int) -> int:
        """The tick of the next question."""
        if answer.holds is Holds.UNTIL_DONE:
            return self.world.length
        if answer.holds is Holds.UNTIL_LOST:
            return self.world.zones[self.machine.zone].turns[at]
        return at + 1

    def go_on(self, span: float) -> float:
        """Let `span` seconds pass, or as many as the job still takes; the answer is how many passed."""
        machine, outcome = self.machine, self.outcome
        if machine.use is Use.WAIT:
            outcome.idle += span
            return span
        before = machine.saves.worked(machine.clock)
        to_the_end = machine.ready_in + machine.saves.until(before + self.work - self.done) - machine.clock
        passed = min(span, to_the_end)
        machine.clock += max(0.0, passed - machine.ready_in)
        machine.ready_in = max(0.0, machine.ready_in - passed)
        progress = machine.saves.worked(machine.clock) - before
        self.done += progress
        outcome.idle += passed - progress
        if machine.use is Use.SPOT:
            outcome.spot += passed
            outcome.cost += passed * self.plan.spot_share
        else:
            outcome.on_demand += passed
            outcome.cost += passed
        return passed

    def tell(self, since: float, passed: float, before: float, answer: Answer, *, joins: bool) -> None:
        """Add a stretch to the story, or lengthen the last one."""
        zone = self.world.zones[self.machine.zone].name if self.machine.use is Use.SPOT else ""
        first = self.outcome.story.pop() if joins else None
        self.outcome.story.append(
            Stretch(
                use=self.machine.use,
                zone=zone,
                since=first.since if first else since / 3600,
                until=(since + passed) / 3600,
                done_before=first.done_before if first else before / 3600,
                done=self.done / 3600,
                why=first.why if first else answer.reason,
            )
        )


def run(
    world: World,
    plan: Plan,
    rule: Rule,
    *,
    start: int,
    choice: Choice = Choice.LONGEST_UP,
    cadence: Cadence | None = None,
    story: bool = False,
) -> Outcome:
    """Run one job from tick `start` until it is done or the trace ends. Equal input gives an equal outcome."""
    job, at = _Job(world, plan, start, choice, cadence), start
    while at < world.length:
        machine = job.machine
        if machine.use is Use.SPOT and not world.zones[machine.zone].up[at]:
            job.lose()
        answer = decide(rule, plan, job.moment(at))
        job.obey(answer, at)
        until, before = job.asked_again(answer, at), job.done
        passed = job.go_on((until - at) * world.tick)
        if story:
            job.tell((at - start) * world.tick, passed, before, answer, joins=job.machine is machine and at > start)
        if job.done >= job.work - _ALMOST:
            job.outcome.finished = (at - start) * world.tick + passed
            break
        at = until
    return job.outcome
