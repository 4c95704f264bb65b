"""Strangers that sweeps have seen: since when, and how often in a row."""

from collections.abc import Iterable
from datetime import datetime

from sqlmodel import Session, select

from holdfast.contracts.machines import InstanceState, OpenLease
from holdfast.contracts.sweeping import Finding, JudgeInput, Known, Ruling, Stranger
from holdfast.policy import sweeping
from holdfast.records import outbox
from holdfast.records.tables import LeaseRow, SightingRow


def judge(session: Session, order: JudgeInput, now: datetime) -> list[Finding]:
    """Say what becomes of each stranger of a listing, and remember it, unless it is a dry run.

    Whoever is not among them any more is forgotten: its grace begins anew if it comes back. The same order again
    says the same again.
    """
    asked_at, listed_at = order.asked_at or now, order.listed_at or now
    found = [_finding(session, order, each, asked_at, listed_at) for each in [*_unlisted(order), *order.strangers]]
    findings = [finding for finding in found if finding is not None]
    if not order.dry_run:
        for finding in findings:
            if finding.ruling is Ruling.END:
                outbox.stranger_ended(session, finding, now)
        _remember(session, order.provider, findings, asked_at, listed_at)
    return findings


def _unlisted(order: JudgeInput) -> list[Stranger]:
    """The machines of abandoned lines that no listing shows; where only doubles are listed, the line's own, too.

    They come first: what ends them by their id also ends whatever is listed under their label.
    """
    machines = {stranger.instance_id for stranger in order.strangers}
    labels = {stranger.label for stranger in order.strangers}
    return [
        _missing(lease)
        for lease in order.abandoned
        if (lease.instance_id not in machines if lease.instance_id else lease.label not in labels)
    ]


def _missing(lease: OpenLease) -> Stranger:
    return Stranger(
        instance_id=lease.instance_id, label=lease.label, state=InstanceState.GONE, detail="not among those listed"
    )


def _finding(
    session: Session, order: JudgeInput, stranger: Stranger, asked_at: datetime, listed_at: datetime
) -> Finding | None:
    """None when it is no stranger any more: its lease was opened, or its machine recorded, while we looked."""
    known = _known(session.get(LeaseRow, stranger.label), order, stranger)
    if known is None:
        return None
    seen = session.get(SightingRow, (order.provider, stranger.label, stranger.instance_id))
    first_seen = seen.first_seen if seen else listed_at
    ruling = sweeping.rule(known, first_seen=first_seen, asked_at=asked_at, grace=order.grace)
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


def _known(line: LeaseRow | None, order: JudgeInput, stranger: Stranger) -> Known | None:
    if line is None:
        return Known.NOTHING
    if line.closed_at is not None:
        return Known.CLOSED
    if any(lease.label == stranger.label for lease in order.abandoned):
        return Known.ABANDONED
    if line.provider == order.provider and line.instance_id in ("", stranger.instance_id):
        return None
    return Known.OTHER


def _remember(
    session: Session, provider: str, findings: Iterable[Finding], asked_at: datetime, listed_at: datetime
) -> None:
    present = {(finding.label, finding.instance_id) for finding in findings}
    for row in session.exec(select(SightingRow).where(SightingRow.provider == provider)).all():
        if (row.label, row.instance_id) in present:
            if row.last_seen < listed_at:
                row.last_seen, row.times = listed_at, row.times + 1
            present.discard((row.label, row.instance_id))
        elif row.last_seen <= asked_at:  # else somebody has looked later than we
            session.delete(row)
    for label, instance_id in sorted(present):
        row = SightingRow(
            provider=provider,
            label=label,
            instance_id=instance_id,
            first_seen=listed_at,
            last_seen=listed_at,
            times=1,
        )
        session.add(row)
