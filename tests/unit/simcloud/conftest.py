"""A market by itself on a clock that stands still, and one in its own process that a module's tests share."""

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncssh
import httpx
import pytest

from holdfast.simcloud.clock import SetClock
from holdfast.simcloud.market import Market
from holdfast.simcloud.model import Account, Order, Slot
from holdfast.simcloud.profile import Profile, load, open_market
from holdfast.simcloud.store import Store
from tests.simmarket import RunningMarket, run_market

START = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)


@dataclass
class Bench:
    """The market's rules under test."""

    market: Market
    store: Store
    clock: SetClock
    profile: Profile

    def slot(self, number: int = 1) -> Slot:
        """A slot by its number."""
        return self.market.slot(number)

    def rent(self, bid: str | None = None, *, slot: int = 1, disk: int = 10, label: str = "job.e1") -> int:
        """Rent a slot and return the instance's number."""
        order = Order(image="ubuntu", label=label, disk=Decimal(disk), bid=None if bid is None else Decimal(bid))
        return self.market.rent(self.slot(slot).ask_id, order).id

    def run(self, number: int) -> None:
        """Let an instance's host come up."""
        assert self.market.booted(number, 40022)


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Opens markets with a changed profile."""
    stores: list[Store] = []

    def make(**changes: Any) -> Bench:
        instant = {"boot": {"kind": "constant", "seconds": 0}}
        profile = Profile.model_validate(load(None).model_dump() | instant | changes)
        store, clock = Store(tmp_path / f"market-{len(stores)}.db"), SetClock(START)
        stores.append(store)
        store.put_account(Account(credit=profile.credit, listing_lag=profile.listing_lag))
        open_market(store, profile, clock.now())
        return Bench(market=Market(store, profile, clock), store=store, clock=clock, profile=profile)

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """A market with the default profile and no boot delay."""
    return make_bench()


@pytest.fixture(scope="module")
def shared_market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMarket]:
    """One market process for the tests of a module; they rent different machines."""
    with run_market(tmp_path_factory.mktemp("sim")) as running:
        yield running


@pytest.fixture(scope="module")
def ssh_key() -> asyncssh.SSHKey:
    """The tenant's SSH key."""
    return asyncssh.generate_private_key("ssh-ed25519")


class Tenant:
    """A bare client of the wire API, so that the API is tested and not a client of ours."""

    def __init__(self, market: RunningMarket, key: asyncssh.SSHKey) -> None:
        headers = {"Authorization": f"Bearer {market.api_key}"}
        no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.http = httpx.Client(base_url=market.base_url, headers=headers, timeout=30, trust_env=False, verify=no_tls)
        self.key = key
        self.http.post("/api/v0/ssh/", json={"ssh_key": key.export_public_key().decode()}).raise_for_status()

    def search(self, **query: Any) -> list[dict[str, Any]]:
        """Offers."""
        found: list[dict[str, Any]] = self.http.post("/api/v0/bundles/", json=query).raise_for_status().json()["offers"]
        return found

    def order(self, offer: int, **body: Any) -> httpx.Response:
        """The raw answer to a rental."""
        return self.http.put(f"/api/v0/asks/{offer}/", json={"image": "ubuntu:24.04", "disk": 10} | body)

    def rent(self, **body: Any) -> int:
        """Rent any offer; interruptible if there is a price."""
        offers = self.search(type="bid" if "price" in body else "on-demand", order=[["dph_total", "asc"]])
        number: int = self.order(offers[0]["id"], **body).raise_for_status().json()["new_contract"]
        return number

    def show(self, number: int) -> dict[str, Any]:
        """One instance as the provider tells it."""
        row: dict[str, Any] = self.http.get(f"/api/v0/instances/{number}/").raise_for_status().json()["instances"]
        return row

    def wait(self, number: int, status: str) -> dict[str, Any]:
        """Wait until the provider says this status."""
        row: dict[str, Any] = {}
        until(lambda: row.update(self.show(number)) or row["actual_status"] == status)
        return row

    def rent_running(self, **body: Any) -> int:
        """Rent and wait until it runs."""
        number = self.rent(**body)
        self.wait(number, "running")
        return number

    async def ssh(self, number: int) -> asyncssh.SSHClientConnection:
        """Log in by the direct address, as clients do."""
        row = self.show(number)
        return await asyncssh.connect(
            row["public_ipaddr"].strip(),
            int(row["ports"]["22/tcp"][0]["HostPort"]),
            username="root",
            client_keys=[self.key],
            known_hosts=None,
            config=None,
        )


class SlowBody:
    """A call whose handler waits for its body: the server has asked for it, and it is not sent before ``finish``."""

    def __init__(self, http: httpx.Client, method: str, path: str, body: dict[str, Any]) -> None:
        url, self._body = http.base_url, json.dumps(body).encode()
        headers = {"Host": url.host, "Authorization": http.headers["Authorization"]}
        headers |= {"Content-Length": str(len(self._body)), "Expect": "100-continue", "Connection": "close"}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self._socket = socket.create_connection((url.host, url.port or 80), timeout=30)
        self._socket.sendall("\r\n".join(lines).encode())
        self._answer = self._socket.makefile("rb")
        assert b"100" in self._answer.readline()

    def finish(self) -> int:
        """Send the body and return the status of the answer."""
        self._socket.sendall(self._body)
        lines = [line for line in self._answer if line.startswith(b"HTTP/1.1")]
        return int(lines[0].split()[1])

    def __enter__(self) -> "SlowBody":
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.close()
        self._socket.close()


def until(condition: Callable[[], Any], limit: float = 30.0) -> None:
    """Wait for a condition, generously."""
    give_up = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < give_up, "waited too long"
        time.sleep(0.01)


@pytest.fixture
def tenant(shared_market: RunningMarket, ssh_key: asyncssh.SSHKey) -> Iterator[Tenant]:
    """The account's owner on the shared market; everything is destroyed afterwards."""
    tenant = Tenant(shared_market, ssh_key)
    yield tenant
    with shared_market.control as control:
        control.clear_faults()
        control.destroy_all()
    tenant.http.close()
