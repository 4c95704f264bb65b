"""The dead man's thread survives what it meets: odd answers, work that cannot be stopped."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.hosts.agent import deadman
from holdfast.hosts.agent.failures import AgentFailure
from holdfast.hosts.agent.home import Home
from tests.unit.hosts.machine import until

YES = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
NO = b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"success":false}'
GARBAGE = b"what?\r\n\r\n"


class Provider:
    """Answers one call after the other as it was told, then always yes."""

    def __init__(self, *answers: bytes) -> None:
        self.asked = 0
        self._answers = [*answers]
        self._door = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def hook(self) -> dict[str, str]:
        return {"url": f"http://127.0.0.1:{self._door.getsockname()[1]}/", "method": "DELETE", "token_env": "NONE"}

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._door.accept()
            except OSError:
                return
            with caller:
                caller.recv(65_536)
                self.asked += 1
                caller.sendall(self._answers.pop(0) if self._answers else YES)

    def close(self) -> None:
        self._door.close()


@pytest.fixture
def provider() -> Iterator[Callable[..., Provider]]:
    made: list[Provider] = []

    def make(*answers: bytes) -> Provider:
        made.append(Provider(*answers))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadman, "_RETRY", 0.05)
    monkeypatch.setattr(deadman, "_GLANCE", 0.02)


def a_man(folder: Path, stop: Callable[[float], object] = lambda grace: None) -> deadman.DeadMan:
    """For work that does not run."""
    return deadman.DeadMan(Home(str(folder)), stop, lambda: False)


@pytest.mark.parametrize("odd", [GARBAGE, NO], ids=["no HTTP", "no, with status 200"])
async def test_a_machine_is_ended_although_the_provider_answers_oddly_at_first(
    tmp_path: Path, provider: Callable[..., Provider], odd: bytes
) -> None:
    asked = provider(odd, odd)
    a_man(tmp_path).lease(0.01, 1, {"self_destruct": asked.hook})
    await until(lambda: asked.asked >= 3)


async def test_work_that_cannot_be_stopped_at_once_keeps_the_machine_from_nothing(
    tmp_path: Path, provider: Callable[..., Provider]
) -> None:
    tries: list[float] = []

    def stop(grace: float) -> None:
        tries.append(grace)
        if len(tries) < 3:
            raise AgentFailure("failed", "some process of the work outlives SIGKILL")

    asked = provider()
    man = a_man(tmp_path, stop)
    man.lease(0.01, 1, {"self_destruct": asked.hook})
    await until(lambda: len(tries) == 3 and asked.asked)
    man.lease(0.01, 2, {})  # a lease that is set later runs out, too
    await until(lambda: tries[-1] == 2)


async def test_a_machine_that_was_agreed_to_end_and_did_not_is_asked_for_again(
    tmp_path: Path, provider: Callable[..., Provider]
) -> None:
    asked = provider(YES, YES)
    a_man(tmp_path).lease(0.01, 1, {"self_destruct": asked.hook})
    await until(lambda: asked.asked >= 3)


@pytest.mark.parametrize("hook", [{"url": "no address"}, {"url": "no address", "method": "DELETE", "token_env": "X"}])
async def test_a_hook_of_no_use_does_not_keep_a_later_lease_from_running_out(
    tmp_path: Path, hook: dict[str, str]
) -> None:
    stops: list[float] = []
    man = a_man(tmp_path, stops.append)
    man.lease(0.01, 1, {"self_destruct": hook})
    await until(lambda: stops == [1])
    man.lease(0.01, 2, {})
    await until(lambda: stops[-1] == 2)


async def test_a_look_that_fails_does_not_keep_a_lease_from_running_out(
    tmp_path: Path, provider: Callable[..., Provider]
) -> None:
    looks: list[None] = []

    def works() -> bool:
        looks.append(None)
        if len(looks) < 3:
            raise OSError("too many open files")
        return False

    asked = provider()
    man = deadman.DeadMan(Home(str(tmp_path)), lambda grace: None, works)
    man.lease(0.01, 1, {"self_destruct": asked.hook, "finish_alone": True})
    await until(lambda: asked.asked)


async def test_a_lease_of_before_a_reboot_runs_out_as_long_after_it(
    tmp_path: Path, provider: Callable[..., Provider]
) -> None:
    asked = provider()
    before = {"boot": "the boot before", "deadline": 10.0**9, "for_s": 0.05, "grace_s": 1, "fired_at": None}
    Home(str(tmp_path)).write("lease.json", {**before, "self_destruct": asked.hook})
    stops: list[float] = []
    a_man(tmp_path, stops.append)
    await until(lambda: stops and asked.asked)


async def test_a_renewal_after_a_reboot_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_man(tmp_path).lease(1000, 1, {})
    monkeypatch.setattr(deadman, "boot_id", lambda: "another boot")
    left = a_man(tmp_path).renew(5000)["lease_left_s"]
    assert left is not None and left > 4000
