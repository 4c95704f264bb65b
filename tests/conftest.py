"""Fixtures for every test."""

import os
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, ClassVar

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.simmarket import RunningMarket, run_market

# The server programs are static Go: without these they do not start for a uid that has no name, as containers like it.
os.environ["USER"] = os.environ.get("USER") or "holdfast"
os.environ["HOME"] = os.environ.get("HOME") or "/"
# Where no bytecode may be written, every process that a test starts compiles Holdfast anew, and so does the sandbox of
# every workflow in this one: twice the work.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.fixture
def market(tmp_path: Path) -> Iterator[RunningMarket]:
    """A fresh simulated market in its own process, with the default profile, no boot delay and no minimum intervals."""
    with run_market(tmp_path / "sim") as running:
        yield running


_STORIES = ("scenarios", "cli", "workflows")
# What takes half a minute and more, and is not the first thing to break: `make long` and the gate run it, `make test`
# does not. Of a file the tests that are named, or all.
_LONG = {
    "chaos/money/test_every_boundary.py": ("test_every_day_some_boundaries_under_each_trouble",),
    "chaos/money/test_schedules.py": (),
    "cli/test_bad_input_end_to_end.py": (
        "test_a_save_tells_what_it_waits_for_and_ctrl_c_leaves_it_under_way",
        "test_a_workload_that_was_terminated_by_hand_does_not_pass_for_running",
        "test_workers_that_hang_are_told_and_lose_nothing",
        "test_a_store_that_hangs_is_the_doctor_s_finding_and_not_his_end",
        "test_a_setup_that_fails_ends_the_workload_after_two_machines",
        "test_ctrl_c_ends_the_watching_and_not_the_work",
        "test_orders_that_do_not_fit_the_state_change_nothing",
        "test_a_store_that_hangs_is_told_and_nothing_starts_until_it_is_back",
        "test_a_wrong_key_is_not_taken_for_something_that_is_not_there",
    ),
    "cli/test_several_providers_end_to_end.py": (),
    "conformance/providers/test_example.py": (),
    "live/test_lane.py": (),
    "scenarios/test_bad_offers.py": (),
    "scenarios/test_dead_man.py": (),
    "scenarios/test_deploying.py": (),
    "scenarios/test_down_and_up.py": (),
    "scenarios/test_gcp.py": (
        "test_work_at_google_goes_on_after_a_preemption_with_notice",
        "test_a_paused_machine_at_google_costs_its_disk_only_and_resumes",
    ),
    "scenarios/test_machine_is_lost.py": (
        "test_a_host_that_dies_without_notice_is_given_up_although_the_provider_still_says_running",
    ),
    "scenarios/test_network_partition.py": (),
    "scenarios/test_pause_and_resume.py": (
        "test_a_paused_workload_costs_its_disk_only_and_resumes_where_it_was_or_elsewhere",
    ),
    "scenarios/test_processes_are_killed.py": (
        "test_a_machine_lost_while_the_worker_is_dead_is_replaced_all_the_same",
    ),
    "scenarios/test_provider_api_fails.py": (
        "test_a_loss_while_the_api_is_down_is_waited_out_and_answered_when_it_is_back",
    ),
    "scenarios/test_serverless.py": (
        "test_a_machine_that_dies_in_the_middle_of_a_stream_breaks_it_and_another_answers_the_next_call",
        "test_without_its_store_it_stays_up_and_serves_and_sleeps_when_the_store_is_back",
        "test_a_store_that_hangs_while_it_is_to_sleep_holds_up_no_caller",
        "test_a_call_while_the_provider_is_down_is_held_and_answered_when_it_is_back",
        "test_a_provider_that_is_down_when_it_falls_asleep_loses_nothing",
        "test_a_gateway_that_is_killed_while_it_holds_a_call_keeps_the_machine_no_longer_than_its_pass",
        "test_of_two_gateways_each_keeps_it_awake_for_the_other",
        "test_a_worker_that_is_killed_in_a_pause_and_in_a_wake_costs_neither_state_nor_machine",
    ),
    "scenarios/test_serverless_scaling.py": (),
    "scenarios/test_store_dies.py": (),
    "scenarios/test_sweeping.py": (
        "test_ten_minutes_of_nothing_but_errors_or_empty_lists_harm_nobody",
        "test_a_second_machine_under_one_label_goes_alone",
        "test_a_listing_that_lacks_our_machines_or_never_comes_ends_nothing",
    ),
    "scenarios/test_tensordock.py": ("test_a_paused_machine_of_tensordock_costs_its_disk_only_and_resumes",),
    "scenarios/test_workers_apart.py": (),
    "workflows/test_decider_dies.py": (),
    "workflows/test_endpoint_moments.py": (),
    "workflows/test_every_moment.py": (),
    "workflows/test_garbage.py": ("test_more_live_checkpoints_than_a_payload_has_room_for_all_stay",),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is long. The long stories first: the many short tests then fill what time the workers have left."""
    here = Path(__file__).parent
    for item in items:
        tests = _LONG.get(item.path.relative_to(here).as_posix())
        if tests is not None and (not tests or getattr(item, "originalname", item.name) in tests):
            item.add_marker(pytest.mark.long)

    def turn(item: pytest.Item) -> int:
        room = item.path.relative_to(here).parts[0]
        return _STORIES.index(room) if room in _STORIES else len(_STORIES)

    items.sort(key=turn)


class Crews(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """A file at a time to each process of pytest, and files that need the same stack to few of them.

    A stack is half a dozen servers: each process would start one of its own, and let it run beside all that follows.
    """

    _CREWS: ClassVar = {"tests/scenarios/*": 2, "tests/cli/*_end_to_end.py": 1}

    def __init__(self, *told: Any) -> None:
        super().__init__(*told)
        self._crews: dict[str, dict[str, str]] = {files: {} for files in self._CREWS}

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        for files, many in self._CREWS.items():
            if fnmatch(file, files):
                crews = self._crews[files]
                return crews.setdefault(file, f"{files}: {len(crews) % many}")
        return file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Crews | None:
    return Crews(config, log) if config.getvalue("dist") == "loadfile" else None
