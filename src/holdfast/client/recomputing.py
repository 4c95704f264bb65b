"""Make a placement decision again, from what Temporal's history holds of it, and compare.

A decision stands on the answers of its searches, on what was remembered of the machines and places, and on what the
search itself had learnt. All of it is in the history of the workflow that decided; the policy is a pure function.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio.api.common.v1 import Payloads
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError

from holdfast.client import messages
from holdfast.client.translation import from_rpc
from holdfast.contracts import activities, names
from holdfast.contracts.failover import Decision
from holdfast.contracts.forecasts import PriceAhead
from holdfast.contracts.machines import Offer, Requirements
from holdfast.contracts.memory import MachineKey, MachineMemory, PlaceMemory, PlaceRisk, Recollection
from holdfast.contracts.reports import Recomputed
from holdfast.policy import placement

_DECIDERS = (names.WORKLOAD, names.FAILOVER)
_SEARCH, _RECALL = activities.search_offers.__name__, activities.recall_machines.__name__
_PLACES, _BOTH = activities.closed_places.__name__, activities.recall.__name__
_RECORD, _CLAIM = activities.record_decision.__name__, activities.claim_epoch.__name__


@dataclass
class _Inputs:
    """What one decision stood on, in the order in which its workflow heard it."""

    needs: Requirements | None = None
    offers: dict[str, list[Offer]] = field(default_factory=dict)  # by provider
    memory: list[MachineMemory] = field(default_factory=list)
    places: list[PlaceMemory] = field(default_factory=list)
    risks: list[PlaceRisk] = field(default_factory=list)
    usual_risk: tuple[float, float, float] | None = None
    ahead: list[PriceAhead] = field(default_factory=list)
    per_loss: timedelta | None = None


async def recompute(client: Client, workload: str, decisions: Sequence[Decision]) -> tuple[Recomputed, ...]:
    """Make the decisions of a workload again, in their order.

    Raises:
        HoldfastError: the server does not answer.
    """
    messages.handle_of(client, workload)  # no odd name enters a query
    wanted = {_key(each): each for each in decisions}
    found: dict[tuple[int, object], Recomputed] = {}
    try:
        async for decision, inputs in _decided(client, workload):
            key = _key(decision)
            if key in wanted:
                found[key] = _compare(wanted[key], inputs)
            if len(found) == len(wanted):
                break
    except RPCError as err:
        raise from_rpc(err, client.service_client.config.target_host) from err
    gone = "its history is kept no longer"
    return tuple(found.get(_key(each)) or _told(each, None, gone) for each in decisions)


def _key(decision: Decision) -> tuple[int, object]:
    """What came out equal many times in a row is on record with the newest ranking."""
    return decision.epoch, decision.last_made_at or decision.made_at


def _compare(recorded: Decision, inputs: _Inputs) -> Recomputed:
    if recorded.avoid is None or inputs.needs is None:
        return _told(recorded, None, "an older version decided, and did not keep all that it knew")
    again = placement.rank(
        [offer for offers in inputs.offers.values() for offer in offers],
        inputs.needs,
        now=recorded.last_made_at or recorded.made_at,
        avoid_machines=frozenset(recorded.avoid),
        memory={MachineKey(provider=each.provider, machine_id=each.machine_id): each for each in inputs.memory},
        places=inputs.places,
        risks=inputs.risks,
        usual_risk=inputs.usual_risk,
        ahead=inputs.ahead,
        per_loss=inputs.per_loss,
        regions_first=recorded.regions_first,
    )
    told = ((recorded.chosen, again.chosen, "ranking"), (recorded.rejected, again.rejected, "list of rejected offers"))
    for then, now, what in told:
        if then != now:
            return _told(recorded, False, f"another {what}: {_first_difference(then, now)}")
    if recorded.rejected_total != again.rejected_total:
        return _told(recorded, False, f"{again.rejected_total} are rejected, not {recorded.rejected_total}")
    asked = ", ".join(inputs.offers)
    offered = sum(len(offers) for offers in inputs.offers.values())
    return _told(recorded, True, f"{offered} offers of {asked or 'nobody'} give the same ranking")


def _first_difference(then: Sequence[Any], now: Sequence[Any]) -> str:
    for place in range(max(len(then), len(now))):
        was, is_now = (each[place] if place < len(each) else None for each in (then, now))
        if was != is_now:
            return f"at place {place + 1} stood {_offer(was)}, now {_offer(is_now)}"
    return "in nothing"


def _offer(row: Any) -> str:
    return "none" if row is None else f"{row.offer_id} of {row.provider} ({row.reason})"


def _told(decision: Decision, same: bool | None, why: str) -> Recomputed:
    return Recomputed(
        epoch=decision.epoch,
        made_at=decision.last_made_at or decision.made_at,
        occasion=decision.occasion,
        strategy=decision.strategy,
        same=same,
        why=why,
    )


# --- histories ---------------------------------------------------------------------------------------------------


async def _decided(client: Client, workload: str) -> AsyncIterator[tuple[Decision, _Inputs]]:
    """Every decision in the histories that are kept, the newest run first."""
    async for run in client.list_workflows(f"HoldfastWorkload = '{workload}'"):
        if run.workflow_type not in _DECIDERS:
            continue
        handle = client.get_workflow_handle(run.id, run_id=run.run_id)
        events = [event async for event in handle.fetch_history_events()]
        async for decision in _of_one_run(client, events):
            yield decision


async def _of_one_run(client: Client, events: Iterable[HistoryEvent]) -> AsyncIterator[tuple[Decision, _Inputs]]:
    """A search begins anew what a decision stands on; what it was answered is told later in the history."""
    asked: dict[int, tuple[str, Any]] = {}
    inputs, answered = _Inputs(), False
    for event in events:
        if event.HasField("activity_task_scheduled_event_attributes"):
            scheduled = event.activity_task_scheduled_event_attributes
            name = scheduled.activity_type.name
            if name == _SEARCH:
                if answered:
                    inputs, answered = _Inputs(), False
                order = await _read(client, scheduled.input, activities.SearchInput)
                inputs.needs = order.requirements
                asked[event.event_id] = (name, order.provider)
            elif name in (_RECALL, _PLACES, _BOTH):
                asked[event.event_id] = (name, None)
            elif (decision := await _decision_in(client, name, scheduled.input)) is not None:
                answered = True
                yield decision, inputs
        elif event.HasField("activity_task_completed_event_attributes"):
            completed = event.activity_task_completed_event_attributes
            name, provider = asked.get(completed.scheduled_event_id, ("", None))
            if name == _SEARCH:
                inputs.offers[provider] = await _read(client, completed.result, list[Offer])
            elif name == _RECALL:
                inputs.memory = await _read(client, completed.result, list[MachineMemory])
            elif name == _BOTH:
                recalled = await _read(client, completed.result, Recollection)
                inputs.memory, inputs.places = list(recalled.machines), list(recalled.places)
                inputs.risks, inputs.ahead = list(recalled.risks), list(recalled.ahead)
                inputs.per_loss, inputs.usual_risk = recalled.per_loss, recalled.usual_risk
            elif name == _PLACES:
                inputs.places = await _read(client, completed.result, list[PlaceMemory])


async def _decision_in(client: Client, step: str, order: Payloads) -> Decision | None:
    """What a step was told to put on record: alone, or with the claim that followed from it."""
    if step == _RECORD:
        alone: Decision = await _read(client, order, Decision)
        return alone
    if step != _CLAIM:
        return None
    claim: activities.ClaimEpochInput = await _read(client, order, activities.ClaimEpochInput)
    return claim.decision


async def _read(client: Client, payloads: Payloads, kind: Any) -> Any:
    (value,) = await client.data_converter.decode(payloads.payloads, [kind])
    return value
