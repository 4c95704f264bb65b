"""How long it takes to rank many offers and to list many machines, and what one costs as their numbers grow.

    python benchmarks/ranking.py

Ranking: offers of four providers, made from a fixed seed; a fifth misses a limit, a tenth of the machines has a past,
and some are banned. The peer sorts, in the same run, the same number of finished rows by the ranking's own keys: no
ranking can do less.

Listing: the Vast.ai driver reads an account page by page, over HTTP, from a process of its own on this computer that
has every page ready. The peer fetches the same pages with the same HTTP client and only parses their JSON. The pace
that the provider asks for is kept on a clock that jumps, and told apart.

All of one size is measured in turns, so that other load falls on all alike; the least time counts, because noise only
adds.
"""

import argparse
import asyncio
import gc
import json
import multiprocessing
import os
import random
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from pydantic import SecretStr

from holdfast.contracts.machines import Offer, Requirements, Terms
from holdfast.contracts.memory import MachineKey, MachineMemory
from holdfast.policy.placement import rank
from holdfast.providers.vast.config import VastConfig
from holdfast.providers.vast.driver import connect
from holdfast.providers.vast.endpoints import LIST
from holdfast.providers.vast.fleet import PAGE
from holdfast.simcloud.model import Container, Instance, Order, Wish
from holdfast.simcloud.profile import load, make_slot
from holdfast.simcloud.store import Store
from holdfast.simcloud.vast.rows import instance_row

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
NEEDS = Requirements(gpu="RTX 4090", disk_gb=50, max_hourly=Decimal("0.60"), min_reliability=0.9, regions=("DE", "US"))
SEED = 7


@dataclass(frozen=True, kw_only=True)
class Row:
    """The least seconds for so many."""

    many: int
    ours: float
    peer: float
    paced: float = 0.0  # what the provider's pace alone takes


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f}, least of {options.rounds}")
    _print("offers ranked", "sorting finished rows", [_rank(many, options.rounds) for many in options.sizes])
    with _pages_served(options.sizes) as address:
        rows = [asyncio.run(_list(address, many, options.rounds)) for many in options.sizes]
    _print("machines listed", "fetching and parsing JSON", rows)


# --- ranking ------------------------------------------------------------------------------------------------------


def _rank(many: int, rounds: int) -> Row:
    offers = _offers(many)
    memory = _memory(offers)
    finished = [(0.3 + float(offer.hourly), offer.hourly, offer.provider, offer.offer_id) for offer in offers]
    ours: list[float] = []
    peer: list[float] = []
    for _ in range(rounds):
        ours.append(_timed(lambda: rank(offers, NEEDS, now=NOW, memory=memory)))
        peer.append(_timed(lambda: sorted(finished)))
    ranking = rank(offers, NEEDS, now=NOW, memory=memory)
    assert len(ranking.best) + ranking.rejected_total == many
    assert len(ranking.best) > many // 2
    return Row(many=many, ours=min(ours), peer=min(peer))


def _offers(many: int) -> list[Offer]:
    dice = random.Random(SEED)
    return [
        Offer(
            provider=f"provider-{number % 4}",
            offer_id=str(number),
            machine_id=f"m{number}",
            gpu="RTX 4090",
            gpu_count=1,
            gpu_memory_gb=24,
            cpu_cores=16,
            memory_gb=64,
            disk_gb=500,
            region=dice.choice(("DE", "US")),
            terms=Terms.INTERRUPTIBLE,
            hourly=Decimal(dice.randrange(200, 700)) / 1000,  # a fifth is above the limit
            reliability=dice.uniform(0.91, 1),
            download_mbps=dice.uniform(100, 5000),
            contract_ends=NOW + timedelta(days=dice.uniform(1, 90)),
        )
        for number in range(many)
    ]


def _memory(offers: list[Offer]) -> dict[MachineKey, MachineMemory]:
    """Of every tenth machine something is remembered; every hundredth is banned."""
    return {
        MachineKey(provider=offer.provider, machine_id=offer.machine_id): MachineMemory(
            provider=offer.provider,
            machine_id=offer.machine_id,
            good=3,
            bad=1,
            banned_until=None if number % 10 else NOW + timedelta(days=1),
            ban_reason="3 failures in a row",
        )
        for number, offer in enumerate(offers[::10])
    }


# --- listing ------------------------------------------------------------------------------------------------------


