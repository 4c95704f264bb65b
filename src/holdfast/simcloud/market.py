"""The market's rules: what tenants may order, and what follows. It knows neither HTTP nor processes.

Every method is one transaction and takes effect at once; what needs time (booting, a rival's stay, a contract's end) is
written down as moments, and ``advance`` acts on those that have come. The conductor then makes the hosts follow.
"""

import secrets
from datetime import datetime, timedelta
from decimal import Decimal

from holdfast.simcloud import contention, transitions
from holdfast.simcloud.bill import Bill
from holdfast.simcloud.clock import Clock
from holdfast.simcloud.counter import Counter
from holdfast.simcloud.errors import BidTooLow, DiskTooLarge, GpuTaken, NoCredit, NoSuchInstance
from holdfast.simcloud.model import Container, Instance, Order, Slot, Stop, Wish
from holdfast.simcloud.profile import FIRST_ASK, Profile
from holdfast.simcloud.store import Store

MONTH_HOURS = Decimal(30 * 24)
FIRST_INSTANCE = 29817701


class Market:
    """Slots and their tenants."""

    def __init__(self, store: Store, profile: Profile, clock: Clock, *, first_instance: int = FIRST_INSTANCE) -> None:
        self._store = store
        self._first_instance = first_instance
        self._profile = profile
        self._clock = clock
        self.bill = Bill(store)
        self.counter = Counter(store, profile, clock)

    # What tenants order

    def rent(self, ask_id: int, order: Order) -> Instance:
        """Accept an order for an offer. Not idempotent: every accepted call is one more instance.

        Raises OfferGone, DiskTooLarge or NoCredit; or BidTooLow, which carries the stopped instance that exists
        nevertheless.
        """
        with self._store.transaction():
            slot = self.counter.rentable(ask_id, order)
            if order.disk > Decimal(slot.hardware.disk):
                raise DiskTooLarge(order.disk, slot.hardware.disk)
            if self.credit() <= 0:
                raise NoCredit
            required = contention.required_bid(slot, self.counter.tenants(slot))
            refused = order.bid is not None and (required is None or order.bid < required)
            instance = self._accept(slot, order)
            if refused or order.wish is Wish.STOPPED:
                transitions.stop(instance, Stop.BID_TOO_LOW if refused else Stop.USER)
            self._keep(instance, slot)
            self._settle(slot)
        if refused:
            raise BidTooLow(instance)
        return self.instance(instance.id)

    def start(self, number: int) -> Instance:
        """Ask for the GPUs back. Idempotent while it runs. Raises GpuTaken when it cannot have them."""
        with self._store.transaction():
            instance, slot = self._with_slot(number)
            if instance.contract_end <= self._clock.now() or self.credit() <= 0:
                raise GpuTaken(instance)
            if instance.container in (Container.EXITED, Container.STOPPED) and instance.granted:
                self._begin_boot(instance, slot)
            instance.wish, instance.stop = Wish.RUNNING, None
            self._keep(instance, slot)
            self._settle(slot)
            instance = self.instance(number)
            if not instance.granted and self._profile.refused_start == "dropped":
                instance.wish = Wish.STOPPED
                self._keep(instance, slot)
        if not instance.granted:
            raise GpuTaken(instance)
        return instance

    def halt(self, number: int, why: Stop = Stop.USER) -> None:
        """Stop an instance: the GPUs are free for others, the disk stays. Idempotent."""
        with self._store.transaction():
            instance, slot = self._with_slot(number)
            transitions.stop(instance, why)
            self._keep(instance, slot)
            self._settle(slot)

    def rest(self, number: int) -> None:
        """Shut an instance down that keeps its GPUs. Idempotent; does nothing to one that has none."""
        with self._store.transaction():
            instance, slot = self._with_slot(number)
            if instance.granted:
                transitions.rest(instance)
                self._keep(instance, slot)

    def destroy(self, number: int) -> None:
        """End a tenancy and its bill. Raises NoSuchInstance when it is gone already."""
        with self._store.transaction():
            instance, slot = self._with_slot(number)
            transitions.stop(instance, Stop.USER)
            instance.destroyed_at = self._clock.now()
            self._keep(instance, slot)
            self._settle(slot)

    def reboot(self, number: int, *, wipe: bool = False) -> None:
        """Start the container again without giving up the GPUs, on an empty disk with ``wipe``.

        Does nothing to a stopped instance.
        """
        with self._store.transaction():
            instance, slot = self._with_slot(number)
            if instance.granted:
                instance.wipe = instance.wipe or wipe
                self._begin_boot(instance, slot)
                self._keep(instance, slot)

    def change_bid(self, number: int, bid: Decimal | None) -> None:
        """Set the bid, or the least winning one for None. It may win the slot back, or lose it."""
        with self._store.transaction():
            instance, slot = self._with_slot(number)
            others = [tenant for tenant in self.counter.tenants(slot) if tenant.id != number]
            bid = bid if bid is not None else contention.required_bid(slot, others) or slot.min_bid
            instance.bid = instance.gpu_rate = bid
            if instance.stop is Stop.BID_TOO_LOW:
                instance.wish, instance.stop = Wish.RUNNING, None
            self._keep(instance, slot)
            self._settle(slot)

    def change(self, instance: Instance) -> None:
        """Store a change of label, keys, link or contract; what follows from it follows with the next ``advance``.

        The instance must have been read in the same breath: an older copy would undo what happened since.
        """
        self._keep(instance, self.slot(instance.slot_id))

    # What happens to tenants

    def booted(self, number: int, port: int) -> bool:
        """A host answers. False when nobody waits for it any more, and it must be ended."""
        now = self._clock.now()
        with self._store.transaction():
            instance = self._store.instance(number)
            if instance is None or instance.container is not Container.LOADING:
                return False
            if instance.ready_at is None or instance.ready_at > now:
                return False  # it was rebooted meanwhile; this host belongs to the boot before
            transitions.come_up(instance, port=port, now=now)
            self._keep(instance, self.slot(instance.slot_id))
            return True

    def died(self, number: int, *, word_lag: timedelta = timedelta(0), word: Container = Container.EXITED) -> None:
        """The host is dead. The provider says so, as ``word``, only after ``word_lag``. Nothing if it is destroyed."""
        with self._store.transaction():
            instance = self._store.instance(number)
            if instance is not None and instance.container in (Container.RUNNING, Container.LOADING):
                transitions.die(instance, word_lag=word_lag, word=word, now=self._clock.now())
                self._keep(instance, self.slot(instance.slot_id))

    def change_slot(self, slot: Slot) -> None:
        """Store a slot's new state (a rival, a price, offline or back) and let its tenants feel it."""
        with self._store.transaction():
            self._store.slots.put(slot)
            self._settle(slot)
            for tenant in self.counter.tenants(slot):
                self._keep(tenant, slot)

    def advance(self) -> datetime | None:
        """Do what has come due. Returns the next moment at which something will, None if nothing is planned."""
        now = self._clock.now()
        with self._store.transaction():
            moments = [self._rival_leaves(slot, now) for slot in self._store.slots.all()]
            broke = self.credit() <= 0
            moments.extend([self._move_on(instance, now, broke=broke) for instance in self._store.instances()])
        return min((moment for moment in moments if moment is not None), default=None)

    def number(self) -> int:
        """A number for something that will have a line of the bill."""
        return self._store.next_id("instance", self._first_instance)

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

    def credit(self) -> Decimal:
        """What is left on the account."""
        return self._store.account().credit - self.bill.spent(self._clock.now())

    # How

    def _accept(self, slot: Slot, order: Order) -> Instance:
        now = self._clock.now()
        used_ask, slot.ask_id = slot.ask_id, self._store.next_id("ask", FIRST_ASK)
        self._store.slots.put(slot)
        return Instance(
            id=self.number(),
            slot_id=slot.id,
            machine_id=slot.machine_id,
            ask_id=used_ask,
            order=order,
            bid=order.bid,
            gpu_rate=_first(order.gpu_rate, order.bid, slot.price),
            storage_rate=_first(order.storage_rate, slot.storage_price * order.disk / MONTH_HOURS),
            api_key=secrets.token_hex(32),
            keys={key.id: key.key for key in self._store.keys.all()},
            created_at=now,
            visible_at=now + timedelta(seconds=float(self._store.account().listing_lag)),
            contract_end=slot.contract_end,
            label=order.label,
            wish=Wish.RUNNING,
        )

    def _settle(self, slot: Slot) -> None:
        for tenant in contention.settle(slot, self.counter.tenants(slot)):
            if tenant.granted:
                self._begin_boot(tenant, slot)
            self._keep(tenant, slot)

    def _begin_boot(self, instance: Instance, slot: Slot) -> None:
        takes = self._profile.boot_time(instance.id, instance.boots)
        transitions.begin_boot(instance, takes=takes, flaw=slot.flaw, now=self._clock.now())

    def _move_on(self, instance: Instance, now: datetime, *, broke: bool) -> datetime | None:
        before = instance.model_copy()
        transitions.move_on(instance, now)
        if broke and (instance.wish is Wish.RUNNING or instance.granted):
            transitions.stop(instance, Stop.NO_CREDIT)
        if instance != before:
            slot = self.slot(instance.slot_id)
            self._keep(instance, slot)
            if before.granted and not instance.granted:
                self._settle(slot)
        return transitions.next_moment(instance, now)

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


def _first(*rates: Decimal | None) -> Decimal:
    return next(rate for rate in rates if rate is not None)
