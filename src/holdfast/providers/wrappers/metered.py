"""Counts and times every verb of a provider."""

from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, cast

from holdfast.providers.base import (
    AdvisesCapacity,
    Capabilities,
    ChangesBid,
    KeepsSnapshots,
    Pauses,
    Provider,
    TellsCharges,
    TellsPrices,
)
from holdfast.telemetry.metrics import Metrics

ABILITIES = (Pauses, ChangesBid, KeepsSnapshots, TellsPrices, TellsCharges, AdvisesCapacity)
"""Every protocol beside `Provider` that a driver may fulfil."""

_VERBS = ("search_offers", "launch", "inspect", "list_owned", "destroy")


def metered(provider: Provider, metrics: Metrics) -> Provider:
    """The same provider, with the same abilities, that tells `metrics` of every call."""
    verbs = [*_VERBS, *(verb for ability in ABILITIES if isinstance(provider, ability) for verb in _verbs_of(ability))]
    return cast(Provider, _class_of(tuple(verbs))(provider, metrics))


class _Metered:
    def __init__(self, provider: Provider, metrics: Metrics) -> None:
        self._provider = provider
        self._metrics = metrics

    @property
    def name(self) -> str:
        return self._provider.name

    @property
    def capabilities(self) -> Capabilities:
        return self._provider.capabilities

    async def close(self) -> None:
        await self._provider.close()


@cache
def _class_of(verbs: tuple[str, ...]) -> type[_Metered]:
    """A class with exactly these verbs: one that had more than its provider would lie to `isinstance`."""
    return type("Metered", (_Metered,), {verb: _counted(verb) for verb in verbs})


def _counted(verb: str) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def call(self: _Metered, *args: Any, **more: Any) -> Any:
        with self._metrics.timed_provider_call(self.name, verb):
            return await getattr(self._provider, verb)(*args, **more)

    call.__name__ = verb
    return call


def _verbs_of(ability: type) -> list[str]:
    return [name for name in vars(ability) if not name.startswith("_")]
