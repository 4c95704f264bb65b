"""Ask every provider at once, rank what they offer, and keep the ranking on record."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeGuard

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from holdfast.contracts.failover import Decision
from holdfast.contracts.machines import Lease, Offer, Requirements
from holdfast.contracts.memory import MachineKey, MachineMemory, PlaceLoss, Recollection
from holdfast.contracts.spec import WorkloadSpec
from holdfast.policy import placement
from holdfast.policy.interruption import Risk
from holdfast.workflows import changes, steps
from holdfast.workflows.failures import HOPELESS, kind_of


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """What the market has for us."""

    best: tuple[Offer, ...]
    market_answered: bool  # False: no provider was reached, which is not an empty market
    unrecorded: Decision | None = None  # to be put on record with the claim of the best, if there is any


async def rank_offers(
    spec: WorkloadSpec,
    strategy: str,
    *,
    epoch: int,
    occasion: str,
    regions: tuple[str, ...],
    avoid: frozenset[str],
    lost: PlaceLoss | None = None,
) -> Ranked:
    """The offers that fit, best first; with `regions` only there, in that order. `epoch`: the first to be tried.

    `lost` is what the market has just taken: its region is dangerous.

    Raises:
        ActivityError: no provider answered, and the first one's reason will not mend by itself.
    """
    needs = _needs(spec)
    if regions:
        needs = replace(needs, regions=regions)
    found = await _search(spec, needs)
    if found.failures and not found.market_answered and kind_of(found.failures[0]) in HOPELESS:
        raise found.failures[0]  # no key is accepted, say
    ranking, _ = await _rank(spec, found.offers, needs, avoid=avoid, regions_first=bool(regions), lost=lost)
    silent = found.silent
    reason = f"{len(ranking.best)} offers fit, {ranking.rejected_total} do not"
    if silent:
        reason += f"; no answer from {', '.join(silent)}"
    decision = Decision(
        workload=spec.name,
        epoch=epoch,
        made_at=workflow.now(),
        occasion=occasion,
        strategy=strategy,
        reason=reason,
        chosen=ranking.chosen,
        rejected=ranking.rejected,
        rejected_total=ranking.rejected_total,
        avoid=tuple(sorted(avoid)),
        regions_first=bool(regions),
    )
    if ranking.best and changes.fewer_steps():
        return Ranked(best=ranking.best, market_answered=found.market_answered, unrecorded=decision)
    await steps.record_decision(decision)
    return Ranked(best=ranking.best, market_answered=found.market_answered)


@dataclass(frozen=True, kw_only=True)
class Cheaper:
    """An offer, and the chances of losing a machine in its region and in that of ours."""

    offer: Offer
    there: Risk
    here: Risk


async def best_below(spec: WorkloadSpec, hourly: Decimal, *, avoid: frozenset[str]) -> Offer | None:
    """The best offer for less than so many USD per hour, on another machine than those. It is no decision yet.

    None as well when no provider answers.
    """
    found = await _below(spec, hourly, avoid=avoid)
    return found[0].best[0] if found[0].best else None


async def best_instead(spec: WorkloadSpec, lease: Lease, hourly: Decimal) -> Cheaper | None:
    """The same for the machine that we have, with how dangerous the two are."""
    ranking, recalled = await _below(spec, hourly, avoid=frozenset({lease.machine_id}))
    if not ranking.best:
        return None
    offer = ranking.best[0]
    known = placement.Risks(recalled.risks, recalled.usual_risk)
    return Cheaper(offer=offer, there=known.of(offer), here=known.of(lease))


async def _below(
    spec: WorkloadSpec, hourly: Decimal, *, avoid: frozenset[str]
) -> tuple[placement.Ranking, Recollection]:
    needs = replace(_needs(spec), max_hourly=min(hourly, spec.price.max_hourly))
    found = await _search(spec, needs)
    return await _rank(spec, found.offers, needs, avoid=avoid, regions_first=False)


def _needs(spec: WorkloadSpec) -> Requirements:
    """A deadline chooses the terms for itself: what it wants is no machine of the other kind."""
    chosen = spec.policy.deadline is not None and changes.fewer_steps()
    return replace(spec.requirements(), exact_terms=chosen)


@dataclass(frozen=True, kw_only=True)
class _Found:
    offers: list[Offer]
    failures: list[BaseException]
    silent: list[str]  # providers that gave no answer
    asked: int

    @property
    def market_answered(self) -> bool:
        return len(self.failures) < self.asked


async def _search(spec: WorkloadSpec, needs: Requirements) -> _Found:
    searches = (steps.search_offers(provider, needs) for provider in spec.providers)
    answers = await asyncio.gather(*searches, return_exceptions=True)
    return _Found(
        offers=[offer for answer in answers if not isinstance(answer, BaseException) for offer in answer],
        failures=[answer for answer in answers if _failed(answer)],
        silent=[str(name) for name, answer in zip(spec.providers, answers, strict=True) if _failed(answer)],
        asked=len(answers),
    )


async def _rank(
    spec: WorkloadSpec,
    offers: list[Offer],
    needs: Requirements,
    *,
    avoid: frozenset[str],
    regions_first: bool,
    lost: PlaceLoss | None = None,
) -> tuple[placement.Ranking, Recollection]:
    recalled = await _recalled(spec, offers, lost)
    ranking = placement.rank(
        offers,
        needs,
        avoid_machines=avoid,
        memory=_by_machine(recalled.machines),
        places=recalled.places,
        risks=recalled.risks,
        usual_risk=recalled.usual_risk,
        ahead=recalled.ahead,
        per_loss=recalled.per_loss,
        regions_first=regions_first,
        now=workflow.now(),
    )
    return ranking, recalled


async def _recalled(spec: WorkloadSpec, offers: Sequence[Offer], lost: PlaceLoss | None) -> Recollection:
    """How the offered machines behaved when we had them, where others failed us lately, and where losses are likely."""
    if not offers:
        return Recollection()
    keys = tuple(dict.fromkeys(MachineKey(provider=each.provider, machine_id=each.machine_id) for each in offers))
    if changes.fewer_steps():
        return await steps.recall(keys, lost, gpus=tuple(sorted({each.gpu for each in offers})), spec=spec)
    machines = await steps.recall_machines(keys) if changes.knows("machines-are-remembered") else []
    places = await steps.closed_places() if changes.knows("places-are-remembered") else []
    return Recollection(machines=tuple(machines), places=tuple(places))


def _by_machine(machines: Iterable[MachineMemory]) -> Mapping[MachineKey, MachineMemory]:
    return {MachineKey(provider=each.provider, machine_id=each.machine_id): each for each in machines}


def _failed(answer: object) -> TypeGuard[BaseException]:
    if isinstance(answer, BaseException) and is_cancelled_exception(answer):
        raise answer
    return isinstance(answer, BaseException)
