"""`coldstart`: the lost machine once more, if its disk is intact, else a new one without state, if that is allowed."""

from holdfast.contracts.machines import Lease
from holdfast.contracts.spec import Strategy
from holdfast.policy.ladder import Rung
from holdfast.workflows.settling import Settled, Settler


async def climb(settler: Settler, lost: Lease, rung: Rung) -> Settled | None:
    """In place first, because nothing is lost there; then from image and setup commands alone.

    A policy that races does not wait for the one before it begins the other.
    """
    # A checkpoint of which the workload had not heard when its machine was lost is restored all the same.
    with_state = not settler.may_start_empty
    if rung.in_place and rung.new_machine:
        return await settler.on_whichever_is_ready(lost, Strategy.COLDSTART, with_state=with_state)
    if rung.in_place:
        return await settler.on_same_machine(lost, Strategy.COLDSTART)
    settler.avoid(lost.machine_id)
    return await settler.on_new_machine(Strategy.COLDSTART, with_state=with_state)
