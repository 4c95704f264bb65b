"""The store, for the roles that use it."""

from collections.abc import Sequence
from datetime import timedelta

from holdfast.checkpoints.engine import CheckpointEngine
from holdfast.checkpoints.errors import CheckpointError
from holdfast.checkpoints.mirrors import Mirror
from holdfast.checkpoints.stores.base import Store
from holdfast.checkpoints.stores.opening import open_mirror, open_store
from holdfast.telemetry.health import Check, remembered
from holdfast.workers.shop import Shop

ASK_EVERY = timedelta(seconds=30)
"""Probes come every few seconds, and a store counts every request."""
_NO_OBJECT = "ready"


def open_engine(shop: Shop, mirrors: Sequence[Mirror] = ()) -> CheckpointEngine:
    """Checkpoints in the store that the settings name; the process is ready while the store answers."""
    store = open_store(shop.settings)
    shop.stack.push_async_callback(store.close)
    shop.needs["store"] = remembered(_store_check(store), ASK_EVERY)
    return CheckpointEngine(store, mirrors=mirrors)


def open_mirrors(shop: Shop) -> list[Mirror]:
    """The further stores, in the order of their names. The main store stands in for one that does not answer."""
    found = []
    for name, settings in sorted(shop.settings.mirrors.items()):
        mirror = open_mirror(name, settings)
        shop.stack.push_async_callback(mirror.store.close)
        found.append(mirror)
    return found


def _store_check(store: Store) -> Check:
    async def check() -> str | None:
        try:
            await store.head(_NO_OBJECT)  # "not there" is an answer too
        except CheckpointError as err:
            return str(err)
        return None

    return check
