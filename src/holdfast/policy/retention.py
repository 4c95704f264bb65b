"""Which checkpoints stay. Nothing is deleted here: the answer names what no rule protects."""

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.contracts.checkpoints import CheckpointRef


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Every checkpoint that was given stands in exactly one of the two, oldest first."""

    keep: tuple[CheckpointRef, ...]
    retire: tuple[CheckpointRef, ...]


def retain(
    checkpoints: Iterable[CheckpointRef],
    *,
    newest: int,
    head: CheckpointRef | None,
    pinned: frozenset[str] = frozenset(),
) -> Retention:
    """Keep the `newest` by sequence, checkpoint zero, those whose manifest is `pinned`, and the head whatever else.

    A checkpoint beyond the head is kept too: it was committed after the head was read. `newest` below one keeps what
    the other rules protect.
    """
    ordered = sorted(checkpoints, key=lambda each: each.sequence)
    recent = {each.sequence for each in ordered[max(len(ordered) - max(newest, 0), 0) :]}

    def protected(each: CheckpointRef) -> bool:
        beyond = head is not None and each.sequence >= head.sequence
        return beyond or each.sequence in recent or each.sequence == 0 or each.manifest in pinned

    return Retention(
        keep=tuple(each for each in ordered if protected(each)),
        retire=tuple(each for each in ordered if not protected(each)),
    )
