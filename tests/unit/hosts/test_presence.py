"""Who is on a machine: people with a terminal, and callers of the work. What cannot be known is not guessed."""

import asyncio
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from holdfast.contracts.channel import AgentError
from holdfast.hosts.agent.presence import Logins, connections, count_logins
from holdfast.hosts.agent.processes import Stat, all_stats
from holdfast.hosts.channel import AgentChannel
from holdfast.hosts.heartbeat import parse_heartbeat
from tests.unit.hosts.orders import order
from tests.unit.hosts.test_strangers import BEAT

PTS = 136 << 8


def process(pid: int, name: str, parent: int, *, leads: bool = False, terminal: int = 0, state: str = "S") -> Stat:
    session = pid if leads else 1
    return Stat(pid=pid, name=name, state=state, parent=parent, session=session, terminal=terminal, started=1)


INIT = process(1, "init", 0, leads=True)
SSHD = process(10, "sshd", 1, leads=True)
OURS = (
    process(20, "sshd", 10, leads=True),
    process(21, "sshd", 20),
    process(22, "python3", 21, leads=True),  # the bridge: no terminal
)
THEIRS = (
    process(30, "sshd", 10, leads=True),
    process(31, "sshd-session", 30),
    process(32, "bash", 31, leads=True, terminal=PTS + 3),
    process(33, "vim", 32, terminal=PTS + 3),
)


def test_our_own_channel_is_nobody() -> None:
    assert count_logins([INIT, SSHD, *OURS]) == 0


def test_a_shell_with_a_terminal_under_ssh_is_somebody() -> None:
    assert count_logins([INIT, SSHD, *OURS, *THEIRS]) == 1


def test_one_login_counts_once_however_many_terminals_it_opens() -> None:
    sudo = process(34, "sudo", 32, terminal=PTS + 3)
    inner = process(35, "bash", 34, leads=True, terminal=PTS + 4)
    assert count_logins([INIT, SSHD, *THEIRS, sudo, inner]) == 1


def test_a_shell_entered_from_outside_of_the_container_is_somebody() -> None:
    assert count_logins([INIT, process(50, "bash", 0, leads=True, terminal=PTS)]) == 1
    assert count_logins([INIT, process(2, "kthreadd", 0)]) == 0


@pytest.mark.parametrize("first", ["init", "sshd", "tmux: server"])
def test_what_was_left_behind_without_anybody_does_not_count(first: str) -> None:
    """A tmux that nobody is attached to, below the first process: also where that is the SSH server."""
    left = (process(40, "tmux: server", 1, leads=True), process(41, "bash", 40, leads=True, terminal=PTS + 1))
    assert count_logins([INIT._replace(name=first), *left]) == 0


def test_a_shell_that_has_ended_is_nobody() -> None:
    assert count_logins([INIT, SSHD, *THEIRS[:2], THEIRS[2]._replace(state="Z")]) == 0


def test_a_terminal_that_is_no_pty_is_not_of_a_login_over_ssh() -> None:
    assert count_logins([INIT, process(60, "agetty", 1, leads=True, terminal=(4 << 8) + 1)]) == 0
    assert count_logins([INIT, SSHD, *THEIRS[:2], THEIRS[2]._replace(terminal=0x88100000 - 2**32)]) == 0


def test_a_system_that_hides_the_processes_of_others_does_not_tell() -> None:
    assert count_logins([process(70, "python3", 1, leads=True)]) is None


