"""`warmpool`: a machine that stands ready, with most of the state on its disk; only what it lacks is fetched."""

from holdfast.contracts.machines import Lease
from holdfast.contracts.spec import Strategy
from holdfast.policy.ladder import Rung
from holdfast.workflows.settling import Settled, Settler


async def climb(settler: Settler, lost: Lease, rung: Rung) -> Settled | None:
    """One standby after the other, until one takes the work or the pool has no other; the lost machine is none."""
    return await settler.on_standby(lost, Strategy.WARMPOOL)
