"""Whatever is killed comes back; whatever is stopped stays stopped."""

import os
import signal

import pytest

from holdfast.embedded import start_time
from holdfast.workers.stack.commands import down
from holdfast.workers.stack.state import Home, Phase
from tests.unit.stack.conftest import FAKE_WORKER, Stack, eventually

pytestmark = pytest.mark.usefixtures("workers_only")
BROKEN = f"worker_command={(*FAKE_WORKER, '--broken')!r}"


def supervisor(stack: Stack) -> int:
    state = Home(stack.data_dir).read()
    assert state is not None
    return state.keepers[0].pid


def guardian(stack: Stack) -> int:
    """It is started by the supervisor, and may be on record a moment after the stack is ready."""
    home = Home(stack.data_dir)
    eventually(lambda: len(((state := home.read()) and state.keepers) or ()) > 1)
    state = home.read()
    assert state is not None
    return state.keepers[1].pid


def guarded(stack: Stack, *, not_by: int) -> bool:
    state = Home(stack.data_dir).read()
    return state is not None and len(state.keepers) == 2 and state.keepers[1].lives() and guardian(stack) != not_by


def test_a_worker_that_is_killed_is_started_again(stack: Stack) -> None:
    stack.up()
    stack.kill(stack.pid("worker-1"))
    eventually(lambda: stack.lives("worker-1", restarts=1))
    eventually(lambda: "worker-1 is back" in stack.said())


def test_a_supervisor_that_is_killed_is_replaced_and_its_processes_are_kept(stack: Stack) -> None:
    stack.up()
    worker, killed = stack.pid("worker-1"), supervisor(stack)
    stack.kill(killed)
    eventually(lambda: "took over worker-1" in stack.said())
    assert supervisor(stack) != killed
    assert stack.pid("worker-1") == worker


def test_a_new_supervisor_starts_what_it_took_over_again(stack: Stack) -> None:
    stack.up()
    stack.kill(supervisor(stack))
    eventually(lambda: "took over worker-1" in stack.said())
    stack.kill(stack.pid("worker-1"))
    eventually(lambda: stack.lives("worker-1", restarts=1))


def test_a_launcher_that_is_killed_leaves_the_stack_in_the_care_of_a_guardian(stack: Stack) -> None:
    launcher = stack.up()
    worker = stack.pid("worker-1")
    launcher.kill()
    launcher.wait()
    eventually(lambda: guarded(stack, not_by=launcher.pid))
    killed = supervisor(stack)
    stack.kill(killed)
    eventually(lambda: stack.status().kept and supervisor(stack) != killed)
    assert stack.pid("worker-1") == worker


def test_a_guardian_that_is_killed_is_replaced(stack: Stack) -> None:
    stack.up(detach=True)
    eventually(lambda: guarded(stack, not_by=0))
    killed = guardian(stack)
    stack.kill(killed)
    eventually(lambda: guarded(stack, not_by=killed))


def test_ctrl_c_stops_everything(stack: Stack) -> None:
    launcher = stack.up()
    worker = stack.pid("worker-1")
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(60) == 0
    assert "stopped; the data is kept" in stack.said()
    assert not alive(worker)
    assert stack.status().phase is Phase.STOPPED


def test_down_stops_a_detached_stack_and_may_be_repeated(stack: Stack) -> None:
    assert stack.up(detach=True).wait(60) == 0
    worker = stack.pid("worker-1")
    said: list[str] = []
    assert down(stack.data_dir, said.append) == 0
    assert down(stack.data_dir, said.append) == 0
    assert said == ["stopped; the data is kept", f"no stack runs in {stack.data_dir}"]
    assert not alive(worker)


def test_down_stops_what_both_keepers_left_behind(stack: Stack) -> None:
    stack.up(detach=True)
    worker, keepers = stack.pid("worker-1"), (guardian, supervisor)
    for keeper in keepers:
        # Stopped first, so that neither can replace the other before it is killed too.
        os.kill(keeper(stack), signal.SIGSTOP)
    for keeper in keepers:
        stack.kill(keeper(stack))
    eventually(lambda: not stack.status().kept)
    assert alive(worker)
    down(stack.data_dir, lambda _: None)
    assert not alive(worker)


def test_a_second_up_adopts_what_both_keepers_left_behind(stack: Stack) -> None:
    stack.up(detach=True)
    worker, keepers = stack.pid("worker-1"), (guardian, supervisor)
    for keeper in keepers:
        os.kill(keeper(stack), signal.SIGSTOP)
    for keeper in keepers:
        stack.kill(keeper(stack))
    eventually(lambda: not stack.status().kept)
    stack.up(detach=True)
    assert stack.pid("worker-1") == worker


def test_a_second_up_on_the_same_directory_is_refused(stack: Stack) -> None:
    stack.up(detach=True)
    assert stack.up(detach=True).wait() == 1
    assert "already runs" in stack.said()
    assert "holdfast down" in stack.said()


def test_a_second_up_after_down_uses_the_same_addresses(stack: Stack) -> None:
    stack.up(detach=True)
    before = stack.status().addresses
    down(stack.data_dir, lambda _: None)
    stack.up(detach=True)
    assert stack.status().addresses == before


def test_a_worker_that_cannot_start_ends_the_attempt_and_shows_the_end_of_its_log(stack: Stack) -> None:
    assert stack.up(options=BROKEN).wait(60) == 1
    assert "worker-1 exited with status 1 before it was ready" in stack.said()
    assert "broken on purpose" in stack.said()
    assert not any(each.lives for each in stack.status().processes)


def test_a_detached_stack_that_cannot_start_says_so_too(stack: Stack) -> None:
    assert stack.up(detach=True, options=BROKEN).wait(60) == 1
    assert "broken on purpose" in stack.said()


def test_there_are_as_many_workers_as_asked_for_and_fewer_the_next_time(stack: Stack) -> None:
    stack.up(detach=True, options="workers=2")
    assert {each.name for each in stack.status().processes} == {"worker-1", "worker-2"}
    second = stack.pid("worker-2")
    down(stack.data_dir, lambda _: None)
    stack.up(detach=True)
    assert {each.name for each in stack.status().processes} == {"worker-1"}
    assert not alive(second)


def alive(pid: int) -> bool:
    return start_time(pid) != ""  # a zombie that nobody has collected yet is dead enough
