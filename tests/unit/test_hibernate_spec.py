"""When work that is not used sleeps, as its owner writes it."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from holdfast.client.errors import SpecInvalid
from holdfast.client.specs import read_spec
from holdfast.contracts.hours import HoursSpec
from holdfast.contracts.spec import HibernateSpec, PauseMode, WorkloadSpec

SPEC = """\
name: lab
command: jupyter lab
price: {max_hourly: 0.50}
hibernate:
  after: 45m
  mode: stop
  awake:
    - {days: [mon, fri], begins: 08:00, ends: ENDS, zone: Europe/Berlin}
"""


def test_a_spec_that_hibernates_is_read_and_comes_through_a_history_as_it_was() -> None:
    spec = read_spec(SPEC.replace("ENDS", "'18:30'"))
    assert spec.hibernate is not None
    assert (spec.hibernate.after, spec.hibernate.mode) == (timedelta(minutes=45), PauseMode.STOP)
    assert str(spec.hibernate.awake[0].ends) == "18:30:00"
    assert WorkloadSpec.model_validate_json(spec.model_dump_json()) == spec


def test_a_time_that_yaml_reads_as_a_number_is_refused_with_its_place() -> None:
    with pytest.raises(SpecInvalid) as refused:
        read_spec(SPEC.replace("ENDS", "18:30"), source="lab.yaml")
    (problem,) = refused.value.problems
    assert (problem.path, problem.line) == ("hibernate.awake.0.ends", 8)
    assert "needs quotes" in problem.message


def test_work_does_not_hibernate_unless_its_owner_says_so() -> None:
    assert read_spec("name: lab\ncommand: x\nprice: {max_hourly: 1}\n").hibernate is None


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"after": None}, "without both it never sleeps"),
        ({"after": "1s"}, "greater than or equal to"),
        ({"gpu_below": 101}, "less than or equal to 100"),
        ({"cpu_below": -1}, "greater than or equal to 0"),
        ({"mode": "freeze"}, "'stop' or 'checkpoint'"),
        ({"idle": "5m"}, "not permitted"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        HibernateSpec.model_validate(wrong)


def test_it_is_told_before_it_sleeps_and_not_before_half_of_the_time_is_over() -> None:
    minute = timedelta(minutes=1)
    assert HibernateSpec(after=30 * minute, warn=5 * minute).warned_after() == 25 * minute
    assert HibernateSpec(after=6 * minute, warn=5 * minute).warned_after() == 3 * minute
    assert HibernateSpec(after=6 * minute, warn=timedelta()).warned_after() == 6 * minute
    day = HoursSpec.model_validate({"begins": "08:00", "ends": "18:00"})
    assert HibernateSpec(after=None, awake=(day,)).warned_after() is None
