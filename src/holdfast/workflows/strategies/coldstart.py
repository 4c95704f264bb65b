"""`coldstart`: the lost machine once more, if its disk is intact, else a new one without state, if that is allowed."""

from holdfast.contracts.machines import Lease
from holdfast.contracts.spec import Strategy
from holdfast.policy.ladder import Rung
from holdfast.workflows.settling import Settled, Settler


async def climb(settler: Settler, lost: Lease, rung: Rung) -> Settled | None:
    """In place first, because nothing is lost there; then from image and setup commands alone."""
    if rung.in_place and (settled := await settler.on_same_machine(lost, Strategy.COLDSTART)):
        return settled
    if not rung.new_machine:
        return None
    settler.avoid(lost.machine_id)
    # A checkpoint of which the workload had not heard when its machine was lost is restored all the same.
    return await settler.on_new_machine(Strategy.COLDSTART, with_state=not settler.may_start_empty)
