"""Leave a machine that became clearly dearer than the market, when the saving beats the cost of the move."""

from datetime import datetime, timedelta

from temporalio import workflow

from holdfast.contracts.spec import Strategy
from holdfast.policy import expectation
from holdfast.policy.leaving import CLEARLY_CHEAPER, look_every, saving
from holdfast.workflows import steps
from holdfast.workflows.life import Life
from holdfast.workflows.ranking import best_instead


def next_look(life: Life) -> datetime | None:
    """None: the policy does not look around, or permits no move today."""
    policy = life.spec.failover
    if policy.payback is None or len(life.moves_of_a_day()) >= policy.per_day:
        return None
    return max(life.looked_around, life.machine().since) + look_every(policy.payback)


async def look_around(life: Life) -> str:
    """Why to leave for another machine; "": there is no reason to."""
    life.looked_around = workflow.now()
    lease, payback = life.machine(), life.spec.failover.payback
    assert payback is not None, "only then is there a next look"
    found = await best_instead(life.spec, lease, lease.hourly * CLEARLY_CHEAPER)
    if found is None:
        return ""
    offer = found.offer
    move = expectation.expected(await steps.strategy_records())[Strategy.SNAPSHOT].took
    hours = payback / timedelta(hours=1)
    losses = (found.there.per_hour(payback) - found.here.per_hour(payback)) * hours
    saved = saving(lease.hourly, offer.hourly, payback=payback, move=move, losses=losses)
    if saved is None:
        return ""
    prices = f"${offer.hourly:.3f}/h at {offer.provider} for ${lease.hourly:.3f}/h"
    return f"{prices} saves ${saved:.2f} in {hours:g} h, the move of about {move.total_seconds():.0f} s paid"
