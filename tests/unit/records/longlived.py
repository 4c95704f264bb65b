"""A workload with very many of everything. To record one after another would take minutes."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter
from sqlmodel import select

from holdfast.contracts.failover import Decision
from holdfast.contracts.incidents import Incident
from holdfast.contracts.names import label
from holdfast.records.store import Records
from holdfast.records.tables import CheckpointRow, DecisionRow, IncidentRow, LeaseRow, MeterRow, Table
from tests.unit.records.makers import MARK, claim, commit, decision, incident, lease, opening, with_objectives

Change = Callable[[int], dict[str, Any]]
MINUTE = timedelta(minutes=1)


def live_long(records: Records, many: int, name: str = "train", *, offers: int = 1) -> None:
    """Open a workload with so many leases, checkpoints, incidents and decisions among `offers`, numbered from one.

    The first of each is recorded in the usual way, the others are its copies.
    """
    loss = incident(1, name, recovery_time=3 * MINUTE, work_lost=2 * MINUTE)
    ranking = decision(1, name, chosen=decision().chosen * offers)
    records.open_workload(opening(name, objectives=with_objectives(rto=2 * MINUTE, rpo=MINUTE)))
    records.claim_epoch(claim(1, name))
    records.record_lease(lease(1, name, hourly=Decimal("0.5")))
    records.commit_checkpoint(commit(1, name=name))
    records.record_incident(loss)
    records.record_decision(ranking)
    _multiply(records, many, LeaseRow, lambda number: {"epoch": number, "label": label(name, number, MARK)})
    _multiply(records, many, MeterRow, lambda number: {"label": label(name, number, MARK)})
    _multiply(records, many, CheckpointRow, lambda number: {"sequence": number})
    _multiply(records, many, IncidentRow, _renumbered(TypeAdapter(Incident), loss, "epoch_lost"))
    _multiply(records, many, DecisionRow, _renumbered(TypeAdapter(Decision), ranking, "epoch"))


def many_checkpoints(records: Records, manifests: Sequence[str]) -> None:
    """Rows like the only one there is, whose manifest is the first of these."""
    _multiply(records, len(manifests), CheckpointRow, lambda n: {"sequence": n, "manifest": manifests[n - 1]})


def _multiply(records: Records, many: int, table: type[Table], change: Change) -> None:
    with records._writing() as session:
        (row,) = session.exec(select(table)).all()
        session.add_all(table(**row.model_dump() | change(number)) for number in range(2, many + 1))


def _renumbered(kind: TypeAdapter[Any], told: object, field: str) -> Change:
    document = kind.dump_python(told, mode="json")
    return lambda number: {field: number, "document": document | {field: number}}
