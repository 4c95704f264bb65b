"""What base and tuned model answered at an endpoint, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.cli import console

if TYPE_CHECKING:
    from holdfast.contracts.deployments import Release


def words_of_release(release: Release | None) -> str:
    """In one line."""
    return f"release {release.number} is {release.state}: {release.reason}" if release else "not decided yet"


def show_compared(release: Release) -> None:
    """Each probe, as the endpoint answered it; and as the trainer heard it, where that is something else."""
    for each in release.compared:
        console.answer(f"\nasked {release.endpoint}: {each.prompt}\nbase:  {each.base}\ntuned: {each.tuned}")
        if each.trained != each.tuned and each.trained:
            console.answer(f"when it was trained: {each.trained}")
