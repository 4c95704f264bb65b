"""Which strategies answer a loss, in which order, and which are left out and why.

The order is the owner's: `spec.ladder`, with one exception: a machine that still answers goes on in place before
anything else is tried, if `coldstart` is permitted at all. Beyond that this module only leaves out what cannot work or
is not permitted, and says how each remaining rung may treat the machine that was lost.
"""

from dataclasses import dataclass

from holdfast.contracts.incidents import Cause
from holdfast.contracts.machines import InstanceState
from holdfast.contracts.spec import FailoverSpec, Strategy

_RESTARTABLE_CAUSES = (Cause.REBOOTED, Cause.EXITED)
_RESTARTABLE_STATES = (
    InstanceState.RUNNING,  # rebooted: only the work has to be started
    InstanceState.STOPPED,
    InstanceState.EXITED,
    InstanceState.UNKNOWN,  # the provider did not say; asking it to start costs nothing
)


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One strategy to try."""

    strategy: Strategy
    reason: str
    in_place: bool = False  # first try the lost machine itself, with what is on its disk
    new_machine: bool = True  # may rent another one
    release_lost: bool = False  # the lost machine may be let go at once: nothing on it is needed any more


@dataclass(frozen=True, kw_only=True)
class SkippedRung:
    """A strategy of the policy that this loss leaves out."""

    strategy: Strategy
    reason: str


# The machine answers and holds all the work: whatever the owner's order, nothing is lost and nothing rented this way.
_IN_PLACE = Rung(
    strategy=Strategy.COLDSTART,
    reason="the machine answers, and its disk holds all the work: it goes on in place",
    in_place=True,
    new_machine=False,
)


def rungs(
    spec: FailoverSpec, *, cause: Cause, has_checkpoint: bool, lost_state: InstanceState = InstanceState.UNKNOWN
) -> tuple[Rung, ...]:
    """The rungs to climb, first to last; empty when the policy permits none of them.

    `has_checkpoint`: a committed checkpoint exists, checkpoint zero included. `lost_state`: the provider's newest word
    on the lost machine.
    """
    weighed = _weigh(spec, cause, has_checkpoint, lost_state)
    return tuple(rung for rung in weighed if isinstance(rung, Rung))


def skipped(
    spec: FailoverSpec, *, cause: Cause, has_checkpoint: bool, lost_state: InstanceState = InstanceState.UNKNOWN
) -> tuple[SkippedRung, ...]:
    """The other half of `rungs`, for the same arguments: what is left out, and why."""
    weighed = _weigh(spec, cause, has_checkpoint, lost_state)
    return tuple(rung for rung in weighed if isinstance(rung, SkippedRung))


def _weigh(
    spec: FailoverSpec, cause: Cause, has_checkpoint: bool, lost_state: InstanceState
) -> list[Rung | SkippedRung]:
    # With a checkpoint to restore first, the lost machine holds nothing that the policy still counts on: it is let go
    # before the first try, so that no moment is paid twice. No later rung may then restart it.
    released = has_checkpoint and spec.ladder[0] is Strategy.SNAPSHOT
    restartable = not released and cause in _RESTARTABLE_CAUSES and lost_state in _RESTARTABLE_STATES
    may_start_empty = spec.lose_work or not has_checkpoint
    weighed: list[Rung | SkippedRung] = []
    if released and cause is Cause.REBOOTED and Strategy.COLDSTART in spec.ladder:
        weighed.append(_IN_PLACE)
    for strategy in spec.ladder:
        if strategy is Strategy.SNAPSHOT:
            weighed.append(_snapshot(has_checkpoint, release_lost=released))
        else:
            weighed.append(_coldstart(cause, restartable, may_start_empty, has_checkpoint, released))
    return weighed


def _snapshot(has_checkpoint: bool, *, release_lost: bool) -> Rung | SkippedRung:
    if not has_checkpoint:
        return SkippedRung(strategy=Strategy.SNAPSHOT, reason="there is no committed checkpoint to restore")
    why = "restores the newest committed checkpoint on the best machine that the policy allows"
    return Rung(strategy=Strategy.SNAPSHOT, reason=why, release_lost=release_lost)


def _coldstart(
    cause: Cause, restartable: bool, may_start_empty: bool, has_checkpoint: bool, released: bool
) -> Rung | SkippedRung:
    if not (restartable or may_start_empty):
        kept = "is let go for the checkpoint's sake" if released else f"cannot be restarted after {cause.value}"
        why = f"the lost machine {kept}, and a new one would start without the work that was saved (lose_work is off)"
        return SkippedRung(strategy=Strategy.COLDSTART, reason=why)
    reasons = []
    if restartable:
        reasons.append("the machine's disk is intact: it is restarted in place first")
    if may_start_empty:
        reasons.append("a new machine may start " + _permission(has_checkpoint))
    return Rung(
        strategy=Strategy.COLDSTART, reason="; ".join(reasons), in_place=restartable, new_machine=may_start_empty
    )


def _permission(has_checkpoint: bool) -> str:
    if has_checkpoint:
        return "without the saved work, because lose_work is on"
    return "from nothing, because nothing was ever saved"
