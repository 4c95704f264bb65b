"""`regional`: the lost machine's region first, then the policy's next ones, so that data, latency and law stay."""

from holdfast.contracts.machines import Lease
from holdfast.contracts.spec import Strategy
from holdfast.policy.ladder import Rung
from holdfast.workflows.settling import Settled, Settler


async def climb(settler: Settler, lost: Lease, rung: Rung) -> Settled | None:
    """Rent there and restore the last committed checkpoint; the lost machine's own hardware is not tried again."""
    settler.avoid(lost.machine_id)
    return await settler.on_new_machine(Strategy.REGIONAL, with_state=True, regions=rung.regions)
