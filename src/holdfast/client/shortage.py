"""When no offer fits: what stands in the way, and what comes nearest.

The searches behind an explanation are wider than the one that found nothing. A provider means the same by each of
them: offers that meet every need that it was given. Only fewer needs are given, and the rest is judged here.
"""

import asyncio
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal

from temporalio.client import Client

from holdfast.client import machines
from holdfast.client.errors import HoldfastError, NoOffers
from holdfast.client.market import Survey, survey
from holdfast.contracts.failover import RankedOffer
from holdfast.contracts.machines import Offer, Requirements
from holdfast.contracts.memory import MachineKey
from holdfast.policy.fitness import misfits, plain_gpu
from holdfast.policy.placement import rank

SHOWN = 3  # offers, or names of GPUs, that a refusal puts forward
_TENTH_OF_A_CENT = Decimal("0.001")
_LIKENESS = 0.5  # of two names, from 0 to 1, by their letters in common
# Providers tell their cheapest offers only: so the names of the GPUs are looked for among cards of each size, in GB.
_SIZES = (0, 20, 40, 70)


@dataclass(frozen=True, kw_only=True)
class Words:
    """How the one who asks calls what can be asked for differently."""

    price: str
    gpu: str
    gpu_memory: str
    less: str


IN_A_SPEC = Words(
    price="price.max_hourly",
    gpu="resources.gpu",
    gpu_memory="resources.gpu_memory_gb",
    less="ask for less in `resources` (gpu, memory, disk, regions, reliability)",
)
IN_GENERAL = Words(
    price="the price limit",
    gpu="the name of the GPU",
    gpu_memory="the memory that it must have",
    less="ask for less (GPUs, memory, disk, regions)",
)


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """What an answer leaves out."""

    offers: tuple[RankedOffer, ...]  # cheapest first, each with its reason
    silent: Mapping[str, HoldfastError]  # the providers that gave no answer, and why


async def require_offers(
    client: Client, providers: Iterable[str], wanted: Requirements, *, words: Words = IN_GENERAL
) -> Survey:
    """Offers that meet every need; at least one.

    Raises:
        NoOffers: none; the message says what stands in the way (the price, another limit, a GPU that nobody has), and
            what comes nearest.
        HoldfastError: no provider answered; the first one's reason.
    """
    asked = tuple(providers)
    found = await survey(client, asked, wanted)
    if found.offers:
        return found
    raise _but_for(found.silent, await _explain(client, asked, wanted, words))


async def left_out(client: Client, providers: Iterable[str], wanted: Requirements) -> LeftOut:
    """Of all offers of this kind (GPU, count and terms), those that miss a limit or whose machine is banned, and why.

    Of a provider that has nothing of this kind, its cheapest few of another GPU.

    Raises:
        NoOffers: nobody has anything of this kind.
        HoldfastError: no provider answered; the first one's reason.
    """
    asked = tuple(providers)
    kind = replace(_kind(wanted), disk_gb=wanted.disk_gb)  # the price contains the disk, and must be the true one
    large = await survey(client, asked, kind)
    small = await survey(client, asked, _kind(wanted))
    found = (*large.offers, *(offer for offer in small.offers if offer.disk_gb < wanted.disk_gb))
    silent = {**large.silent, **small.silent}
    if not found:
        raise _but_for(silent, await _explain(client, asked, wanted, IN_GENERAL))
    if others := sorted(set(large.without) & set(small.without)):
        found += await _of_other_kinds(client, others, wanted)
    known = {
        MachineKey(provider=each.provider, machine_id=each.machine_id): each
        for each in await machines.remembered(client, provider=None, banned_only=True)
    }
    ranking = rank(found, wanted, now=datetime.now(UTC), memory=known, rejected_kept=len(found))
    return LeftOut(offers=ranking.rejected, silent=silent)


async def _of_other_kinds(client: Client, providers: Iterable[str], wanted: Requirements) -> tuple[Offer, ...]:
    needs = replace(_kind(wanted), gpu=None)
    answers = await asyncio.gather(*(_found(client, (each,), needs) for each in providers))
    return tuple(offer for answer in answers for offer in answer[:SHOWN])


