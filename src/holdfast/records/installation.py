"""What tells this installation's machines from another's that shares its account."""

from sqlmodel import Session, select

from holdfast.records.tables import InstallationRow


def mark(session: Session) -> str:
    """The part of every label that no other installation writes. Drawn when the records were set up."""
    return session.exec(select(InstallationRow.mark)).one()
