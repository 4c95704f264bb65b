"""The whole way: a caller, the gateway, an SSH server, a service at the loopback interface behind it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncssh
import pytest

from holdfast.contracts.endpoints import Route
from holdfast.contracts.machines import SshAddress
from holdfast.hosts.tunnel import Tunnels
from tests.unit.hosts.far import Far, run_far
from tests.unit.workers.gateway.backend import Backend, told
from tests.unit.workers.gateway.conftest import Running, run_gateway
from tests.unit.workers.gateway.desk import Desk, route, until


@pytest.fixture(scope="module")
def key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
async def far(key: asyncssh.SSHKey) -> AsyncIterator[Far]:
    async with run_far(key) as running:
        yield running


def by_ssh(far: Far, backend: Backend, *, epoch: int = 1, host_key: str | None = None) -> Route:
    address = SshAddress(host="127.0.0.1", port=far.ssh_port)
    return route(backend.port, epoch=epoch, ssh=address, host_key=far.key_line() if host_key is None else host_key)


@pytest.fixture
async def gateway(key: asyncssh.SSHKey, desk: Desk, far: Far, backend: Backend) -> AsyncIterator[Running]:
    desk.routes = (by_ssh(far, backend),)
    tunnels = Tunnels(key, connect_timeout=timedelta(seconds=20))
    async with run_gateway(desk, reach=tunnels) as running:
        yield running
    await tunnels.close()


async def test_requests_share_one_login_and_come_from_the_machine_itself(
    gateway: Running, far: Far, backend: Backend
) -> None:
    answers = await asyncio.gather(*(gateway.http.post("/chat/up", content=b"%d" % n) for n in range(30)))
    assert [told(each)["body"] for each in answers] == [str(n) for n in range(30)]
    assert len(far.logins) == 1
    headers = dict(backend.asked[0].headers)
    assert headers["host"] == f"127.0.0.1:{backend.port}"


async def test_events_pass_through_the_tunnel_as_they_are_sent(gateway: Running, backend: Backend) -> None:
    async with gateway.http.stream("GET", "/chat/events") as answer:
        events = answer.aiter_lines()
        assert await anext(events) == "data: first"
        backend.go_on.set()
        assert [each async for each in events if each][-1] == "data: 2"


async def test_a_caller_who_leaves_ends_the_work_at_the_far_end(gateway: Running, backend: Backend) -> None:
    async with gateway.http.stream("GET", "/chat/events") as answer:
        assert await anext(answer.aiter_lines()) == "data: first"
    await until(lambda: backend.cancelled == 1)


async def test_when_the_tunnel_breaks_a_post_fails_and_a_get_goes_again(
    gateway: Running, far: Far, backend: Backend
) -> None:
    posted = asyncio.create_task(gateway.http.post("/chat/wait", content=b"x"))
    got = asyncio.create_task(gateway.http.get("/chat/wait"))
    await until(lambda: backend.running == 2)
    far.logins[0].abort()
    assert (await posted).status_code == 502
    await until(lambda: len(far.logins) == 2)
    backend.go_on.set()
    assert (await got).status_code == 200
    assert gateway.count("retries_total", endpoint="chat") == 1


async def test_another_machine_at_the_address_is_reported_and_sent_nothing(
    gateway: Running, desk: Desk, far: Far, backend: Backend
) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    desk.routes = (by_ssh(far, backend, host_key=" ".join(other.split()[:2])),)
    asked = asyncio.create_task(gateway.http.get("/chat/"))
    await until(lambda: any(each.broken == ("chat-r0.e1",) for each in desk.asked))
    assert not backend.asked
    desk.routes = (by_ssh(far, backend, epoch=2),)
    assert (await asked).status_code == 200


async def test_the_first_request_after_a_pass_was_given_back_needs_no_new_login(
    gateway: Running, desk: Desk, far: Far
) -> None:
    await gateway.http.get("/chat/")
    await until(lambda: desk.notices)
    assert (await gateway.http.get("/chat/")).status_code == 200
    assert len(desk.asked) == 2
    assert len(far.logins) == 1
