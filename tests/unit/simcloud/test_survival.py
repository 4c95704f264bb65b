"""kill -9 of the market: machines, bill and faults are there as before."""

import os
import signal
from datetime import timedelta
from pathlib import Path

import asyncssh

from holdfast.simcloud.hosts.processes import process_ref
from holdfast.simcloud.model import Trouble
from tests.simmarket import RunningMarket, run_market
from tests.unit.simcloud.conftest import Tenant


async def test_hosts_outlive_a_killed_market_and_are_adopted(market: RunningMarket, ssh_key: asyncssh.SSHKey) -> None:
    tenant = Tenant(market, ssh_key)
    number = tenant.rent_running()
    async with await tenant.ssh(number) as connection:
        with market.control as control:
            (before,) = control.instances()
        market.kill()
        assert (await connection.run("echo alive", check=True)).stdout == "alive\n"
        market.start()
        assert (await connection.run("echo still", check=True)).stdout == "still\n"
    with market.control as control:
        (after,) = control.instances()
        assert (after["pid"], after["ssh_port"], after["state"]) == (before["pid"], before["ssh_port"], "running")
        control.kill(number)
    assert process_ref(before["pid"]) is None


def test_the_bill_goes_on_over_a_restart_without_a_gap(market: RunningMarket, ssh_key: asyncssh.SSHKey) -> None:
    tenant = Tenant(market, ssh_key)
    number = tenant.rent_running()
    with market.control as control:
        before = control.bill()["lines"][0]["periods"]
    market.kill()
    market.start()
    tenant.http.delete(f"/api/v0/instances/{number}/").raise_for_status()
    with market.control as control:
        (line,) = control.bill()["lines"]
    assert [period["id"] for period in line["periods"]] == [period["id"] for period in before]
    ends = [(period["from"], period["until"]) for period in line["periods"]]
    assert all(ends[index][1] == ends[index + 1][0] for index in range(len(ends) - 1))
    assert line["until"] == ends[-1][1]


def test_a_host_that_died_while_the_market_was_down_is_noticed(market: RunningMarket, ssh_key: asyncssh.SSHKey) -> None:
    tenant = Tenant(market, ssh_key)
    number = tenant.rent_running()
    with market.control as control:
        (report,) = control.instances()
    market.kill()
    os.kill(report["pid"], signal.SIGKILL)
    market.start()
    tenant.wait(number, "exited")


def test_a_boot_that_was_under_way_is_finished(tmp_path: Path, ssh_key: asyncssh.SSHKey) -> None:
    with run_market(tmp_path, boot={"kind": "constant", "seconds": 0.5}) as market:
        tenant = Tenant(market, ssh_key)
        number = tenant.rent()
        market.kill()
        market.start()
        tenant.wait(number, "running")


def test_an_orderly_shutdown_keeps_the_machines_too(market: RunningMarket, ssh_key: asyncssh.SSHKey) -> None:
    tenant = Tenant(market, ssh_key)
    number = tenant.rent_running()
    port = tenant.show(number)["ssh_port"]
    market.stop()
    market.start()
    assert tenant.show(number)["ssh_port"] == port


def test_a_dead_nursery_is_replaced(market: RunningMarket, ssh_key: asyncssh.SSHKey) -> None:
    tenant = Tenant(market, ssh_key)
    tenant.rent_running()
    for nursery in children(market.pid):
        os.kill(nursery, signal.SIGKILL)
    tenant.rent_running()


def test_faults_links_and_rivals_outlive_the_market(market: RunningMarket, ssh_key: asyncssh.SSHKey) -> None:
    tenant = Tenant(market, ssh_key)
    cut, outbid = tenant.rent_running(), tenant.rent_running(price=3.0)
    with market.control as control:
        control.partition(cut)
        control.outbid(outbid)
        control.add_fault(Trouble.EMPTY_LIST, endpoint="list", lasting=timedelta(hours=1))
    market.kill()
    market.start()
    with market.control as control:
        assert [fault["trouble"] for fault in control.faults()] == ["empty_list"]
        states = {report["id"]: report for report in control.instances()}
    assert states[cut]["partitioned"] is True
    assert states[outbid]["granted"] is False


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
