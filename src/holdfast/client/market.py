"""Ask the providers what can be rented, and refuse early what cannot."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from temporalio.client import Client

from holdfast.client import machines
from holdfast.client.calls import ask, is_served
from holdfast.client.errors import HoldfastError, NoOffers, NoProvider
from holdfast.contracts import activities, names
from holdfast.contracts.machines import Offer, Requirements
from holdfast.contracts.memory import MachineKey
from holdfast.contracts.spec import WorkloadSpec
from holdfast.policy.placement import Ranking, rank
from holdfast.settings import Settings

SHOWN = 3  # offers named in a refusal


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
    return Survey(offers=tuple(offers), silent=silent)


async def left_out(client: Client, providers: Iterable[str], requirements: Requirements) -> Ranking:
    """A ranking of all that the providers have of this kind, with what does not fit the limits or is banned, and why.

    The search leaves every limit out but what makes the kind: GPU, count and terms.

    Raises:
        HoldfastError: no provider answered; the first one's reason.
    """
    kind = Requirements(
        gpu=requirements.gpu,
        gpu_count=requirements.gpu_count,
        terms=requirements.terms,
        disk_gb=requirements.disk_gb,  # the price contains it
    )
    found = (await survey(client, providers, kind)).offers
    known = {
        MachineKey(provider=each.provider, machine_id=each.machine_id): each
        for each in await machines.remembered(client, provider=None, banned_only=True)
    }
    return rank(found, requirements, now=datetime.now(UTC), memory=known)


async def require_offers(client: Client, spec: WorkloadSpec) -> Survey:
    """Offers that the spec allows; at least one.

    Raises:
        NoOffers: none; the message names the cheapest above the limit, if the price is what stands in the way.
    """
    wanted = spec.requirements()
    found = await survey(client, spec.providers, wanted)
    if found.offers:
        return found
    above = await survey(client, spec.providers, replace(wanted, max_hourly=None))
    if above.offers:
        raise _but_for(above, _too_dear(spec, above.offers))
    others: tuple[Offer, ...] = ()
    if wanted.gpu:
        others = (await survey(client, spec.providers, Requirements(terms=wanted.terms))).offers
    raise _but_for(above, _nothing_like_it(wanted, others))


def _but_for(found: Survey, refusal: NoOffers) -> NoOffers:
    """The refusal, with the providers that might have had something and did not answer."""
    if not found.silent:
        return refusal
    missing = "; ".join(f"{provider} gave no answer: {reason}" for provider, reason in found.silent.items())
    return NoOffers(f"{refusal}; {missing}", remedy=refusal.remedy)


def _nothing_like_it(wanted: Requirements, others: tuple[Offer, ...]) -> NoOffers:
    remedy = "ask for less in `resources` (gpu, memory, disk, regions, reliability)"
    there = sorted({offer.gpu for offer in others})
    if wanted.gpu is None or not there or wanted.gpu in there:
        return NoOffers("no provider offers such a machine at any price", remedy=remedy)
    return NoOffers(
        f"no provider offers a GPU named {wanted.gpu!r} at any price; there are: {', '.join(there)}",
        remedy="correct resources.gpu, or leave it out and give resources.gpu_memory_gb",
    )


def _too_dear(spec: WorkloadSpec, above: tuple[Offer, ...]) -> NoOffers:
    limit = spec.price.max_hourly
    nearest = "; ".join(_named(offer) for offer in above[:SHOWN])
    enough = above[0].hourly
    return NoOffers(
        f"no offer fits under price.max_hourly {limit} USD; the cheapest above it: {nearest}",
        remedy=f"raise price.max_hourly to {enough:.3f} or more, or ask for less in `resources`",
    )


def _named(offer: Offer) -> str:
    place = f" in {offer.region}" if offer.region else ""
    return f"{offer.gpu_count}x {offer.gpu}{place} at {offer.hourly:.3f} USD/h ({offer.provider})"


async def _search_one(client: Client, provider: str, requirements: Requirements) -> list[Offer]:
    return await ask(
        client,
        activities.search_offers,
        activities.SearchInput(provider=provider, requirements=requirements),
        queue=names.provider_queue(provider),
        summary=f"offers at {provider}",
    )