def near_names(gpu: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names that one may have meant by `gpu`, the likeliest first; at most `SHOWN`."""
    spelt = {plain_gpu(name): name for name in sorted(names)}
    alike = difflib.get_close_matches(plain_gpu(gpu), spelt, n=SHOWN, cutoff=_LIKENESS)
    return tuple(spelt[each] for each in alike)


async def _explain(client: Client, providers: tuple[str, ...], wanted: Requirements, words: Words) -> NoOffers:
    """Ask for less and less, and say what it was that nobody could meet."""
    if wanted.max_hourly is not None and (above := await _found(client, providers, replace(wanted, max_hourly=None))):
        return _too_dear(wanted, above, words)
    if alike := await _found(client, providers, _kind(wanted)):
        return _limits_unmet(wanted, alike, words)
    if wanted.gpu is None:
        return NoOffers("no provider offers such a machine at any price", remedy=words.less)
    needs = (Requirements(terms=wanted.terms, gpu_memory_gb=size, disk_gb=1) for size in _SIZES)
    answers = await asyncio.gather(*(_found(client, providers, each) for each in needs))
    return _no_such_gpu(wanted, {offer.gpu for answer in answers for offer in answer}, words)


async def _found(client: Client, providers: tuple[str, ...], needs: Requirements) -> tuple[Offer, ...]:
    try:
        return (await survey(client, providers, needs)).offers
    except HoldfastError:
        return ()  # an explanation that cannot be had must not hide that nothing fits


def _kind(wanted: Requirements) -> Requirements:
    return Requirements(gpu=wanted.gpu, gpu_count=wanted.gpu_count, terms=wanted.terms, disk_gb=1)


def _but_for(silent: Mapping[str, HoldfastError], refusal: NoOffers) -> NoOffers:
    """The refusal, with the providers that might have had something and did not answer."""
    if not silent:
        return refusal
    missing = "; ".join(f"{provider} gave no answer: {reason}" for provider, reason in silent.items())
    return NoOffers(f"{refusal}; {missing}", remedy=refusal.remedy)


def _too_dear(wanted: Requirements, above: Sequence[Offer], words: Words) -> NoOffers:
    nearest = "; ".join(list(dict.fromkeys(_named(offer) for offer in above))[:SHOWN])
    enough = above[0].hourly.quantize(_TENTH_OF_A_CENT, rounding=ROUND_CEILING)
    return NoOffers(
        f"no offer fits under {words.price} {wanted.max_hourly} USD; the cheapest above it: {nearest}",
        remedy=f"raise {words.price} to {enough} or more, or {words.less}",
    )


def _limits_unmet(wanted: Requirements, alike: Sequence[Offer], words: Words) -> NoOffers:
    now = datetime.now(UTC)
    judged = [(misfits(offer, wanted, now=now), offer) for offer in alike]
    judged.sort(key=lambda each: len(each[0]))  # of equally many misses, the cheapest stays first
    nearest = "; ".join(f"{_named(offer)}: {' and '.join(why) or 'fits now'}" for why, offer in judged[:SHOWN])
    return NoOffers(f"no machine meets every limit; the nearest: {nearest}", remedy=words.less)


def _no_such_gpu(wanted: Requirements, there: set[str], words: Words) -> NoOffers:
    gpu = wanted.gpu or ""
    if plain_gpu(gpu) in {plain_gpu(name) for name in there}:
        return NoOffers(f"no provider offers {wanted.gpu_count}x {gpu} in one machine at any price", remedy=words.less)
    names = f"; there are: {', '.join(sorted(there))}" if there else ""
    near = near_names(gpu, there)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    return NoOffers(
        f"no provider offers a GPU named {gpu!r} at any price{names}{meant}",
        remedy=f"correct {words.gpu}, or leave it out and give {words.gpu_memory}",
    )


def _named(offer: Offer) -> str:
    place = f" in {offer.region}" if offer.region else ""
    return f"{offer.gpu_count}x {offer.gpu}{place} at {offer.hourly:.3f} USD/h ({offer.provider})"
