"""Fences and commits under real concurrency: several processes, each with its own connections."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from holdfast.records import workloads
from holdfast.records.errors import Fenced, RecordsUnavailable, Superseded
from holdfast.records.store import Records
from tests.unit.records.makers import claim, commit, offer, opening

WRITERS = 6
COMMITS = 10
ROOT = Path(__file__).parents[3]


def start_rival(url: str, number: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.unit.records.rival", url, f"rival-{number}", str(COMMITS)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_rival_processes_never_interleave_their_epochs(url: str, records: Records) -> None:
    records.open_workload(opening())
    rivals = [start_rival(url, number) for number in range(3)]
    assert [rival.stdout.readline() for rival in rivals if rival.stdout] == ["ready\n"] * 3
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("go\n")
        rival.stdin.flush()
    answers = [rival.communicate(timeout=120)[0].split() for rival in rivals]

    assert [rival.returncode for rival in rivals] == [0, 0, 0]
    history = records.list_checkpoints("train")
    assert [each.sequence for each in history] == list(range(1, len(history) + 1))
    assert [each.epoch for each in history] == sorted(each.epoch for each in history)
    # Nothing that was acknowledged is missing, and nothing else is there.
    assert len(history) == sum(int(committed) for committed, _ in answers) >= 3 * COMMITS


def test_of_many_saves_on_one_head_exactly_one_commits(records: Records) -> None:
    records.open_workload(opening())
    records.claim_epoch(claim(1))
    together = Barrier(WRITERS)

    def save(number: int) -> bool:
        order = commit(1)
        changed = type(order.checkpoint)(**{**order.checkpoint.__dict__, "manifest": f"rival-{number}"})
        together.wait()
        try:
            records.commit_checkpoint(type(order)(checkpoint=changed, expected_sequence=None))
        except Superseded:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as threads:
        assert sorted(threads.map(save, range(WRITERS))) == [False] * (WRITERS - 1) + [True]


def test_of_many_claims_of_one_epoch_exactly_one_offer_wins(records: Records) -> None:
    records.open_workload(opening())
    together = Barrier(WRITERS)

    def try_claim(number: int) -> bool:
        together.wait()
        try:
            records.claim_epoch(claim(1, of=offer(f"offer-{number}")))
        except Fenced:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as threads:
        assert sorted(threads.map(try_claim, range(WRITERS))) == [False] * (WRITERS - 1) + [True]
    assert len(records.open_leases()) == 1


def test_a_name_opened_by_many_at_once_has_one_generation_per_run(records: Records) -> None:
    together = Barrier(WRITERS)

    def open_it(_: int) -> int:
        together.wait()
        return records.open_workload(opening()).epoch

    with ThreadPoolExecutor(WRITERS) as threads:
        assert list(threads.map(open_it, range(WRITERS))) == [0] * WRITERS
    records.claim_epoch(claim(1))
    records.commit_checkpoint(commit(1))


def test_reading_does_not_wait_for_a_writer(url: str, records: Records) -> None:
    records.open_workload(opening())
    other = Records.open(url)
    with records._writing() as session:  # a transaction that another process holds open
        workloads.locked(session, "train").epoch = 7
        session.flush()
        assert other.workload_names() == ["train"]
        assert other.list_checkpoints("train") == []
    other.close()


@pytest.mark.parametrize("error", [Fenced, Superseded, RecordsUnavailable])
def test_an_error_leaves_the_records_usable(records: Records, error: type[Exception]) -> None:
    records.open_workload(opening())
    with pytest.raises(error), records._writing():  # the transaction that every method runs in
        raise error("in the middle")
    assert records.open_workload(opening()).epoch == 0
