"""Places where one machine after the other fails us, and for how long nothing is rented there.

A machine that fails says something of itself (`host_memory`); several in a row, of one region or one provider, say
something of the place: an outage, a bad image mirror, a driver that was rolled out. Each failure more doubles the time
that the place is left alone. A machine there that did what it promised closes the matter.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.contracts.memory import PlaceMemory

REMEMBERED = timedelta(hours=2)
MACHINES_OF_A_REGION = 3  # that failed in a row
MACHINES_OF_A_PROVIDER = 5
FIRST_PAUSE = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One machine that we had, or tried to have, and whether it did what it promised."""

    provider: str
    region: str
    machine_id: str
    at: datetime
    good: bool


def closed_places(trials: Iterable[Trial], *, now: datetime) -> list[PlaceMemory]:
    """The places where nothing is rented now, in the order of their names. Never raises."""
    recent = sorted((each for each in trials if now - each.at <= REMEMBERED), key=lambda each: each.at)
    places: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in recent:
        places[trial.provider, ""].append(trial)
        if trial.region:
            places[trial.provider, trial.region].append(trial)
    found = (_closed(*place, held, now) for place, held in sorted(places.items()))
    return [each for each in found if each is not None]


def _closed(provider: str, region: str, held: list[Trial], now: datetime) -> PlaceMemory | None:
    failed: dict[str, datetime] = {}  # machines since the last success, each with its last failure
    for trial in held:
        if trial.good:
            failed.clear()
        else:
            failed[trial.machine_id] = trial.at
    enough = MACHINES_OF_A_REGION if region else MACHINES_OF_A_PROVIDER
    if len(failed) < enough:
        return None
    pause = min(FIRST_PAUSE * 2 ** (len(failed) - enough), LONGEST_PAUSE)
    until = max(failed.values()) + pause
    if until <= now:
        return None
    where = f"{provider} in {region}" if region else provider
    return PlaceMemory(
        provider=provider,
        region=region,
        until=until,
        reason=f"{len(failed)} machines in a row failed at {where}",
    )
