"""Ask every provider at once, rank what they offer, and keep the ranking on record."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from holdfast.contracts.failover import Decision
from holdfast.contracts.machines import Offer
from holdfast.contracts.memory import MachineKey, MachineMemory, PlaceMemory
from holdfast.contracts.spec import WorkloadSpec
from holdfast.policy import placement
from holdfast.workflows import steps
from holdfast.workflows.failures import HOPELESS, kind_of


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """What the market has for us."""

    best: tuple[Offer, ...]
    market_answered: bool  # False: no provider was reached, which is not an empty market


async def rank_offers(
    spec: WorkloadSpec, strategy: str, *, epoch: int, occasion: str, regions: tuple[str, ...], avoid: frozenset[str]
) -> Ranked:
    """The offers that fit, best first; with `regions` only there, in that order. `epoch`: the first to be tried.

    Raises:
        ActivityError: no provider answered, and the first one's reason will not mend by itself.
    """
    needs = spec.requirements()
    if regions:
        needs = replace(needs, regions=regions)
    searches = (steps.search_offers(provider, needs) for provider in spec.providers)
    answers = await asyncio.gather(*searches, return_exceptions=True)
    failures = [answer for answer in answers if _failed(answer)]
    market_answered = len(failures) < len(answers)
    if failures and not market_answered and kind_of(failures[0]) in HOPELESS:
        raise failures[0]  # no key is accepted, say
    offers = [offer for answer in answers if not isinstance(answer, BaseException) for offer in answer]
    silent = [str(name) for name, answer in zip(spec.providers, answers, strict=True) if _failed(answer)]
    memory = await _remembered(offers)
    places = await _closed_places(offers)
    ranking = placement.rank(
        offers,
        needs,
        avoid_machines=avoid,
        memory=memory,
        places=places,
        regions_first=bool(regions),
        now=workflow.now(),
    )
    reason = f"{len(ranking.best)} offers fit, {ranking.rejected_total} do not"
    if silent:
        reason += f"; no answer from {', '.join(silent)}"
    await steps.record_decision(
        Decision(
            workload=spec.name,
            epoch=epoch,
            made_at=workflow.now(),
            occasion=occasion,
            strategy=strategy,
            reason=reason,
            chosen=ranking.chosen,
            rejected=ranking.rejected,
            rejected_total=ranking.rejected_total,
        )
    )
    return Ranked(best=ranking.best, market_answered=market_answered)


async def _remembered(offers: Sequence[Offer]) -> dict[MachineKey, MachineMemory]:
    """How the offered machines behaved when we had them."""
    if not offers or not workflow.patched("machines-are-remembered"):
        return {}
    keys = dict.fromkeys(MachineKey(provider=offer.provider, machine_id=offer.machine_id) for offer in offers)
    found = await steps.recall_machines(tuple(keys))
    return {MachineKey(provider=each.provider, machine_id=each.machine_id): each for each in found}


async def _closed_places(offers: Sequence[Offer]) -> list[PlaceMemory]:
    """Where one machine after the other failed us lately."""
    if not offers or not workflow.patched("places-are-remembered"):
        return []
    return await steps.closed_places()


def _failed(answer: object) -> TypeGuard[BaseException]:
    if isinstance(answer, BaseException) and is_cancelled_exception(answer):
        raise answer
    return isinstance(answer, BaseException)
