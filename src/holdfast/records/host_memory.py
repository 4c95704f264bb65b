"""How machines behaved, read from the cost lines; and the bans that people made or lifted."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlmodel import Session, col, or_, select

from holdfast.contracts.machines import Conduct, InstanceState
from holdfast.contracts.memory import (
    BanInput,
    ListMachinesInput,
    MachineHistory,
    MachineKey,
    MachineMemory,
    RecallInput,
    StayLine,
)
from holdfast.policy import host_memory
from holdfast.records import meter
from holdfast.records.tables import LeaseRow, MachineBanRow

STAYS_TOLD = 50
MACHINES_TOLD = 1_000
_ASKED_AT_ONCE = 200

_Key = tuple[str, str]


def recall(session: Session, order: RecallInput, now: datetime) -> list[MachineMemory]:
    """Those of the machines of which anything is remembered."""
    keys = sorted({(each.provider, each.machine_id) for each in order.machines if each.machine_id})
    found: list[MachineMemory] = []
    for start in range(0, len(keys), _ASKED_AT_ONCE):
        some = keys[start : start + _ASKED_AT_ONCE]
        found += _memories(session, some, now)
    return found


def list_machines(session: Session, order: ListMachinesInput, now: datetime) -> list[MachineMemory]:
    """Every machine that we ever had, or that somebody banned: the banned first, then those that failed most."""
    query = select(LeaseRow.provider, LeaseRow.machine_id).distinct()
    bans = select(MachineBanRow.provider, MachineBanRow.machine_id)
    keys = {*session.exec(query).all(), *session.exec(bans).all()}
    asked = sorted(key for key in keys if key[1] and order.provider in (None, key[0]))
    found = recall(session, RecallInput(machines=tuple(MachineKey(provider=p, machine_id=m) for p, m in asked)), now)
    if order.banned_only:
        found = [each for each in found if each.banned_until]
    found.sort(key=lambda each: (each.banned_until is None, -each.bad, each.provider, each.machine_id))
    return found[:MACHINES_TOLD]


def history(session: Session, machine: MachineKey, now: datetime) -> MachineHistory | None:
    """None for a machine of which nothing is remembered."""
    memories = _memories(session, [(machine.provider, machine.machine_id)], now)
    if not memories:
        return None
    query = (
        select(LeaseRow)
        .where(LeaseRow.provider == machine.provider, LeaseRow.machine_id == machine.machine_id)
        .order_by(col(LeaseRow.opened_at).desc(), col(LeaseRow.epoch).desc())
        .limit(STAYS_TOLD)
    )
    return MachineHistory(machine=memories[0], stays=tuple(_line(row) for row in session.exec(query)))


def ban(session: Session, order: BanInput, now: datetime) -> MachineMemory:
    """Ban a machine, or lift its ban; what is known of it then."""
    row = session.get(MachineBanRow, (order.provider, order.machine_id))
    if row is None:
        row = MachineBanRow(provider=order.provider, machine_id=order.machine_id)
        session.add(row)
    row.until, row.reason = order.until, order.reason
    if order.until is None:
        row.forgiven_at = now
    session.flush()
    (memory,) = _memories(session, [(order.provider, order.machine_id)], now)
    return memory


def _memories(session: Session, keys: Sequence[_Key], now: datetime) -> list[MachineMemory]:
    ours = [(col(LeaseRow.provider) == provider) & (col(LeaseRow.machine_id) == machine) for provider, machine in keys]
    rows: dict[_Key, list[LeaseRow]] = defaultdict(list)
    for row in session.exec(select(LeaseRow).where(or_(*ours))) if ours else ():
        rows[row.provider, row.machine_id].append(row)
    found = []
    for key in keys:
        edit = session.get(MachineBanRow, key)
        if key in rows or edit is not None:
            resting = _resting(session, rows.get(key, []))
            found.append(replace(_memory(key, rows.get(key, []), edit, now), resting=resting))
    return found


def _memory(key: _Key, rows: list[LeaseRow], edit: MachineBanRow | None, now: datetime) -> MachineMemory:
    rows.sort(key=lambda row: row.opened_at)
    until, reason = _ban(rows, edit, now)
    up, failures = _lately(rows, now)
    return MachineMemory(
        provider=key[0],
        machine_id=key[1],
        host_id=rows[-1].host_id if rows else "",
        gpu=rows[-1].gpu if rows else "",
        good=_count(rows, Conduct.GOOD),
        bad=_count(rows, Conduct.BAD),
        neutral=_count(rows, Conduct.NEUTRAL),
        last_had=rows[-1].opened_at if rows else None,
        banned_until=until,
        ban_reason=reason,
        measured=True,
        watched=up + failures * host_memory.DOWN_AFTER_A_FAILURE,
        up=up,
    )


def _lately(rows: Iterable[LeaseRow], now: datetime) -> tuple[timedelta, int]:
    """How long we had it in the last three days, and how often it failed us."""
    since = now - host_memory.LATELY
    recent = [row for row in rows if row.closed_at is None or row.closed_at > since]
    had = [(row.closed_at or now) - max(row.launched_at, since) for row in recent if row.launched_at is not None]
    up = sum((max(each, timedelta()) for each in had), timedelta())
    return up, sum(row.closed_at is not None and row.conduct == Conduct.BAD for row in recent)


def _resting(session: Session, rows: Iterable[LeaseRow]) -> int:
    """How many are open, and stopped by their meter. Of a kind of machine the next order may find another one."""
    labels = [row.label for row in rows if row.closed_at is None and row.exclusive]
    last = [stretches[-1].state for stretches in meter.of(session, labels).values() if stretches] if labels else []
    return last.count(InstanceState.STOPPED)


def _ban(rows: list[LeaseRow], edit: MachineBanRow | None, now: datetime) -> tuple[datetime | None, str]:
    if edit is not None and edit.until is not None and edit.until > now:
        return edit.until, edit.reason or "banned by hand"
    forgiven = edit.forgiven_at if edit is not None else None
    stays = [
        host_memory.Stay(at=row.closed_at, conduct=Conduct(row.conduct))
        for row in rows
        if row.closed_at is not None and row.conduct and (forgiven is None or row.closed_at > forgiven)
    ]
    found = host_memory.ban_of(stays, now=now)
    return (found.until, found.reason) if found else (None, "")


def _count(rows: Iterable[LeaseRow], conduct: Conduct) -> int:
    return sum(1 for row in rows if row.conduct == conduct)


def _line(row: LeaseRow) -> StayLine:
    return StayLine(
        label=row.label,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        conduct=Conduct(row.conduct) if row.conduct else None,
        failed_in=row.failed_in,
        reason=row.closed_because,
    )
