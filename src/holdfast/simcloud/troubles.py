"""Scripted failures of the provider's API: which of them strike a call."""

from holdfast.simcloud.clock import Clock
from holdfast.simcloud.model import Fault, Trouble
from holdfast.simcloud.store import Store


class Troubles:
    """Keeps the faults and uses them up."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def add(self, fault: Fault) -> Fault:
        """Script a failure; it gets its id here."""
        fault.id = self._store.next_id("fault", 1)
        self._store.faults.put(fault)
        return fault

    def pending(self) -> list[Fault]:
        """The faults that can still strike."""
        now = self._clock.now()
        for fault in self._store.faults.all():
            if fault.until is not None and fault.until <= now:
                self._store.faults.remove(fault.id)
        return self._store.faults.all()

    def clear(self) -> None:
        """Forget all faults."""
        for fault in self._store.faults.all():
            self._store.faults.remove(fault.id)

    def strike(self, endpoint: str) -> dict[Trouble, Fault]:
        """The faults that hit this call of an endpoint, at most one of a kind; each is used up by one."""
        struck: dict[Trouble, Fault] = {}
        with self._store.transaction():
            for fault in self.pending():
                if fault.endpoint in (None, endpoint) and fault.trouble not in struck:
                    struck[fault.trouble] = fault
                    self._use_up(fault)
        return struck

    def _use_up(self, fault: Fault) -> None:
        if fault.times is None:
            return
        if fault.times <= 1:
            self._store.faults.remove(fault.id)
        else:
            self._store.faults.put(fault.model_copy(update={"times": fault.times - 1}))
