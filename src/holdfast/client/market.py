"""Ask the providers what can be rented."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from temporalio.client import Client

from holdfast.client.calls import ask, is_served
from holdfast.client.errors import HoldfastError, NoProvider
from holdfast.contracts import activities, names
from holdfast.contracts.machines import Offer, Requirements
from holdfast.settings import Settings


def providers_for(wanted: tuple[str, ...], settings: Settings) -> tuple[str, ...]:
    """The providers to ask: those wanted, or every configured one.

    Raises:
        NoProvider: nothing is configured and nothing was named.
    """
    found = wanted or tuple(sorted(settings.providers))
    if not found:
        raise NoProvider("no provider is configured")
    return found


async def refuse_unknown(client: Client, providers: Iterable[str], settings: Settings) -> None:
    """Raise `NoProvider` for one that is neither in our settings nor served by any worker: most likely misspelt."""
    for provider in providers:
        if provider not in settings.providers and not await is_served(client, names.provider_queue(provider)):
            known = ", ".join(sorted(settings.providers)) or "none"
            raise NoProvider(f"no provider {provider!r} is configured, and no worker serves one; here: {known}")


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What the providers answered."""

    offers: tuple[Offer, ...]  # cheapest first
    silent: Mapping[str, HoldfastError]  # the providers that gave no answer, and why
    without: tuple[str, ...] = ()  # the providers that answered, and have nothing that fits


async def survey(client: Client, providers: Iterable[str], requirements: Requirements) -> Survey:
    """Offers of all providers. One that is down, or refuses our key, does not hide the others.

    Raises:
        HoldfastError: no provider answered; the first one's reason.
    """
    asked = tuple(providers)
    answers = await asyncio.gather(*(_search_one(client, each, requirements) for each in asked), return_exceptions=True)
    found: list[Offer] = []
    silent: dict[str, HoldfastError] = {}
    for provider, answer in zip(asked, answers, strict=True):
        if isinstance(answer, HoldfastError):
            silent[provider] = answer
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found += answer
    if len(silent) == len(asked):
        raise next(iter(silent.values()))
    offers = sorted(found, key=lambda offer: (offer.hourly, offer.provider, offer.offer_id))
    having = {offer.provider for offer in offers}
    without = tuple(each for each in asked if each not in silent and each not in having)
    return Survey(offers=tuple(offers), silent=silent, without=without)


async def _search_one(client: Client, provider: str, requirements: Requirements) -> list[Offer]:
    try:
        return await ask(
            client,
            activities.search_offers,
            activities.SearchInput(provider=provider, requirements=requirements),
            queue=names.provider_queue(provider),
            summary=f"offers at {provider}",
        )
    except HoldfastError as err:
        err.at(provider)
        raise
