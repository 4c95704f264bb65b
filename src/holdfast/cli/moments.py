"""Read a moment as people write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from holdfast.cli.errors import UsageProblem

_AGO = "write 2026-01-31, 2026-01-31T12:00+01:00, or how long ago: 90m, 7d"


def moment(text: str, option: str, *, after: datetime | None = None, remedy: str = _AGO) -> datetime:
    """A date, a moment (UTC without a zone), or a time: so long ago, or so long `after` that.

    Raises:
        UsageProblem: it is none of these.
    """
    from holdfast.contracts.written import parse_duration  # noqa: PLC0415 (pydantic; not for `--help`)

    try:
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        time: timedelta = parse_duration(text)
        return datetime.now(UTC) - time if after is None else after + time
    except (ValueError, OverflowError) as err:
        raise UsageProblem(f"{option} {text!r} is no time", remedy=remedy) from err
