"""Rented machines are real: they run commands, keep files, carry bytes, and die whole."""

import asyncio
import hashlib
import os
import signal
from pathlib import Path

import asyncssh
import httpx
import pytest

from holdfast.simcloud.hosts.processes import process_ref
from holdfast.simcloud.model import Flaw
from tests.simmarket import RunningMarket
from tests.unit.simcloud.conftest import Tenant, until

QUERY = "--query-gpu=name,memory.total,driver_version,utilization.gpu,memory.used,uuid --format=csv,noheader,nounits"


async def output(connection: asyncssh.SSHClientConnection, command: str) -> str:
    """What a command prints; it must succeed."""
    return str((await connection.run(command, check=True)).stdout).strip()


def alive(pid: int) -> bool:
    return process_ref(pid) is not None


async def test_a_command_runs_at_home_with_its_own_small_environment(tenant: Tenant) -> None:
    number = tenant.rent_running(env={"MODEL": "tiny", "-p 8000:8000": "1"})
    async with await tenant.ssh(number) as connection:
        names = dict(line.split("=", 1) for line in (await output(connection, "env")).splitlines())
        assert await output(connection, "pwd") == names["HOME"]
        assert await output(connection, "echo $MODEL") == "tiny"
    assert names["CONTAINER_ID"] == str(number)
    assert names["VAST_CONTAINERLABEL"] == f"C.{number}"
    assert not {name for name in names if name.startswith(("HOLDFAST_SIM_API_KEY", "PYTEST"))}


async def test_exit_codes_signals_and_streams_arrive_apart(tenant: Tenant) -> None:
    async with await tenant.ssh(tenant.rent_running()) as connection:
        result = await connection.run("echo out; echo err >&2; exit 7")
        killed = await connection.run("kill -9 $$")
    assert (result.stdout, result.stderr, result.exit_status) == ("out\n", "err\n", 7)
    assert killed.exit_signal is not None
    assert killed.exit_signal[0] == "KILL"


async def test_bytes_pass_unchanged_in_bulk(tenant: Tenant) -> None:
    data = os.urandom(20_000_000)
    async with await tenant.ssh(tenant.rent_running()) as connection:
        echoed = await connection.run("tee copy", input=data, encoding=None, check=True)
        digest = await output(connection, "sha256sum copy | cut -d' ' -f1")
    assert echoed.stdout == data
    assert digest == hashlib.sha256(data).hexdigest()


