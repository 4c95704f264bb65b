"""Answering an agent that asks for addresses: for the packs of this transfer only, and only for a short time."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, NoReturn, Protocol

from holdfast.checkpoints.errors import CheckpointCorrupt, StoreRefused, StoreUnavailable
from holdfast.checkpoints.format import is_pack_key
from holdfast.checkpoints.stores.base import SignedRequest, Store, StoredObject
from holdfast.contracts.channel import AgentError, Json

ADDRESS_LIFE = timedelta(minutes=15)
# How long an agent may be silent in the middle of a transfer: longer than all its own retries of one request.
SILENCE = timedelta(minutes=10)
LARGEST_PACK = 32 * 1024 * 1024
HEADS_AT_ONCE = 32
# What one question may be about: an agent asks for addresses in dozens, and confirms at most what one upload sends.
MOST_ADDRESSES = 1024
MOST_PACKS = 65_536

Answer = Callable[[Json], Awaitable[Json]]


class Signer(Protocol):
    """Whoever gives addresses for reading: a store, or the nearest of two."""

    async def sign_get(self, key: str, *, expires: timedelta) -> SignedRequest:
        """See `Store.sign_get`."""
        ...


class Questions:
    """What an agent may ask during one call."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = answers

    async def __call__(self, question: str, params: Json) -> Json:
        if question not in self._answers:
            raise AgentError("bad_request", f"an agent may not ask {question!r} here")
        return await self._answers[question](params)


async def put_addresses(store: Store, objects: list[Mapping[str, Any]], life: timedelta) -> dict[str, Any]:
    """Addresses for packs to send. One that exists gets none: nobody may replace a pack, by accident or on purpose."""
    _bounded(objects, MOST_ADDRESSES)
    return _addresses(await asyncio.gather(*(_put_address(store, each, life) for each in objects)), life)


async def get_addresses(
    store: Signer, objects: list[Mapping[str, Any]], allowed: Collection[str], life: timedelta
) -> dict[str, Any]:
    """Addresses for reading packs that this manifest names."""
    _bounded(objects, MOST_ADDRESSES)
    strangers = [each["key"] for each in objects if each["key"] not in allowed]
    if strangers:
        raise AgentError("bad_request", f"not part of this checkpoint: {strangers[0]!r}")
    signed = await asyncio.gather(*(store.sign_get(each["key"], expires=life) for each in objects))
    return _addresses([(each["key"], _plain(one)) for each, one in zip(objects, signed, strict=True)], life)


async def confirm(store: Store, packs: list[Mapping[str, Any]], doomed: Collection[str]) -> dict[str, Any]:
    """Which packs of an earlier upload need not be sent again."""
    _bounded(packs, MOST_PACKS)
    return {"present": await present(store, [each for each in packs if each["key"] not in doomed])}


async def present(store: Store, packs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which of these packs the store has, at the size that is claimed."""
    slots = asyncio.Semaphore(HEADS_AT_ONCE)

    async def look(key: str) -> StoredObject | None:
        async with slots:
            return await store.head(key)

    found = await asyncio.gather(*(look(pack["key"]) for pack in packs if is_pack_key(pack["key"])))
    sizes = {each.key: each.size for each in found if each is not None}
    return [pack["key"] for pack in packs if sizes.get(pack["key"]) == pack["size"]]


def raise_ours(error: AgentError) -> NoReturn:
    """Give an agent's failure the error that its remedy asks for; others pass as they are."""
    if error.kind == "corrupt":
        raise CheckpointCorrupt(str(error)) from error
    if error.kind == "store_unavailable":
        raise StoreUnavailable(f"from the machine: {error}") from error
    if error.kind == "store_refused":
        raise StoreRefused(f"from the machine: {error}") from error
    raise error


def _bounded(asked: Sequence[Any], most: int) -> None:
    if len(asked) > most:
        raise AgentError("bad_request", f"{len(asked)} packs in one question; {most} are the most")


async def _put_address(store: Store, pack: Mapping[str, Any], life: timedelta) -> tuple[str, dict[str, Any]]:
    key, size = pack["key"], pack["size"]
    if not is_pack_key(key) or not 0 < size <= LARGEST_PACK:
        raise AgentError("bad_request", f"{key!r} of {size} bytes is not a pack")
    found = await store.head(key)
    if found is None:
        return key, _plain(await store.sign_put(key, size=size, md5=pack["md5"], expires=life))
    if found.size != size:
        raise StoreRefused(f"{key} exists with {found.size} bytes, not {size}: it was not written by us; remove it")
    return key, {"present": True}


def _plain(signed: SignedRequest) -> dict[str, Any]:
    return {"url": signed.url, "headers": dict(signed.headers)}


def _addresses(named: list[tuple[str, dict[str, Any]]], life: timedelta) -> dict[str, Any]:
    return {"addresses": dict(named), "expires_in": life.total_seconds()}
