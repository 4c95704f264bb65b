"""Which machines are not rented for a while, for how they behaved.

A ban follows three failures in a row, or failures in 70 % of what was tried in 72 hours, three times at least. It lasts
a day, and two days if another one came in the month before. Nothing is held against a machine for what its market, its
provider's API, the workload or we ourselves did: such times are neutral, and neither count nor break a row.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.contracts.incidents import Cause
from holdfast.contracts.machines import Conduct, InstanceState
from holdfast.policy import interruption

IN_A_ROW = 3
SHARE = 0.7
WINDOW = timedelta(hours=72)
LEAST = 3
FIRST_BAN = timedelta(hours=24)
NEXT_BAN = timedelta(hours=48)
REMEMBERED = timedelta(days=30)
LATELY = timedelta(days=3)
"""How far back a machine's reliability is measured: what is older says little of the days to come."""
DOWN_AFTER_A_FAILURE = timedelta(hours=1)
"""What a failure counts as, of the time that a machine was watched."""

# A history of failures counts like this share of the price, when it fails always; see `share_lost`. A failure costs the
# better part of an hour, and a usual stay is eight; where nobody measured the last days, it has to speak for them too.
_WEIGHT, _WEIGHT_UNMEASURED = 0.1, 0.5
_DOUBT = 3  # times tried before a history speaks for itself

_BAD_LOSSES = (Cause.SILENT, Cause.HOST_OFFLINE, Cause.EXITED, Cause.REFUSED)
_BAD_BOOTS = (InstanceState.FAILED, InstanceState.STARTING, InstanceState.EXITED, InstanceState.OFFLINE)


@dataclass(frozen=True, kw_only=True)
class Stay:
    """One time that we had the machine, when it was over."""

    at: datetime
    conduct: Conduct


@dataclass(frozen=True, kw_only=True)
class Ban:
    since: datetime
    until: datetime
    reason: str


def ban_of(stays: Iterable[Stay], *, now: datetime) -> Ban | None:
    """The ban that holds now, None when the machine may be rented. Whatever led to a ban is forgiven with it."""
    held: list[Stay] = []
    bans: list[Ban] = []
    for stay in sorted(stays, key=lambda each: each.at):
        if stay.conduct is Conduct.NEUTRAL:
            continue
        held.append(stay)
        if reason := _reason(held, stay):
            again = bans and stay.at - bans[-1].since <= REMEMBERED
            bans.append(Ban(since=stay.at, until=stay.at + (NEXT_BAN if again else FIRST_BAN), reason=reason))
            held = []
    return bans[-1] if bans and bans[-1].until > now else None


def share_lost(*, good: int, bad: int, measured: bool = False) -> float:
    """What a machine's failures are expected to cost, as a share of its price: 0 without any, 0.5 at most.

    `measured`: how the last days went is counted apart, as `reliability`.
    """
    return (_WEIGHT if measured else _WEIGHT_UNMEASURED) * bad / (good + bad + _DOUBT)


def reliability(claimed: float, *, up: timedelta, watched: timedelta) -> float:
    """Share of the time that a machine will be there: as claimed, drawn to how the last three days with it went."""
    if not timedelta() <= up <= watched or not watched:
        return claimed
    return interruption.reliability(up=up, watched=watched, believed=claimed)


def conduct_of_loss(cause: Cause) -> Conduct:
    """Whose fault the loss of a running machine was."""
    return Conduct.BAD if cause in _BAD_LOSSES else Conduct.NEUTRAL


def conduct_of_boot(state: InstanceState) -> Conduct:
    """Whose fault it was that a machine, last seen in this state, never came up."""
    return Conduct.BAD if state in _BAD_BOOTS else Conduct.NEUTRAL


def _reason(held: list[Stay], newest: Stay) -> str:
    if newest.conduct is not Conduct.BAD:
        return ""
    if len(held) >= IN_A_ROW and all(stay.conduct is Conduct.BAD for stay in held[-IN_A_ROW:]):
        return f"{IN_A_ROW} failures in a row"
    recent = [stay for stay in held if newest.at - stay.at <= WINDOW]
    bad = sum(1 for stay in recent if stay.conduct is Conduct.BAD)
    if len(recent) >= LEAST and bad >= SHARE * len(recent):
        return f"{bad} of {len(recent)} times failed in {WINDOW // timedelta(hours=1)} h"
    return ""
