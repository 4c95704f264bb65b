"""Who may send requests to an endpoint at this moment, and how long ago anybody did."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from holdfast.contracts.endpoints import Holder, IdleNotice, WakeRequest

GAPS_KEPT = 200
MISSED_FOR = timedelta(seconds=30)
"""Longer than a gateway pauses between two tries to renew."""
_MOST_HOLDERS = 100
"""Gateways have new names after each start: those of the dead are forgotten when their passes end."""


class Callers:
    """A gateway counts as calling until its pass is given back or has run out."""

    def __init__(self, holders: Iterable[Holder], last_call: datetime | None, gaps: Iterable[timedelta]) -> None:
        self._holders = {each.gateway: each for each in holders}
        self.last_call = last_call  # when the last request ended, as far as is known; None: there was none
        self.gaps = list(gaps)

    @property
    def holders(self) -> tuple[Holder, ...]:
        return tuple(self._holders.values())

    @property
    def in_flight(self) -> int:
        return sum(sum(each.in_flight.values()) for each in self._holders.values())

    @property
    def waiting(self) -> int:
        return sum(each.waiting for each in self._holders.values())

    def asked(self, request: WakeRequest, now: datetime, *, pass_for: timedelta) -> bool:
        """A gateway asks for a pass, or goes on with the one that it has; whether that is any news."""
        before = self._holders.get(request.gateway)
        if not self._holders and self.last_call is not None:
            self.gaps = [*self.gaps, max(now - self.last_call, timedelta())][-GAPS_KEPT:]
        if request.gateway not in self._holders and len(self._holders) >= _MOST_HOLDERS:
            self._holders.pop(next(iter(self._holders)))
        self._holders[request.gateway] = Holder(
            gateway=request.gateway,
            asked_at=now,
            until=now + pass_for,
            in_flight=dict(request.in_flight),
            waiting=request.waiting,
        )
        return before is None or (before.in_flight, before.waiting) != (dict(request.in_flight), request.waiting)

    def gave_back(self, notice: IdleNotice, now: datetime) -> None:
        if self._holders.pop(notice.gateway, None) is not None:
            self._ended(now - notice.quiet_for)

    def forget_expired(self, now: datetime) -> None:
        """A gateway that died has given nothing back.

        One whose pass ran out while nobody was there to renew it has a stream in flight, perhaps: it is missed first,
        and forgotten when it has not asked again by then.
        """
        for each in self.holders:
            if each.until <= now and each.missed_since is None:
                self._holders[each.gateway] = replace(each, missed_since=now)
            elif each.missed_since is not None and now - each.missed_since >= MISSED_FOR:
                del self._holders[each.gateway]
                self._ended(each.until)

    def next_expiry(self) -> datetime | None:
        return min((_ends(each) for each in self._holders.values()), default=None)

    def are_off(self, replica: str, since: datetime) -> bool:
        """No gateway has requests at this replica, and each has been told since then to send it no more."""
        return all(each.asked_at > since and not each.in_flight.get(replica) for each in self._holders.values())

    def load_of(self, replica: str) -> int:
        return sum(each.in_flight.get(replica, 0) for each in self._holders.values())

    def load_since(self, moment: datetime) -> int:
        """Requests, waiting ones too, of which a gateway told after this moment."""
        return sum(each.waiting + sum(each.in_flight.values()) for each in self.holders if each.asked_at > moment)

    def _ended(self, at: datetime) -> None:
        self.last_call = at if self.last_call is None else max(self.last_call, at)


def _ends(holder: Holder) -> datetime:
    return holder.until if holder.missed_since is None else holder.missed_since + MISSED_FOR
