"""When a machine is left before it is taken, and what the time until then is enough for."""

from dataclasses import dataclass
from datetime import datetime, timedelta

RESERVE = timedelta(seconds=2)
"""Kept of a notice for the end of the save: what is committed after the machine is gone is committed all the same."""
_SHARE_OF_A_CONTRACT = 4
_SHARE_TO_END = 4


@dataclass(frozen=True, kw_only=True)
class LastSave:
    """A save before the machine is gone."""

    grace: timedelta  # between SIGTERM and SIGKILL
    within: timedelta  # for all of it; what is not committed by then is given up


def leave_at(contract_ends: datetime, *, since: datetime, margin: timedelta) -> datetime:
    """When to leave a machine that was rented at `since`, so that all is saved before its contract ends.

    A contract that hardly lasts longer than `margin` is used for three quarters of its time.
    """
    return contract_ends - min(margin, (contract_ends - since) / _SHARE_OF_A_CONTRACT)


def last_save(left: timedelta, *, stop_grace: timedelta) -> LastSave:
    """How to use the time that is left: most of it for the bytes, at most a quarter for the work to end by itself."""
    left = max(left, timedelta())
    within = max(left - RESERVE, left / 2)
    return LastSave(grace=min(stop_grace, within / _SHARE_TO_END), within=within)
