"""What the market has to offer at this moment."""

from decimal import Decimal

from holdfast.simcloud import contention
from holdfast.simcloud.clock import Clock
from holdfast.simcloud.errors import Gone, OfferGone
from holdfast.simcloud.model import Instance, Order, Slot
from holdfast.simcloud.profile import Profile
from holdfast.simcloud.store import Store


class Counter:
    """Looks at slots and tenancies; changes nothing."""

    def __init__(self, store: Store, profile: Profile, clock: Clock) -> None:
        self._store = store
        self._profile = profile
        self._clock = clock

    def offers(self, *, interruptible: bool) -> list[tuple[Slot, Decimal]]:
        """The slots that can be rented now, each with its price per hour: the least winning bid, or the full price."""
        tenants_of: dict[int, list[Instance]] = {}
        for instance in self._store.instances():
            tenants_of.setdefault(instance.slot_id, []).append(instance)
        found = []
        for slot in self._store.slots.all():
            tenants = tenants_of.get(slot.id, [])
            required = contention.required_bid(slot, tenants)
            if required is not None and self._is_offered(slot, tenants):
                found.append((slot, required if interruptible else slot.price))
        return found

    def rentable(self, ask_id: int, order: Order) -> Slot:
        """The slot offered under an id. Raises OfferGone."""
        slot = next((slot for slot in self._store.slots.all() if slot.ask_id == ask_id), None)
        if slot is None:
            raise OfferGone(ask_id, Gone.UNKNOWN)
        if not self._is_on_market(slot):
            raise OfferGone(ask_id, Gone.WITHDRAWN)
        if order.bid is None and contention.required_bid(slot, self.tenants(slot)) is None:
            raise OfferGone(ask_id, Gone.HELD)
        return slot

    def tenants(self, slot: Slot) -> list[Instance]:
        """The tenancies of a slot."""
        return [instance for instance in self._store.instances() if instance.slot_id == slot.id]

    def _is_on_market(self, slot: Slot) -> bool:
        return not slot.withdrawn and not slot.offline and slot.contract_end > self._clock.now()

    def _is_offered(self, slot: Slot, tenants: list[Instance]) -> bool:
        free = self._profile.contested_offers or not contention.is_held(slot, tenants)
        return free and self._is_on_market(slot)
