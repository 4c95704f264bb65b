"""What the person at the market's controls can do to its machines while things run."""

import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from holdfast.simcloud.contention import BID_STEP
from holdfast.simcloud.model import Container, Flaw, Instance, Rival, Slot
from holdfast.simcloud.profile import SlotLine, make_slot
from holdfast.simcloud.sim import Sim


class NothingMatches(Exception):
    """No living instance, or no slot, goes by that name. Remedy: look at the list."""


class NotPossible(Exception):
    """The lever does not work on this instance. The message says why."""


def amount(value: Any) -> Decimal:
    """A number that can be reckoned with. Raises ValueError for any other."""
    try:
        found = Decimal(str(value))
    except InvalidOperation as broken:
        raise ValueError(f"{value!r} is not a number") from broken
    if not found.is_finite():
        raise ValueError(f"{value!r} is not finite")
    return found


class Levers:
    """Each lever pulls on one instance; `find` tells which go by a number, an alias, a label or a workload's name."""

    def __init__(self, sim: Sim) -> None:
        self._sim = sim

    def find(self, target: str) -> list[Instance]:
        """The living instances that a target names."""
        instances = self._sim.store.instances()
        exact = [one for one in instances if target in (str(one.id), one.alias, one.label)]
        return exact or [one for one in instances if (one.label or "").startswith(f"{target}.")]

    def kill(self, instance: Instance, *, word_lag: float = 0.0, word: str = "exited") -> None:
        """The host dies with everything on it. The provider notices ``word_lag`` seconds later and says ``word``."""
        lag = timedelta(seconds=word_lag)
        self._sim.market.died(instance.id, word_lag=lag, word=Container(word))

    def outbid(self, instance: Instance, *, bid: float | None = None, seconds: float | None = None) -> None:
        """Somebody bids more and stays for ``seconds``, or for good."""
        if instance.bid is None:
            raise NotPossible(f"instance {instance.id} is rented on demand; nobody can outbid it")
        price = amount(bid) if bid is not None else instance.bid + BID_STEP
        self._rival(instance, price, seconds)

    def take(self, instance: Instance, *, seconds: float | None = None) -> None:
        """Somebody rents the GPUs on demand: a stopped instance finds them taken, a bid loses them."""
        self._rival(instance, None, seconds)

    def release(self, instance: Instance) -> None:
        """The rival leaves."""
        slot = self._sim.market.slot(instance.slot_id)
        slot.rival = None
        self._sim.market.change_slot(slot)

    def disassociate(self, instance: Instance) -> None:
        """The provider sells the GPUs that a stopped instance still holds; its disk stays."""
        if not instance.rests:
            raise NotPossible(f"instance {instance.id} is not stopped with its GPUs reserved")
        self._sim.market.halt(instance.id)

    def partition(self, instance: Instance) -> None:
        """Cut the network. Connections hang, nothing is refused, the work goes on."""
        instance.cut = True
        self._sim.market.change(instance)

    def slow(self, instance: Instance, *, bytes_per_second: int) -> None:
        """Throttle every connection to this rate."""
        instance.bytes_per_second = bytes_per_second
        self._sim.market.change(instance)

    def heal(self, instance: Instance) -> None:
        """Make the network whole and fast again."""
        instance.cut, instance.bytes_per_second = False, None
        self._sim.market.change(instance)

    def offline(self, instance: Instance) -> None:
        """The machine loses its connection: unreachable, unbilled, "offline" to the provider. The work goes on."""
        self._whole_machine(instance, offline=True)

    def online(self, instance: Instance) -> None:
        """The machine is back."""
        self._whole_machine(instance, offline=False)

    def end_contract(self, instance: Instance) -> None:
        """The host's contract ends now."""
        instance.contract_end = self._sim.clock.now()
        self._sim.market.change(instance)

    def gpu_load(self, instance: Instance, *, percent: int | None = None) -> None:
        """Make nvidia-smi report this load; None lets it report the truth again."""
        path = self._sim.machines.folder(instance.id).home / "bin" / ".gpu-load"
        if percent is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(str(percent))

    def destroy(self, instance: Instance) -> None:
        """Somebody else with the account's key ends the tenancy."""
        self._sim.market.destroy(instance.id)

    def relabel(self, instance: Instance, *, label: str) -> None:
        """Somebody else with the account's key gives the machine another label."""
        instance.label = label
        self._sim.market.change(instance)

    def change_slot(self, number: int, change: dict[str, Any]) -> Slot:
        """Change price, min_bid, flaw or withdrawn of a slot. Raises NothingMatches, NotPossible, or ValueError."""
        slot = self._slot(number)
        allowed: dict[str, Callable[[Any], Any]] = {
            "price": amount,
            "min_bid": amount,
            "flaw": lambda value: None if value is None else Flaw(value),
            "withdrawn": bool,
        }
        for name, value in change.items():
            if name not in allowed:
                raise NotPossible(f"{name} of an offer cannot be changed; these can: {', '.join(allowed)}")
            setattr(slot, name, allowed[name](value))
        self._sim.market.change_slot(slot)
        return slot

    def add_slot(self, line: SlotLine) -> Slot:
        """Put one more slot on the market."""
        if line.gpu not in self._sim.profile.gpus:
            raise NotPossible(f"the profile describes no GPU called {line.gpu!r}")
        dice = random.Random(f"{self._sim.profile.seed}/{line.machine}")  # noqa: S311 - a simulation, not a secret
        slot = make_slot(
            self._sim.store, line, self._sim.profile, dice, self._sim.clock.now(), first_slot=self._sim.first_slot
        )
        self._sim.market.change_slot(slot)
        return slot

    def _slot(self, number: int) -> Slot:
        found = self._sim.store.slots.get(number)
        if found is None:
            raise NothingMatches(f"no slot has the number {number}")
        return found

    def _rival(self, instance: Instance, bid: Decimal | None, seconds: float | None) -> None:
        slot = self._sim.market.slot(instance.slot_id)
        until = None if seconds is None else self._sim.clock.now() + timedelta(seconds=seconds)
        slot.rival = Rival(bid=bid, until=until)
        self._sim.market.change_slot(slot)

    def _whole_machine(self, instance: Instance, *, offline: bool) -> None:
        for slot in self._sim.store.slots.all():
            if slot.machine_id == instance.machine_id:
                slot.offline = offline
                self._sim.market.change_slot(slot)