async def test_files_travel_by_sftp_and_paths_mean_the_same_in_commands(tenant: Tenant, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(os.urandom(3_000_000))
    async with await tenant.ssh(tenant.rent_running()) as connection, connection.start_sftp_client() as sftp:
        await sftp.put(str(tmp_path / "blob"), "blob")
        assert await sftp.realpath("blob") == await output(connection, "realpath blob")
        await sftp.get("blob", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "blob").read_bytes()


async def test_the_host_key_stays_over_a_stop_and_start(tenant: Tenant) -> None:
    number = tenant.rent_running()
    async with await tenant.ssh(number) as connection:
        first = connection.get_server_host_key()
    for state, status in (("stopped", "exited"), ("running", "running")):
        tenant.http.put(f"/api/v0/instances/{number}/", json={"state": state}).raise_for_status()
        tenant.wait(number, status)
    async with await tenant.ssh(number) as connection:
        assert connection.get_server_host_key() == first


async def test_a_strangers_key_and_another_user_are_turned_away(tenant: Tenant) -> None:
    port = tenant.show(tenant.rent_running())["ssh_port"]
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    for user, key in (("root", stranger), ("admin", tenant.key)):
        with pytest.raises(asyncssh.PermissionDenied):
            await asyncssh.connect("127.0.0.1", port, username=user, client_keys=[key], known_hosts=None, config=None)


async def test_a_detached_process_outlives_its_connection(tenant: Tenant) -> None:
    number = tenant.rent_running()
    async with await tenant.ssh(number) as connection:
        pid = int(await output(connection, "setsid sleep 1000 >/dev/null 2>&1 & echo $!"))
    assert alive(pid)
    async with await tenant.ssh(number) as connection:
        assert await output(connection, f"kill -0 {pid} && echo yes") == "yes"


async def test_a_daemon_that_ended_is_gone_and_no_zombie(tenant: Tenant) -> None:
    async with await tenant.ssh(tenant.rent_running()) as connection:
        daemon = await output(connection, "(setsid sleep 1000 >/dev/null 2>&1 & echo $!)")
        await output(connection, f"kill {daemon}; while kill -0 {daemon} 2>/dev/null; do sleep 0.01; done")


async def test_a_commands_input_ends_when_its_client_says_so(tenant: Tenant) -> None:
    async with await tenant.ssh(tenant.rent_running()) as connection:
        shell = await connection.run(input="echo one; echo two\n", check=True)
        ignored = await connection.run("exec 0<&-; sleep 0.05; echo done", input="x" * 1_000_000, check=True)
    assert (shell.stdout, ignored.stdout) == ("one\ntwo\n", "done\n")


async def test_a_command_that_writes_to_a_client_that_left_is_ended_by_it(tenant: Tenant) -> None:
    number = tenant.rent_running()
    async with await tenant.ssh(number) as connection:
        process = await connection.create_process("echo $$; exec yes")
        pid = int(await process.stdout.readline())
    await asyncio.to_thread(until, lambda: not alive(pid))


@pytest.mark.parametrize("end", ["stop", "destroy", "kill"])
async def test_every_process_dies_with_its_machine_however_it_hides(
    tenant: Tenant, shared_market: RunningMarket, end: str
) -> None:
    number = tenant.rent_running()
    async with await tenant.ssh(number) as connection:
        daemon = int(await output(connection, "setsid sleep 1000 >/dev/null 2>&1 & echo $!"))
        nameless = int(await output(connection, "env -i setsid /bin/sleep 1000 >/dev/null 2>&1 & echo $!"))
        orphan = int(await output(connection, "sh -c 'setsid sleep 1000 >/dev/null 2>&1 & echo $!'"))
    if end == "stop":
        tenant.http.put(f"/api/v0/instances/{number}/", json={"state": "stopped"}).raise_for_status()
    elif end == "destroy":
        tenant.http.delete(f"/api/v0/instances/{number}/").raise_for_status()
    else:
        with shared_market.control as control:
            control.kill(number)
    assert [pid for pid in (daemon, nameless, orphan) if alive(pid)] == []
    assert (shared_market.data_dir / "instances" / str(number)).exists() is (end != "destroy")


async def test_orphans_of_a_host_that_was_shot_are_found_too(tenant: Tenant, shared_market: RunningMarket) -> None:
    number = tenant.rent_running()
    async with await tenant.ssh(number) as connection:
        orphan = int(await output(connection, "setsid sleep 1000 >/dev/null 2>&1 & echo $!"))
    with shared_market.control as control:
        (report,) = control.instances()
    os.kill(report["pid"], signal.SIGKILL)
    assert tenant.wait(number, "exited")["cur_state"] == "running"
    until(lambda: not alive(orphan))


async def test_nvidia_smi_shows_the_gpus_of_the_offer_and_the_load_of_the_work(
    tenant: Tenant, shared_market: RunningMarket
) -> None:
    (offer,) = tenant.search(num_gpus={"eq": 4})
    number = tenant.order(offer["id"]).json()["new_contract"]
    tenant.wait(number, "running")
    async with await tenant.ssh(number) as connection:
        rows = [line.split(", ") for line in (await output(connection, f"nvidia-smi {QUERY}")).splitlines()]
        await connection.run("setsid sh -c 'while :; do :; done' >/dev/null 2>&1 &")

        async def load() -> int:
            return int((await output(connection, f"nvidia-smi {QUERY}")).splitlines()[0].split(", ")[3])

        while await load() == 0:  # each question takes long enough to measure something
            pass
        with shared_market.control as control:
            control.gpu_load(number, percent=42)
        assert await load() == 42
    assert [row[0] for row in rows] == [f"NVIDIA GeForce {offer['gpu_name']}"] * 4
    assert {(int(row[1]), row[2]) for row in rows} == {(offer["gpu_ram"], offer["driver_version"])}
    assert len({row[5] for row in rows}) == 4


async def test_a_machine_with_the_wrong_gpu_lies_only_until_it_is_probed(
    tenant: Tenant, shared_market: RunningMarket
) -> None:
    with shared_market.control as control:
        slot = control.offers()[0]
        control.set_flaw(slot["slot"], Flaw.WRONG_GPU)
        number = tenant.order(slot["offer"]).json()["new_contract"]
        row = tenant.wait(number, "running")
        async with await tenant.ssh(number) as connection:
            seen = await output(connection, f"nvidia-smi {QUERY}")
        control.set_flaw(slot["slot"], None)
    assert row["gpu_name"] not in seen


async def test_the_machine_can_end_itself_with_the_key_it_was_given(tenant: Tenant) -> None:
    number = tenant.rent_running()
    async with await tenant.ssh(number) as connection:
        api, key = (await output(connection, "echo $HOLDFAST_SIM_API $CONTAINER_API_KEY")).split()
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False) as machine:
        (await machine.delete(f"{api}/api/v0/instances/{number}/")).raise_for_status()
    assert tenant.show(number) is None


