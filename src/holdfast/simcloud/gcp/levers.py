"""What the person at the controls can do here that makes no sense elsewhere, or means something else.

Capacity is a zone's, not a machine's: whoever takes a GPU takes all that is left of its kind in the zone.
"""

from datetime import timedelta
from typing import Any

from holdfast.simcloud import contention
from holdfast.simcloud.gcp import fleet, life, quotas, tokens
from holdfast.simcloud.levers import NotPossible
from holdfast.simcloud.model import Instance, Rival, Slot
from holdfast.simcloud.sim import Sim, Table


def levers(sim: Sim) -> Table:
    """What can be done to one machine."""

    def preempt(instance: Instance, *, notice: float | None = None) -> None:
        """Google takes a Spot machine back, with notice."""
        if not fleet.machine_of(instance).spot or not instance.granted:
            raise NotPossible(f"instance {instance.id} is no Spot machine that runs; nobody takes it back")
        life.preempt(sim, instance, notice=notice)

    def outbid(instance: Instance, *, bid: float | None = None, seconds: float | None = None) -> None:
        """Nobody bids here: the machine is preempted."""
        preempt(instance)

    def take(instance: Instance, *, seconds: float | None = None) -> None:
        """All that is left of its kind in its zone is taken, and a Spot machine itself, without notice."""
        machine = fleet.machine_of(instance)
        capacity(sim, machine.zone, machine.machine_type, available=0, seconds=seconds)
        if machine.spot and instance.granted:
            slot = sim.market.slot(instance.slot_id)
            _occupy(sim, slot, seconds)

    def release(instance: Instance) -> None:
        """The zone has its usual capacity for its kind again."""
        machine = fleet.machine_of(instance)
        capacity(sim, machine.zone, machine.machine_type)

    return {"preempt": preempt, "outbid": outbid, "take": take, "release": release}


def knobs(sim: Sim) -> Table:
    """What can be done to the market as a whole."""

    def set_capacity(
        zone: str, *, kind: str | None = None, available: int | None = None, seconds: float | None = None
    ) -> dict[str, Any]:
        """Leave room for so many machines in a zone, of one machine type or of each; None: the usual room."""
        return {"changed": capacity(sim, zone, kind, available=available, seconds=seconds)}

    def set_quota(metric: str, *, limit: float | None, region: str | None = None, late: bool = False) -> dict[str, Any]:
        """Set a quota's limit. With `late` a breach is told by the operation, not by the call."""
        quotas.set_limit(sim, metric, limit, region=region, late=late)
        return {}

    def expire_tokens() -> dict[str, Any]:
        """No token that was given out is good any more."""
        tokens.expire_all(sim)
        return {}

    def set_unreachable(zone: str, *, unreachable: bool = True) -> dict[str, Any]:
        """A zone does not answer: lists of all zones are partial, or fail."""
        _known(sim, zone)
        account = sim.store.account()
        kept = fleet.unreachable(sim) - {zone}
        account.notes[fleet.UNREACHABLE] = sorted(kept | {zone}) if unreachable else sorted(kept)
        sim.store.put_account(account)
        return {}

    return {
        "capacity": set_capacity,
        "quota": set_quota,
        "expire-tokens": expire_tokens,
        "unreachable": set_unreachable,
    }


def capacity(
    sim: Sim, zone: str, kind: str | None = None, *, available: int | None = None, seconds: float | None = None
) -> int:
    """Leave room for so many machines of each kind; None: the usual room. Returns how many slots changed."""
    _known(sim, zone)
    slots = [slot for slot in sim.store.slots.all() if slot.hardware.region == zone and kind in (None, slot.kind)]
    if not slots:
        raise NotPossible(f"no machine type {kind!r} stands in {zone}")
    taken = [slot for slot in slots if slot.rival is not None]
    for slot in taken:
        slot.rival = None
        sim.market.change_slot(slot)
    if available is None:
        return len(taken)
    spare = [slot for one in {slot.kind for slot in slots} for slot in _spare(sim, slots, one)[available:]]
    for slot in spare:
        _occupy(sim, slot, seconds)
    return len(spare)


def _spare(sim: Sim, slots: list[Slot], kind: str) -> list[Slot]:
    of_kind = [slot for slot in slots if slot.kind == kind]
    return [slot for slot in of_kind if not contention.is_held(slot, sim.market.counter.tenants(slot))]


def _occupy(sim: Sim, slot: Slot, seconds: float | None) -> None:
    until = None if seconds is None else sim.clock.now() + timedelta(seconds=seconds)
    slot.rival = Rival(until=until)
    sim.market.change_slot(slot)


def _known(sim: Sim, zone: str) -> None:
    if zone not in fleet.zones(sim):
        raise NotPossible(f"there is no zone {zone!r}; there are: {', '.join(fleet.zones(sim))}")
