"""The market's rules: what tenants may order, and what follows. It knows neither HTTP nor processes.

Every method is one transaction and takes effect at once; what needs time (booting, a rival's stay, a contract's end) is
written down as moments, and ``advance`` acts on those that have come. The conductor then makes the hosts follow.
"""

import secrets
from datetime import datetime, timedelta
from decimal import Decimal

from holdfast.simcloud import contention
from holdfast.simcloud.bill import Bill
from holdfast.simcloud.clock import Clock
from holdfast.simcloud.errors import BidTooLow, Gone, GpuTaken, NoSuchInstance, OfferGone
from holdfast.simcloud.model import (
    Container,
    Flaw,
    Instance,
    OldWord,
    Order,
    Slot,
    Stop,
    Wish,
)
from holdfast.simcloud.profile import Profile
from holdfast.simcloud.store import Store

MONTH_HOURS = Decimal(30 * 24)
_CREATED_SHARE = 0.2  # of a boot: the container is being made; the rest it is loading


class Market:
    """Slots and their tenants."""

    def __init__(self, store: Store, profile: Profile, clock: Clock) -> None:
        self._store = store
        self._profile = profile
        self._clock = clock
        self.bill = Bill(store)

    # What tenants order

    def rent(self, ask_id: int, order: Order) -> Instance:
        """Accept an order for an offer. Not idempotent: every accepted call is one more instance.

        Raises OfferGone, or BidTooLow, which carries the stopped instance that exists nevertheless.
        """
        with self._store.transaction():
            slot = self._rentable(ask_id, order)
            required = contention.required_bid(slot, self.tenants(slot))
            refused = order.bid is not None and (required is None or order.bid < required)
            instance = self._accept(slot, order)
            if refused or order.wish is Wish.STOPPED:
                instance.wish, instance.container = Wish.STOPPED, Container.STOPPED
                instance.stop = Stop.BID_TOO_LOW if refused else Stop.USER
            self._keep(instance, slot)
            self._settle(slot)
        if refused:
            raise BidTooLow(instance)
        return self.instance(instance.id)

    def start(self, number: int) -> Instance:
        """Ask for the GPUs back. Idempotent while it runs. Raises GpuTaken when somebody else has them."""
        with self._store.transaction():
            instance, slot = self._with_slot(number)
            if instance.contract_end <= self._clock.now() or self._store.account().credit <= 0:
                raise GpuTaken(instance)
            if instance.container is Container.EXITED and instance.granted:
                self._begin_boot(instance, slot)
            instance.wish, instance.stop = Wish.RUNNING, None
            self._keep(instance, slot)
            self._settle(slot)
            instance = self.instance(number)
            taken = not instance.granted
            if taken and self._profile.refused_start == "dropped":
                instance.wish = Wish.STOPPED
                self._keep(instance, slot)
        if taken:
            raise GpuTaken(instance)
        return instance

    def halt(self, number: int, why: Stop = Stop.USER) -> None:
        """Stop an instance: the GPUs are free for others, the disk stays. Idempotent."""
        with self._store.transaction():
            instance, slot = self._with_slot(number)
            _stop(instance, why)
            self._keep(instance, slot)
            self._settle(slot)

    def destroy(self, number: int) -> None:
        """End a tenancy and its bill. Raises NoSuchInstance when it is gone already."""
        with self._store.transaction():
            instance, slot = self._with_slot(number)
            _stop(instance, Stop.USER)
            instance.destroyed_at = self._clock.now()
            self._keep(instance, slot)
            self._settle(slot)

    def reboot(self, number: int) -> None:
        """Start the container again without giving up the GPUs. Does nothing to a stopped instance."""
        with self._store.transaction():
            instance, slot = self._with_slot(number)
            if instance.granted:
                self._begin_boot(instance, slot)
                self._keep(instance, slot)

    def change_bid(self, number: int, bid: Decimal | None) -> None:
        """Set the bid, or the least winning one for None. It may win the slot back, or lose it."""
        with self._store.transaction():
            instance, slot = self._with_slot(number)
            others = [tenant for tenant in self.tenants(slot) if tenant.id != number]
            bid = bid if bid is not None else contention.required_bid(slot, others) or slot.min_bid
            instance.bid = instance.gpu_rate = bid
            if instance.stop is Stop.BID_TOO_LOW:
                instance.wish, instance.stop = Wish.RUNNING, None
            self._keep(instance, slot)
            self._settle(slot)

    def change(self, instance: Instance) -> None:
        """Store a change of label or keys, or of the link; nothing else follows from it."""
        self._keep(instance, self.slot(instance.slot_id))

    # What happens to tenants

    def booted(self, number: int, port: int) -> bool:
        """A host answers. False when nobody waits for it any more, and it must be ended."""
        with self._store.transaction():
            instance = self._store.instance(number)
            if instance is None or not instance.granted or instance.container is not Container.LOADING:
                return False
            instance.container, instance.port = Container.RUNNING, port
            instance.started_at = self._clock.now()
            instance.message = f"success, running {instance.order.image}/ssh"
            self._keep(instance, self.slot(instance.slot_id))
            return True

    def died(self, number: int, *, word_lag: timedelta = timedelta(0), word: Container = Container.EXITED) -> None:
        """The host is dead. The provider says so, as ``word``, only after ``word_lag``."""
        with self._store.transaction():
            instance, slot = self._with_slot(number)
            if instance.container not in (Container.RUNNING, Container.LOADING):
                return
            instance.old_word = OldWord(container=instance.container, until=self._clock.now() + word_lag)
            instance.container, instance.death_word, instance.stop = Container.EXITED, word, Stop.DIED
            instance.port = instance.port if word_lag else None
            instance.ready_at = instance.loading_at = None
            self._keep(instance, slot)

    def change_slot(self, slot: Slot) -> None:
        """Store a slot's new state (a rival, a price, offline or back) and let its tenants feel it."""
        with self._store.transaction():
            self._store.slots.put(slot)
            self._settle(slot)
            for tenant in self.tenants(slot):
                self._keep(tenant, slot)

    def advance(self) -> datetime | None:
        """Do what has come due. Returns the next moment at which something will, None if nothing is planned."""
        now = self._clock.now()
        with self._store.transaction():
            moments = [moment for slot in self._store.slots.all() if (moment := self._rival_leaves(slot, now))]
            for instance in self._store.instances():
                moments.extend(self._move_on(instance, now))
        return min(moments, default=None)

    # What can be seen

    def instance(self, number: int) -> Instance:
        """A tenancy that exists. Raises NoSuchInstance."""
        found = self._store.instance(number)
        if found is None:
            raise NoSuchInstance(number)
        return found

    def slot(self, number: int) -> Slot:
        """The slot of a tenancy."""
        found = self._store.slots.get(number)
        assert found is not None, f"slot {number} is on record for ever"
        return found

    def tenants(self, slot: Slot) -> list[Instance]:
        """The tenancies of a slot."""
        return [instance for instance in self._store.instances() if instance.slot_id == slot.id]

    def offers(self, *, interruptible: bool) -> list[tuple[Slot, Decimal]]:
        """The slots that can be rented now, each with its price per hour: the least winning bid, or the full price."""
        found = []
        tenancies = self._store.instances()
        for slot in self._store.slots.all():
            tenants = [instance for instance in tenancies if instance.slot_id == slot.id]
            if self._is_offered(slot, tenants):
                price = contention.required_bid(slot, tenants) if interruptible else slot.price
                if price is not None and not _held_on_demand(slot, tenants):
                    found.append((slot, price))
        return found

    # How

    def _rentable(self, ask_id: int, order: Order) -> Slot:
        slot = next((slot for slot in self._store.slots.all() if slot.ask_id == ask_id), None)
        if slot is None:
            raise OfferGone(ask_id, Gone.UNKNOWN)
        if not self._is_on_market(slot):
            raise OfferGone(ask_id, Gone.WITHDRAWN)
        if order.bid is None and _held_on_demand(slot, self.tenants(slot)):
            raise OfferGone(ask_id, Gone.HELD)
        return slot

    def _is_on_market(self, slot: Slot) -> bool:
        return not slot.withdrawn and not slot.offline and slot.contract_end > self._clock.now()

    def _is_offered(self, slot: Slot, tenants: list[Instance]) -> bool:
        free = self._profile.contested_offers or not contention.is_held(slot, tenants)
        return free and self._is_on_market(slot)

    def _accept(self, slot: Slot, order: Order) -> Instance:
        now = self._clock.now()
        lag = timedelta(seconds=float(self._store.account().listing_lag))
        used_ask, slot.ask_id = slot.ask_id, self._store.next_id("ask", 27410001)
        self._store.slots.put(slot)
        return Instance(
            id=self._store.next_id("instance", 29817701),
            slot_id=slot.id,
            machine_id=slot.machine_id,
            ask_id=used_ask,
            order=order,
            bid=order.bid,
            gpu_rate=order.bid if order.bid is not None else slot.price,
            storage_rate=slot.storage_price * order.disk / MONTH_HOURS,
            api_key=secrets.token_hex(32),
            keys={key.id: key.key for key in self._store.keys.all()},
            created_at=now,
            visible_at=now + lag,
            contract_end=slot.contract_end,
            label=order.label,
            wish=Wish.RUNNING,
        )

    def _settle(self, slot: Slot) -> None:
        for tenant in contention.settle(slot, self.tenants(slot)):
            if tenant.granted:
                self._begin_boot(tenant, slot)
            self._keep(tenant, slot)

    def _begin_boot(self, instance: Instance, slot: Slot) -> None:
        now = self._clock.now()
        takes = self._profile.boot_time(instance.id, instance.boots)
        instance.boots += 1
        instance.container = Container.LOADING if not takes else Container.ABSENT
        instance.created_container_at = now
        instance.loading_at = now + takes * _CREATED_SHARE
        instance.ready_at = now + takes
        instance.port, instance.old_word, instance.stop, instance.message = None, None, None, None
        _apply_flaw(instance, slot.flaw)

    def _move_on(self, instance: Instance, now: datetime) -> list[datetime]:
        before = instance.model_copy()
        if instance.contract_end <= now and instance.wish is Wish.RUNNING:
            _stop(instance, Stop.CONTRACT_END)
        if instance.container is Container.ABSENT and instance.granted:
            instance.container = Container.CREATED
        if instance.container is Container.CREATED and instance.loading_at and instance.loading_at <= now:
            instance.container = Container.LOADING
        if instance != before:
            self._keep(instance, self.slot(instance.slot_id))
        planned = [instance.contract_end, instance.loading_at, instance.ready_at]
        return [moment for moment in planned if moment is not None and moment > now]

    def _rival_leaves(self, slot: Slot, now: datetime) -> datetime | None:
        until = None if slot.rival is None else slot.rival.until
        if until is not None and until <= now:
            slot.rival = None
            self.change_slot(slot)
            return None
        return until

    def _with_slot(self, number: int) -> tuple[Instance, Slot]:
        instance = self.instance(number)
        return instance, self.slot(instance.slot_id)

    def _keep(self, instance: Instance, slot: Slot) -> None:
        self._store.put_instance(instance)
        self.bill.turn(instance, offline=slot.offline, now=self._clock.now())


def _stop(instance: Instance, why: Stop) -> None:
    had = instance.granted
    instance.wish, instance.granted, instance.stop = Wish.STOPPED, False, why
    instance.container = Container.EXITED if had else Container.STOPPED
    instance.loading_at = instance.ready_at = instance.port = instance.old_word = None


def _held_on_demand(slot: Slot, tenants: list[Instance]) -> bool:
    rented = any(tenant.granted and not tenant.interruptible for tenant in tenants)
    return rented or (slot.rival is not None and slot.rival.bid is None)


def _apply_flaw(instance: Instance, flaw: Flaw | None) -> None:
    image = instance.order.image
    if flaw is Flaw.NEVER_BOOTS:
        instance.ready_at = None
    elif flaw is Flaw.NO_IMAGE:
        instance.ready_at = None
        instance.message = f"Error response from daemon: manifest for {image} not found: manifest unknown"
    elif flaw is Flaw.BROKEN_RUNTIME:
        instance.ready_at = instance.loading_at = None
        instance.container = Container.CREATED
        instance.message = "Error response from daemon: OCI runtime create failed: driver error: timed out"
