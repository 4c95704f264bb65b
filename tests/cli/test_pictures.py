"""Pictures show every phase that is measured."""

from dataclasses import fields

from holdfast.cli.picture import WAKING
from holdfast.contracts.endpoints import WakePhases


def test_every_phase_of_a_wake_has_a_colour() -> None:
    assert WAKING.keys() == {each.name for each in fields(WakePhases)}
    assert len(set(WAKING.values())) == len(WAKING)
