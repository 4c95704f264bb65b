"""Which reference is fair, and what speaks against one.

A saving is only as good as what it is shown against. A price that was cut since makes it look larger, and the price of
a bare accelerator makes it look smaller, than it is. So each reference is held against its age and against the others.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal

from holdfast.contracts.machines import Terms
from holdfast.contracts.references import CheckedReference, Reference
from holdfast.policy import gpu_names

CHEAPEST = "cheapest"
"""Against whoever asks least: what is saved is then no less against anybody else."""
_DIFFERS = Decimal("0.05")


def for_gpu(
    references: Iterable[Reference], gpu: str, *, against: str, at: date, max_age: timedelta
) -> list[CheckedReference]:
    """Every reference for this GPU on demand, the fairest first; that one is chosen.

    `at` is the end of the time that is compared: the newest price of before is in force then. `against` names a
    provider, `provider:region`, or `cheapest`. Flags compare with all that is known, whoever is asked for.
    """
    known = [each for each in references if each.kind is Terms.ON_DEMAND and gpu_names.same(each.gpu, gpu)]
    asked = [each for each in known if is_meant(each, against)]
    checked = [
        CheckedReference(reference=each, flags=tuple(_flags(each, known, at, max_age))) for each in _in_force(asked, at)
    ]
    return sorted(checked, key=lambda each: (bool(each.flags), each.reference.hourly, each.reference.provider))


def is_meant(reference: Reference, against: str) -> bool:
    """Whether `against` names it."""
    provider, _, region = against.partition(":")
    return against == CHEAPEST or (reference.provider == provider and (not region or reference.region == region))


def _in_force(references: Sequence[Reference], at: date) -> list[Reference]:
    """Of each source the newest that was known at that time; the oldest, where all are of later."""
    by_source: dict[tuple[str, ...], list[Reference]] = {}
    for each in references:
        key = (each.provider, each.gpu, each.region, each.source, each.unit)
        by_source.setdefault(key, []).append(each)
    found = []
    for group in by_source.values():
        ordered = sorted(group, key=lambda each: (each.dated, each.seen_until))
        before = [each for each in ordered if each.dated <= at]
        found.append(before[-1] if before else ordered[0])
    return found


def _flags(one: Reference, known: Sequence[Reference], at: date, max_age: timedelta) -> Iterable[str]:
    if at - one.seen_until > max_age:
        yield f"stale: {(at - one.seen_until).days} days older than what it is compared with"
    if one.dated - at > max_age:
        yield f"of {(one.dated - at).days} days later than what it is compared with"
    if not one.whole:
        yield f"not a whole machine: {one.includes}"
    others = [each for each in known if _is_of_the_same(one, each) and _differ(one.hourly, each.hourly)]
    newer = [each for each in others if each.seen_until > one.seen_until and each.dated <= max(at, one.seen_until)]
    if newer:
        last = max(newer, key=lambda each: each.seen_until)
        yield f"stale: contradicted by ${last.hourly.normalize():f} of {last.seen_until} ({last.source})"
        return
    beside = [each for each in others if one.seen_until == each.seen_until]
    if beside:
        yield f"disagrees with ${beside[0].hourly.normalize():f} of the same day ({beside[0].source})"


def _is_of_the_same(one: Reference, other: Reference) -> bool:
    """The same thing, as far as both say; the prices of different sources must then agree."""
    return (
        one is not other
        and one.provider == other.provider
        and one.whole == other.whole
        and gpu_names.same(one.gpu, other.gpu)
        and (not one.region or not other.region or one.region == other.region)
    )


def _differ(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) > _DIFFERS * min(one, other)
