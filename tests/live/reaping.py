"""Ending machines by their labels, whatever became of the tests that rented them."""

import asyncio
import sys
import time
from datetime import timedelta

from holdfast.contracts.machines import Instance
from holdfast.providers.base import KeepsSnapshots, Provider
from holdfast.providers.errors import ProviderError
from tests.live.lane import MARK, REAP_LIMIT, LaneError, open_provider, read


async def reap(provider: Provider, prefix: str, *, poll: timedelta, quiet: timedelta = timedelta(0)) -> list[Instance]:
    """End every machine whose label begins with the prefix, until none has been listed for `quiet`.

    Nobody else's is touched. An answer that fails proves nothing, so the listing is asked again. Returns what is left
    after `REAP_LIMIT`, which should be nothing. Raises ProviderError when by then no listing was to be had.
    """
    deadline = time.monotonic() + REAP_LIMIT.total_seconds()
    clear_since: float | None = None
    while True:
        try:
            left = await _end_each(provider, prefix)
        except ProviderError:
            if time.monotonic() >= deadline:
                raise
            clear_since = None
        else:
            now = time.monotonic()
            clear_since = None if left else clear_since or now
            if now >= deadline or (clear_since is not None and now - clear_since >= quiet.total_seconds()):
                await _drop_copies(provider, prefix)
                return left
        await asyncio.sleep(poll.total_seconds())


async def _end_each(provider: Provider, prefix: str) -> list[Instance]:
    ours = [each for each in await provider.list_owned() if (each.label or "").startswith(prefix)]
    return [each for each in ours if not await provider.destroy(each.instance_id)]


async def _drop_copies(provider: Provider, prefix: str) -> None:
    if isinstance(provider, KeepsSnapshots):
        for copy in await provider.list_snapshots():
            if copy.name.startswith(prefix):
                await provider.drop_snapshot(copy.name)


async def _main() -> int:
    """End the machines of every live run, of this computer or another."""
    lane = read()
    if isinstance(lane, str):
        print(lane, file=sys.stderr)
        return 2
    left: list[Instance] = []
    for name, settings in lane.providers.items():
        provider = open_provider(name, settings)
        found = await reap(provider, MARK, poll=lane.poll, quiet=provider.capabilities.listing_lag)
        print(f"{name}: {len(found)} machines of live runs are left")
        left += found
        await provider.close()
    return 1 if left else 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(_main()))
    except LaneError as wrong:
        print(wrong, file=sys.stderr)
        sys.exit(2)
