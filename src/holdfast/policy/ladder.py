"""Which strategies answer a loss, in which order, and which are left out and why.

The order is the owner's, `spec.ladder`, or with `order: auto` that of the time and money which each strategy is
expected to take. There is one exception: a machine that still answers goes on in place before anything else is tried,
if `coldstart` is permitted at all and the machine is not to be left. Beyond that this module only leaves out what
cannot work or is not permitted, and says how each remaining rung may treat the machine that was lost.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from holdfast.contracts.incidents import Cause
from holdfast.contracts.machines import InstanceState
from holdfast.contracts.memory import StrategyRecord
from holdfast.contracts.spec import FailoverSpec, Order, Strategy
from holdfast.policy.expectation import Expectation, expected

_ANSWERING_CAUSES = (Cause.REBOOTED, Cause.STALLED)
_RESTARTABLE_CAUSES = (*_ANSWERING_CAUSES, Cause.EXITED)
_RESTARTABLE_STATES = (
    InstanceState.RUNNING,  # rebooted: only the work has to be started
    InstanceState.STOPPED,
    InstanceState.EXITED,
    InstanceState.UNKNOWN,  # the provider did not say; asking it to start costs nothing
)


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What a ladder has to answer."""

    cause: Cause
    has_checkpoint: bool  # a committed one exists, checkpoint zero included
    state: InstanceState = InstanceState.UNKNOWN  # the provider's newest word on the lost machine
    region: str = ""  # where it stood; "": not told
    leave: bool = False  # for another machine, though the lost one answers

    @property
    def rehearsed(self) -> bool:
        """Nothing is lost, and nothing may be: the machine is kept until another one has the work."""
        return self.cause is Cause.DRILL


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One strategy to try."""

    strategy: Strategy
    reason: str
    in_place: bool = False  # first try the lost machine itself, with what is on its disk
    new_machine: bool = True  # may rent another one
    release_lost: bool = False  # the lost machine may be let go at once: nothing on it is needed any more
    regions: tuple[str, ...] = ()  # only there, in this order; empty: wherever the spec allows


@dataclass(frozen=True, kw_only=True)
class SkippedRung:
    """A strategy of the policy that this loss leaves out."""

    strategy: Strategy
    reason: str


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """The rungs to climb, first to last, and those that are left out. No rungs: the policy permits no way on."""

    rungs: tuple[Rung, ...]
    skipped: tuple[SkippedRung, ...]

    @property
    def why_none(self) -> str:
        """Why there are no rungs, in words."""
        return "; ".join(f"{each.strategy}: {each.reason}" for each in self.skipped)


# The machine answers and holds all the work: whatever the owner's order, nothing is lost and nothing rented this way.
_IN_PLACE = Rung(
    strategy=Strategy.COLDSTART,
    reason="the machine answers, and its disk holds all the work: it goes on in place",
    in_place=True,
    new_machine=False,
)


BACK = Rung(
    strategy=Strategy.COLDSTART,
    reason="no other machine took the work within the drill's time and budget: it goes on where it was",
    in_place=True,
    new_machine=False,
)
"""How a drill that leads nowhere ends."""


def ladder(
    spec: FailoverSpec, situation: Situation, *, record: Iterable[StrategyRecord] = (), only: Strategy | None = None
) -> Ladder:
    """What may be done about a situation. `record`: how earlier recoveries went. `only`: what a person asked for."""
    known = expected(record)
    order = _order(spec, situation, known) if only is None else (only,)
    weighed = _weigh(spec, situation, order)
    rungs = tuple(_with_expectation(each, spec, known) for each in weighed if isinstance(each, Rung))
    return Ladder(rungs=rungs, skipped=tuple(each for each in weighed if isinstance(each, SkippedRung)))


def _order(spec: FailoverSpec, situation: Situation, known: dict[Strategy, Expectation]) -> tuple[Strategy, ...]:
    """What starts without the saved work comes last, however fast it is; of equal ones, the one that stands first."""
    if spec.order is Order.WRITTEN:
        return spec.ladder

    def place(strategy: Strategy) -> tuple[bool, float]:
        loses_work = strategy is Strategy.COLDSTART and situation.has_checkpoint
        return loses_work, known[strategy].score

    return tuple(sorted(spec.ladder, key=place))


def _with_expectation(rung: Rung, spec: FailoverSpec, known: dict[Strategy, Expectation]) -> Rung:
    if spec.order is Order.WRITTEN or rung == _IN_PLACE:
        return rung
    return replace(rung, reason=f"{rung.reason}; {known[rung.strategy].told}")


def _weigh(spec: FailoverSpec, situation: Situation, order: tuple[Strategy, ...]) -> list[Rung | SkippedRung]:
    # With a checkpoint to restore first, the lost machine holds nothing that the policy still counts on: it is let go
    # before the first try, so that no moment is paid twice. No later rung may then restart it.
    first = next((each for each in order if not isinstance(_elsewhere(each, spec, situation), SkippedRung)), None)
    released = situation.has_checkpoint and first not in (None, Strategy.COLDSTART) and not situation.rehearsed
    restartable = (
        not (released or situation.leave)
        and situation.cause in _RESTARTABLE_CAUSES
        and situation.state in _RESTARTABLE_STATES
    )
    answers = situation.cause in _ANSWERING_CAUSES and not situation.leave
    weighed: list[Rung | SkippedRung] = []
    if released and answers and Strategy.COLDSTART in spec.ladder:
        weighed.append(_IN_PLACE)
    for strategy in order:
        rung = _elsewhere(strategy, spec, situation) or _coldstart(spec, situation, restartable, released)
        if isinstance(rung, Rung) and strategy is not Strategy.COLDSTART:
            rung = replace(rung, release_lost=released)
        weighed.append(rung)
    return weighed


def _elsewhere(strategy: Strategy, spec: FailoverSpec, situation: Situation) -> Rung | SkippedRung | None:
    """The strategies that leave the lost machine at once; None for `coldstart`."""
    match strategy:
        case Strategy.WARMPOOL:
            return _warmpool(spec)
        case Strategy.REGIONAL:
            return _regional(spec, situation)
        case Strategy.SNAPSHOT:
            return _snapshot(situation)
        case Strategy.COLDSTART:
            return None


def _warmpool(spec: FailoverSpec) -> Rung | SkippedRung:
    if spec.pool is None:
        return SkippedRung(strategy=Strategy.WARMPOOL, reason="the policy names no pool")
    return Rung(strategy=Strategy.WARMPOOL, reason=f"takes a standby of the pool {spec.pool}, if one is free")


def _regional(spec: FailoverSpec, situation: Situation) -> Rung | SkippedRung:
    regions = tuple(dict.fromkeys(each for each in (situation.region, *spec.regions) if each))
    if not regions:
        why = "the lost machine's region is not known, and the policy names none"
        return SkippedRung(strategy=Strategy.REGIONAL, reason=why)
    if not situation.has_checkpoint:
        return SkippedRung(strategy=Strategy.REGIONAL, reason="there is no committed checkpoint to restore")
    why = f"restores the newest committed checkpoint in {', then '.join(regions)}"
    return Rung(strategy=Strategy.REGIONAL, reason=why, regions=regions)


def _snapshot(situation: Situation) -> Rung | SkippedRung:
    if not situation.has_checkpoint:
        return SkippedRung(strategy=Strategy.SNAPSHOT, reason="there is no committed checkpoint to restore")
    why = "restores the newest committed checkpoint on the best machine that the policy allows"
    return Rung(strategy=Strategy.SNAPSHOT, reason=why)


def _coldstart(spec: FailoverSpec, situation: Situation, restartable: bool, released: bool) -> Rung | SkippedRung:
    may_start_empty = spec.lose_work or not situation.has_checkpoint
    if situation.rehearsed and situation.has_checkpoint:
        return SkippedRung(strategy=Strategy.COLDSTART, reason="a drill starts nothing without the saved work")
    if not (restartable or may_start_empty):
        kept = (
            "is let go for the checkpoint's sake" if released else f"cannot be restarted after {situation.cause.value}"
        )
        why = f"the lost machine {kept}, and a new one would start without the work that was saved (lose_work is off)"
        return SkippedRung(strategy=Strategy.COLDSTART, reason=why)
    reasons = []
    if restartable:
        reasons.append("the machine's disk is intact: it is restarted in place first")
    if may_start_empty:
        reasons.append("a new machine may start " + _permission(situation.has_checkpoint))
    return Rung(
        strategy=Strategy.COLDSTART, reason="; ".join(reasons), in_place=restartable, new_machine=may_start_empty
    )


def _permission(has_checkpoint: bool) -> str:
    if has_checkpoint:
        return "without the saved work, because lose_work is on"
    return "from nothing, because nothing was ever saved"
