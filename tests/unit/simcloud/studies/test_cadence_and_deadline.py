"""Saves eat slack: even so no deadline is missed, on weather in which spot stays for long and is then lost late."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from holdfast.policy.deadline import Rule
from holdfast.simcloud.studies.study import Order, simulate
from holdfast.simcloud.studies.traces import Trace

ORDER = Order(
    compute=timedelta(hours=12),
    deadline=timedelta(hours=14),
    changeover=timedelta(minutes=12),
    price_ratio=0.3,
    policies=tuple(rule for rule in Rule if rule is not Rule.SPOT_ONLY),
    every=timedelta(hours=4),
    save_cost=timedelta(seconds=60),
)


def weather() -> Trace:
    chance = random.Random(7)
    counts = [int(chance.random() < 0.9)]
    for _ in range(1200):
        counts.append(int(chance.random() < (0.985 if counts[-1] else 0.1)))
    return Trace(zone="drawn", origin="here", tick=195, counts=counts)


@pytest.mark.parametrize("cadence", [None, timedelta(minutes=5), timedelta(hours=1)])
def test_no_deadline_is_missed_with_saves(cadence: timedelta | None) -> None:
    study = simulate([weather()], replace(ORDER, cadence=cadence))
    assert {row.policy: row.missed for row in study.rows if row.missed} == {}
    assert all(row.lost_work > timedelta() for row in study.rows if row.losses)
