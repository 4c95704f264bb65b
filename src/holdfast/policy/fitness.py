"""Why an offer does not fit. Providers filter too; what comes back is checked again, limit by limit."""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from holdfast.contracts.machines import Offer, Requirements, Terms

# Providers state memory in GB or GiB and round it: "24 GB" comes as 23.99.
_MEMORY_SLACK = 0.97


def misfit(offer: Offer, needs: Requirements, *, now: datetime, avoid_machines: frozenset[str]) -> str:
    """The first reason why `offer` must not be rented for `needs`, or "" when it fits. Never raises.

    An on-demand offer within the price limit serves a workload that accepts interruptible terms: it is only firmer. Not
    where exactly those terms are wanted.
    A limit on something that the provider does not state is not met.
    """
    return next(_misfits(offer, needs, now, avoid_machines), "")


def misfits(offer: Offer, needs: Requirements, *, now: datetime) -> tuple[str, ...]:
    """Every reason why `offer` does not fit `needs`; none when it fits. Never raises."""
    return tuple(_misfits(offer, needs, now, frozenset()))


def plain_gpu(name: str) -> str:
    """A GPU's name as it is compared: people and providers write it in several ways."""
    return name.replace("_", " ").replace("-", " ").casefold().strip()


def _misfits(offer: Offer, needs: Requirements, now: datetime, avoid_machines: frozenset[str]) -> Iterator[str]:
    if offer.machine_id and offer.machine_id in avoid_machines:
        yield f"machine {offer.machine_id} failed just now"
    yield from _price_misfits(offer, needs)
    yield from _hardware_misfits(offer, needs)
    if needs.regions and offer.region not in needs.regions:
        yield f"it is in {offer.region or 'an unnamed region'}, not in {', '.join(needs.regions)}"
    yield from _contract_misfits(offer, needs, now)


def _price_misfits(offer: Offer, needs: Requirements) -> Iterator[str]:
    if not offer.hourly.is_finite() or offer.hourly <= 0:
        yield f"its price of {offer.hourly} USD per hour makes no sense"
    elif needs.max_hourly is not None and offer.hourly > needs.max_hourly:
        yield f"${offer.hourly}/h is above the limit of ${needs.max_hourly}/h"
    if needs.terms is Terms.ON_DEMAND and offer.terms is not Terms.ON_DEMAND:
        yield "it is interruptible, and on-demand is asked for"
    if needs.exact_terms and needs.terms is Terms.INTERRUPTIBLE and offer.terms is Terms.ON_DEMAND:
        yield "it is on demand, and only an interruptible one is wanted now"


def _hardware_misfits(offer: Offer, needs: Requirements) -> Iterator[str]:
    if needs.gpu is not None and plain_gpu(offer.gpu) != plain_gpu(needs.gpu):
        yield f"its GPU is {offer.gpu}, not {needs.gpu}"
    amounts: tuple[tuple[str, float | None, float], ...] = (
        ("GPUs", offer.gpu_count, needs.gpu_count),
        ("GB of GPU memory", offer.gpu_memory_gb, needs.gpu_memory_gb * _MEMORY_SLACK),
        ("CPU cores", offer.cpu_cores, needs.cpu_cores),
        ("GB of memory", offer.memory_gb, needs.memory_gb * _MEMORY_SLACK),
        ("GB of disk", offer.disk_gb, needs.disk_gb),
        ("reliability", offer.reliability, needs.min_reliability),
        ("Mbit/s download", offer.download_mbps, needs.min_download_mbps),
    )
    for what, has, wanted in amounts:
        if wanted <= 0:
            continue
        if has is None or not math.isfinite(has):
            yield f"it does not state its {what}, and {wanted:g} are needed"
        elif has < wanted:
            yield f"it has {has:g} {what}, and {wanted:g} are needed"


def _contract_misfits(offer: Offer, needs: Requirements, now: datetime) -> Iterator[str]:
    if offer.contract_ends is None:
        return
    if offer.contract_ends.tzinfo is None:
        yield "it states the end of its contract without a time zone"
    elif offer.contract_ends - now < max(needs.min_contract, timedelta(seconds=1)):
        yield f"its contract ends at {offer.contract_ends:%Y-%m-%d %H:%M} UTC, too soon"