class _JumpingClock:
    """Nobody waits on it: whoever sleeps moves it on."""

    def __init__(self) -> None:
        self.now = 0.0

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def _list(address: str, many: int, rounds: int) -> Row:
    url, clock = f"{address}/{many}", _JumpingClock()
    config = VastConfig(api_key=SecretStr("not-looked-at"), base_url=url)
    provider = connect(config, clock=clock.read, sleep=clock.sleep)
    ours: list[float] = []
    peer: list[float] = []
    paced = 0.0
    async with httpx.AsyncClient(base_url=url, trust_env=False) as plain:
        for _ in range(rounds):
            before = clock.now
            ours.append(await _timed_async(provider.list_owned))
            paced = clock.now - before
            peer.append(await _timed_async(lambda: _only_parsed(plain)))
    assert len(await provider.list_owned()) == many
    await provider.close()
    return Row(many=many, ours=min(ours), peer=min(peer), paced=paced)


async def _only_parsed(plain: httpx.AsyncClient) -> None:
    token: str | None = None
    while True:
        params = {"limit": str(PAGE)} | ({"after_token": token} if token else {})
        body = json.loads((await plain.get(LIST.path, params=params)).content)
        token = body["next_token"]
        if token is None:
            return


@contextmanager
def _pages_served(sizes: list[int]) -> Iterator[str]:
    """A server in a process of its own that has a list of each size, in pages."""
    # With its protocol named, asyncio sends each answer at once; else every page waits 40 ms for an acknowledgement.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        server = multiprocessing.get_context("fork").Process(target=_serve, args=(listener, sizes), daemon=True)
        listener.listen()  # who connects before it serves waits
        server.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.terminate()
            server.join()


def _serve(listener: socket.socket, sizes: list[int]) -> None:
    rows = _rows(max(sizes))
    pages = {(str(many), start): _page(rows[:many], start) for many in sizes for start in range(0, many, PAGE)}

    async def answer(scope: Any, _receive: Any, send: Any) -> None:
        size = scope["path"].split("/")[1]
        asked = httpx.QueryParams(scope["query_string"].decode()).get("after_token", "0")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": pages[size, int(asked)]})

    config = uvicorn.Config(answer, lifespan="off", log_level="error", access_log=False)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


def _page(rows: list[dict[str, Any]], start: int) -> bytes:
    end = start + PAGE
    body = {
        "success": True,
        "instances_found": len(rows),
        "total_instances": len(rows),
        "next_token": str(end) if end < len(rows) else None,
        "instances": rows[start:end],
    }
    return json.dumps(body).encode()


def _rows(many: int) -> list[dict[str, Any]]:
    """Instances with every field that they have on the wire, as the simulated market writes them."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        profile, store = load(None), Store(Path(folder) / "market.db")
        slot = make_slot(store, profile.slots[0], profile, random.Random(SEED), NOW)
        store.close()
    instance = Instance(
        id=1,
        slot_id=slot.id,
        machine_id=slot.machine_id,
        ask_id=slot.ask_id,
        order=Order(image="ubuntu:24.04", onstart="exit 0"),
        bid=slot.min_bid,
        gpu_rate=slot.min_bid,
        storage_rate=Decimal("0.002"),
        api_key="",
        created_at=NOW,
        visible_at=NOW,
        contract_end=slot.contract_end,
        label="",
        wish=Wish.RUNNING,
        granted=True,
        container=Container.RUNNING,
        started_at=NOW,
        port=22,
    )
    row = instance_row(instance, slot, outbid_fields=profile.outbid_fields, now=NOW)
    return [row | {"id": number, "machine_id": number, "label": f"w{number}.e1"} for number in range(1, many + 1)]


# --- timing -------------------------------------------------------------------------------------------------------


def _timed(work: Callable[[], Any]) -> float:
    gc.collect()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


async def _timed_async(work: Callable[[], Awaitable[Any]]) -> float:
    gc.collect()
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


def _print(what: str, peer: str, rows: list[Row]) -> None:
    print(f"\n{what:>16}{'seconds':>10}{'us each':>10}{'of peer':>9}{'paced':>9}   peer: {peer}")
    for row in rows:
        each, ratio = row.ours / row.many * 1e6, row.ours / row.peer
        paced = f"{row.paced:8.0f}s" if row.paced else f"{'-':>9}"
        print(f"{row.many:16,}{row.ours:10.4f}{each:10.1f}{ratio:9.1f}{paced}   {row.peer:.4f} s")


if __name__ == "__main__":
    main()