def test_the_kernel_tells_the_terminal_of_a_real_process() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.write(1, b"here")  # on its terminal, which it has by now
        os.execvp("sleep", ["sleep", "1000"])
    try:
        os.read(terminal, 4)
        found = next(stat for stat in all_stats() if stat.pid == pid)
        assert (found.terminal >> 8) & 0xFFF == 136 and found.session == pid and found.parent == os.getpid()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def test_a_login_that_really_is_one_is_counted_until_it_ends(tmp_path: Path) -> None:
    """Real processes under one that is called sshd: with a terminal, and then without."""
    server = tmp_path / "sshd"
    server.write_text(
        f"#!{sys.executable}\nimport pty, subprocess, sys\n"
        "shell = ['/bin/sh', '-c', 'echo here; read line']\n"
        "pty.spawn(shell) if sys.argv[1] == 'terminal' else subprocess.run(shell, start_new_session=True)\n"
    )
    server.chmod(0o755)
    before = count_logins(all_stats())
    assert before is not None, "this system hides processes"
    for kind, more in (("terminal", 1), ("none", 0)):
        with subprocess.Popen([server, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as login:
            assert login.stdout is not None
            assert login.stdout.read(4) == b"here"
            assert count_logins(all_stats()) == before + more
            login.communicate(b"\n")
        assert count_logins(all_stats()) == before


def test_names_with_blanks_and_brackets_are_read_whole(tmp_path: Path) -> None:
    odd = tmp_path / "a) S (b"
    odd.write_text("#!/bin/sh\nread line\n")
    odd.chmod(0o755)
    with subprocess.Popen([odd], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        names = {stat.name for stat in all_stats() if stat.pid == child.pid}
        child.kill()
    assert names == {"a) S (b"}


def test_a_look_is_remembered_for_a_while() -> None:
    assert Logins(every=1000)._looked is None
    logins = Logins(every=1000)
    first = logins.count()
    looked = logins._looked
    assert (logins.count(), logins._looked) == (first, looked)
    eager = Logins(every=0)
    eager.count()
    before = eager._looked
    eager.count()
    assert eager._looked is not None and before is not None and eager._looked > before


# --- connections ---------------------------------------------------------------------------------------------------

TITLES = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(local: str, remote: str, state: str = "01") -> str:
    return f"   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"


def test_only_established_connections_to_the_port_itself_count(tmp_path: Path) -> None:
    four, six = tmp_path / "tcp", tmp_path / "tcp6"
    zeros = "0" * 32
    four.write_text(
        TITLES
        + row("0100007F:1F90", "00000000:0000", "0A")  # listens at 8080
        + row("0100007F:1F90", "0100007F:C001")
        + row("0100007F:C001", "0100007F:1F90")  # the caller's end of the same one
        + row("0100007F:1F90", "0100007F:C002", "06")  # over: TIME_WAIT
        + row("0100007F:1F91", "0100007F:C003")
    )
    six.write_text(TITLES + row(f"{zeros}:1F90", f"{zeros}:C004"))
    assert connections(8080, [str(four), str(six)]) == 2
    assert connections(8080, [str(four), str(tmp_path / "none")]) == 1
    assert connections(8080, [str(tmp_path / "none")]) is None
    assert connections(80, [str(four), str(six)]) == 0


@contextmanager
def listening(host: str, family: socket.AddressFamily) -> Iterator[socket.socket]:
    with closing(socket.socket(family)) as listener:
        listener.bind((host, 0))
        listener.listen(8)
        yield listener


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_the_kernel_tells_of_real_connections(host: str, family: socket.AddressFamily) -> None:
    try:
        with listening(host, family) as listener:
            port = listener.getsockname()[1]
            assert connections(port) == 0
            with closing(socket.create_connection((host, port))), closing(listener.accept()[0]):
                assert connections(port) == 1
    except OSError as err:
        if family is socket.AF_INET6:
            pytest.skip(f"no IPv6 here: {err}")
        raise


# --- in a heartbeat ------------------------------------------------------------------------------------------------


async def test_an_agent_tells_the_connections_at_the_port_that_its_work_was_started_with(
    channel: AgentChannel,
) -> None:
    assert (await channel.heartbeat()).connections is None
    with listening("127.0.0.1", socket.AF_INET) as listener:
        port = listener.getsockname()[1]
        await channel.call("start", order("sleep 1000", service_port=port))
        assert (await channel.heartbeat()).connections == 0
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await channel.heartbeat()).connections == 1
        writer.close()


async def test_work_without_a_port_has_no_connections_to_tell_of(channel: AgentChannel) -> None:
    await channel.call("start", order("sleep 1000", service_port=None))
    beat = await channel.heartbeat()
    assert beat.connections is None
    assert beat.sessions is None or beat.sessions >= 0


@pytest.mark.parametrize("port", [65_536, -1, "http"])
async def test_what_is_no_port_is_refused_before_anything_starts(channel: AgentChannel, port: object) -> None:
    with pytest.raises(AgentError):
        await channel.call("start", order("true", service_port=port))
    assert (await channel.heartbeat()).token == ""


def test_an_older_agent_leaves_both_unknown() -> None:
    beat = parse_heartbeat(BEAT)
    assert (beat.sessions, beat.connections) == (None, None)
    told = parse_heartbeat({**BEAT, "sessions": 2, "connections": 0})
    assert (told.sessions, told.connections) == (2, 0)


@pytest.mark.parametrize("lie", [{"sessions": -1}, {"sessions": "two"}, {"connections": 1.5}, {"connections": True}])
def test_numbers_of_people_that_make_no_sense_are_the_agents_failure(lie: dict[str, object]) -> None:
    with pytest.raises(AgentError) as failure:
        parse_heartbeat({**BEAT, **lie})
    assert failure.value.kind == "nonsense"