async def test_a_cut_link_stalls_everything_and_a_healed_one_loses_nothing(
    tenant: Tenant, shared_market: RunningMarket
) -> None:
    number = tenant.rent_running()
    async with await tenant.ssh(number) as connection:
        await connection.run("setsid sh -c 'while :; do date +%s%N > beat; sleep 0.01; done' >/dev/null 2>&1 &")
        home = Path(await output(connection, "pwd"))
        with shared_market.control as control:
            control.partition(number)
            answer = asyncio.create_task(output(connection, "echo through"))
            newcomer = asyncio.create_task(tenant.ssh(number))
            seen = (home / "beat").read_text()
            await asyncio.to_thread(until, lambda: (home / "beat").read_text() not in ("", seen))
            assert not answer.done()
            assert not newcomer.done()
            assert tenant.show(number)["actual_status"] == "running", "the provider does not see the partition"
            control.heal(number)
        assert await answer == "through"
        (await newcomer).close()


async def test_an_offline_host_works_on_unseen_and_unbilled(tenant: Tenant, shared_market: RunningMarket) -> None:
    number = tenant.rent_running()
    async with await tenant.ssh(number) as connection, asyncio.timeout(60):
        with shared_market.control as control:
            control.offline(number)
            row = tenant.show(number)
            period = control.bill()["lines"][-1]["periods"][-1]
            answer = asyncio.create_task(output(connection, "echo back"))
            control.online(number)
        assert await answer == "back"
    assert (row["actual_status"], row["ports"]) == ("offline", None)
    assert (period["state"], period["gpu_rate"], period["storage_rate"]) == ("offline", "0", "0")
    assert tenant.show(number)["actual_status"] == "running"


async def test_a_slow_link_carries_all_bytes(tenant: Tenant, shared_market: RunningMarket) -> None:
    number = tenant.rent_running()
    data = os.urandom(200_000)
    async with await tenant.ssh(number) as connection:
        loop = asyncio.get_running_loop()
        with shared_market.control as control:
            control.slow(number, bytes_per_second=1_000_000)
            before = loop.time()
            echoed = await connection.run("cat", input=data, encoding=None)
            took = loop.time() - before
    assert echoed.stdout == data
    assert took > 0.2, "faster than the link allows"
