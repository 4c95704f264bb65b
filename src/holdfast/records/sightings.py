"""Strangers that sweeps have seen: since when, and how often in a row."""

from collections.abc import Iterable
from datetime import datetime

from sqlmodel import Session, select

from holdfast.contracts.machines import InstanceState, OpenLease
from holdfast.contracts.sweeping import Finding, JudgeInput, Known, Ruling, Stranger
from holdfast.policy import sweeping
from holdfast.records.tables import LeaseRow, SightingRow


def judge(session: Session, order: JudgeInput, now: datetime) -> list[Finding]:
    """Say what becomes of each stranger of a listing, and remember it, unless it is a dry run.

    Whoever is not among them any more is forgotten: its grace begins anew if it comes back.
    """
    abandoned = {lease.label: lease for lease in order.abandoned}
    listed = {stranger.label for stranger in order.strangers}
    unlisted = [_unlisted(lease) for lease in order.abandoned if lease.label not in listed]
    findings = [_finding(session, order, stranger, abandoned, now) for stranger in [*order.strangers, *unlisted]]
    if not order.dry_run:
        _remember(session, order.provider, findings, now)
    return findings


def _unlisted(lease: OpenLease) -> Stranger:
    return Stranger(
        instance_id=lease.instance_id, label=lease.label, state=InstanceState.GONE, detail="not among those listed"
    )


def _finding(
    session: Session, order: JudgeInput, stranger: Stranger, abandoned: dict[str, OpenLease], now: datetime
) -> Finding:
    known = _known(session.get(LeaseRow, stranger.label), stranger, abandoned)
    seen = session.get(SightingRow, (order.provider, stranger.label, stranger.instance_id))
    first_seen = seen.first_seen if seen else now
    ruling = sweeping.rule(known, first_seen=first_seen, now=now, grace=order.grace)
    return Finding(
        provider=order.provider,
        instance_id=stranger.instance_id,
        label=stranger.label,
        state=stranger.state,
        hourly=stranger.hourly,
        known=known,
        ruling=ruling,
        reason=sweeping.reason(known),
        first_seen=first_seen,
        ends_at=None if ruling is Ruling.REPORT else first_seen + order.grace,
    )


def _known(line: LeaseRow | None, stranger: Stranger, abandoned: dict[str, OpenLease]) -> Known:
    if line is None:
        return Known.NOTHING
    if line.closed_at is not None:
        return Known.CLOSED
    if stranger.label in abandoned:
        return Known.ABANDONED
    return Known.OTHER


def _remember(session: Session, provider: str, findings: Iterable[Finding], now: datetime) -> None:
    present = {(finding.label, finding.instance_id) for finding in findings}
    for row in session.exec(select(SightingRow).where(SightingRow.provider == provider)).all():
        if (row.label, row.instance_id) in present:
            row.last_seen, row.times = now, row.times + 1
            present.discard((row.label, row.instance_id))
        else:
            session.delete(row)
    for label, instance_id in sorted(present):
        session.add(
            SightingRow(provider=provider, label=label, instance_id=instance_id, first_seen=now, last_seen=now, times=1)
        )
