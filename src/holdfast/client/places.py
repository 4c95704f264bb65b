"""What is known of the regions that machines were rented in."""

from temporalio.client import Client

from holdfast.client.calls import ask
from holdfast.contracts import activities, names
from holdfast.contracts.memory import PlaceRisk, PlaceRisksInput


async def risks(client: Client, *, provider: str | None = None) -> tuple[PlaceRisk, ...]:
    """How likely interruptible machines are to be taken back, by region; the safest first."""
    summary = "how likely losses are, by region"
    order = PlaceRisksInput(provider=provider)
    found = await ask(client, activities.place_risks, order, queue=names.CONTROL_QUEUE, summary=summary)
    return tuple(sorted(found, key=lambda each: (each.six_hours, each.provider, each.region)))
