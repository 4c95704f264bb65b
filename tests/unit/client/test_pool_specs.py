"""A pool's spec: what is written wrongly is named before a machine is rented."""

from datetime import timedelta

import pytest

from holdfast.client.errors import SpecInvalid
from holdfast.client.specs import read_pool_spec

GOOD = "name: spare\nprice: {max_hourly: 0.5}\n"


def test_what_is_left_out_has_a_default() -> None:
    spec = read_pool_spec(GOOD)
    assert (spec.target, spec.sync_every) == (1, timedelta(minutes=5))
    assert spec.as_workload().name == "pool--spare"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("target: 3\nmaximum: 2", "must rise in this order"),
        ("workspace: ../elsewhere", "below the login's home"),
        ("sync: [No-Name]", "lower-case letters"),
        ("sync_every: 5", "a duration needs its unit"),
        ("commmand: x", "is not a field of a spec"),
    ],
)
def test_a_mistake_is_named(line: str, told: str) -> None:
    with pytest.raises(SpecInvalid, match=told):
        read_pool_spec(f"{GOOD}{line}\n")
