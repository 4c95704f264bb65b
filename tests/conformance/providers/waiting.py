"""Waiting for what a provider says."""

import asyncio

from holdfast.contracts.machines import Instance, InstanceState
from holdfast.providers.base import Provider

_PATIENCE = 60.0


async def until_state(provider: Provider, instance_id: str, *wanted: InstanceState) -> Instance:
    """Look until the provider says one of these states."""
    async with asyncio.timeout(_PATIENCE):
        while (found := await provider.inspect(instance_id)).state not in wanted:
            await asyncio.sleep(0.05)
    return found


async def until_listed(provider: Provider, label: str, number: int) -> None:
    """Look until so many machines with this label are in the provider's list."""
    async with asyncio.timeout(_PATIENCE):
        while len(await provider.list_owned(label)) < number:
            await asyncio.sleep(0.05)
