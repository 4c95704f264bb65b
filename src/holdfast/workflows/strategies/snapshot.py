"""`snapshot`: the best machine anywhere that the policy allows, with the last committed checkpoint restored."""

from holdfast.contracts.machines import Lease
from holdfast.contracts.spec import Strategy
from holdfast.policy.ladder import Rung
from holdfast.workflows.settling import Settled, Settler


async def climb(settler: Settler, lost: Lease, rung: Rung) -> Settled | None:
    """Rent elsewhere; the lost machine's own hardware is not tried again during this incident."""
    settler.avoid(lost.machine_id)
    return await settler.on_new_machine(Strategy.SNAPSHOT, with_state=True)
