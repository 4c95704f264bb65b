"""The suite's controls over the simulated market, whatever provider's language it is told in."""

from datetime import timedelta
from decimal import Decimal

from holdfast.contracts.machines import Offer, Requirements
from holdfast.providers.base import Provider
from holdfast.providers.conformance.subject import WRONG_KEY, Controls, Fault, Verb
from holdfast.simcloud.control import SimControl
from holdfast.simcloud.model import Trouble
from tests.conformance.providers.drivers import Driver
from tests.simmarket import RunningMarket

_CREDIT = Decimal(100)
_TOO_LATE = 20.0  # seconds; every driver under test waits for less
_WHILE = timedelta(minutes=5)  # longer than any test
_TROUBLES: dict[Fault, tuple[Trouble, dict[str, float]]] = {
    Fault.LOST: (Trouble.LOST_RESPONSE, {}),
    Fault.TWICE: (Trouble.ACCEPTED_TWICE, {}),
    Fault.DOWN: (Trouble.DOWN, {}),
    Fault.GATEWAY: (Trouble.HTTP_ERROR, {"status": 502}),
    Fault.PAGE: (Trouble.HTTP_ERROR, {"status": 200}),
    Fault.STRAY_404: (Trouble.HTTP_ERROR, {"status": 404}),
    Fault.OTHER_SHAPE: (Trouble.OTHER_SHAPE, {}),
    Fault.REFUSED_AS_OK: (Trouble.REFUSED_AS_OK, {}),
    Fault.EMPTY: (Trouble.EMPTY_LIST, {}),
    Fault.HASTE: (Trouble.TOO_FREQUENT, {}),
    Fault.SLOW: (Trouble.LATENCY, {"seconds": _TOO_LATE}),
}


class MarketControls(Controls):
    """Pulls the market's levers. `reset` between two tests."""

    why_not = "the simulated market has no lever for it"

    def __init__(self, driver: Driver, market: RunningMarket, control: SimControl) -> None:
        self._driver = driver
        self._market = market
        self._control = control
        self._withdrawn: list[int] = []
        self._added: list[int] = []

    def open(self) -> Provider:
        """The driver with the account's own key."""
        return self._driver.open(self._market.base_url, self._driver.key_of(self._market))

    def reset(self) -> None:
        """A market as it was, with nobody on it."""
        self.mend()
        self._control.destroy_all()
        self._control.set_listing_lag(timedelta(0), provider=self._driver.name)
        self._control.set_credit(_CREDIT, provider=self._driver.name)
        for slot in self._withdrawn:
            self._control.change_offer(slot, withdrawn=False)
        for slot in self._added:
            self._control.change_offer(slot, withdrawn=True)
        self._withdrawn, self._added = [], []

    def stranger(self, key: str = WRONG_KEY) -> Provider:
        return self._driver.open(self._market.base_url, key)

    def nowhere(self) -> Provider:
        return self._driver.open("http://127.0.0.1:1", self._driver.key_of(self._market))

    async def alive(self) -> list[str]:
        theirs = [each for each in self._control.instances() if each["provider"] == self._driver.name]
        return [self._driver.id_of(each) for each in sorted(theirs, key=lambda each: int(each["id"]))]

    def fail(self, fault: Fault, verb: Verb | None = None, *, times: int | None = 1) -> None:
        trouble, options = _TROUBLES[fault]
        for call in (None,) if verb is None else self._driver.calls[verb]:
            lasting = _WHILE if times is None else None
            self._control.add_fault(
                trouble, endpoint=call, times=times, lasting=lasting, provider=self._driver.name, **options
            )

    def mend(self) -> None:
        self._control.clear_faults()

    def delay_listings(self, lag: timedelta) -> None:
        self._control.set_listing_lag(lag, provider=self._driver.name)

    def set_credit(self, usd: Decimal) -> None:
        self._control.set_credit(usd, provider=self._driver.name)

    def crowd(self, offers: int) -> Requirements:
        gpu = self._driver.subject.gpu
        for number in range(offers + 1):
            line = self._driver.line(number, gpu, "1.5" if number < offers else "1.6")
            added = self._control.add_offer(**line, provider=self._driver.name)
            self._added.append(int(added["slot"]))
        terms, regions = self._driver.subject.terms[0], (self._driver.crowd_region,)
        return Requirements(gpu=gpu, terms=terms, regions=regions)

    def withdraw(self, offer: Offer) -> None:
        slots = [each for each in self._control.offers() if each["provider"] == self._driver.name]
        gone = [int(each["slot"]) for each in slots if self._driver.is_slot_of(each, offer)]
        assert gone, f"no slot is behind offer {offer.offer_id}"
        for slot in gone:
            self._control.change_offer(slot, withdrawn=True)
        self._withdrawn += gone

    def take_gpu(self, instance_id: str) -> None:
        self._control.take(self._driver.target_of(instance_id))

    def release_gpu(self, instance_id: str) -> None:
        self._control.release(self._driver.target_of(instance_id))

    def interrupt(self, instance_id: str) -> None:
        target = self._driver.target_of(instance_id)
        if self._driver.subject.bids:
            self._control.outbid(target)
        else:
            self._control.preempt(target, notice=timedelta(0))

    def kill_host(self, instance_id: str) -> None:
        self._control.kill(self._driver.target_of(instance_id))

    def hide(self, instance_id: str) -> None:
        self._control.offline(self._driver.target_of(instance_id))

    def unhide(self, instance_id: str) -> None:
        self._control.online(self._driver.target_of(instance_id))
