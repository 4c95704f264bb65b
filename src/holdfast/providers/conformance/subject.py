"""What the suite must be told of a provider, and what it can do to it behind the driver's back.

Whoever brings a driver writes one `Subject` and one subclass of `Controls`. The suite speaks no provider's words: it
asks for "the next order loses its answer", and the controls know which call that is.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NoReturn

import pytest

from holdfast.contracts.machines import InstanceState, Offer, Requirements, Terms
from holdfast.providers.base import Provider

WRONG_KEY = "a-key-that-nobody-has"


class Verb(StrEnum):
    """What a call to the provider is for. Several calls may serve one verb, and one call several verbs."""

    SEARCH = "search"
    RENT = "rent"
    FIND = "find"  # by label, before and after renting
    LIST = "list"
    SHOW = "show"
    DESTROY = "destroy"
    STOP = "stop"
    START = "start"


class Fault(StrEnum):
    """Ways in which an answer can fail."""

    LOST = "lost"  # what was asked for happens, and the connection breaks before the answer
    TWICE = "twice"  # an order is carried out two times, and the answer names one machine
    DOWN = "down"  # the connection breaks, and nothing happens
    GATEWAY = "gateway"  # a 5xx with a page of HTML; nothing happens
    PAGE = "page"  # the same page with status 200
    STRAY_404 = "stray_404"  # the same page with status 404: it is the proxy that does not find the provider
    OTHER_SHAPE = "other_shape"  # status 200 with JSON of another shape; nothing happens
    REFUSED_AS_OK = "refused_as_ok"  # status 200, and the body says that it failed; nothing happens
    EMPTY = "empty"  # an empty list where there are machines
    HASTE = "haste"  # too many calls, as this provider says it
    SLOW = "slow"  # the answer comes after the driver has ceased to wait


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One provider, as the suite must know it to try its driver."""

    name: str
    gpu: str
    """Of this GPU several machines are offered, at each of the terms."""
    never_was: str
    """The id of an instance that never existed, in the form that the provider gives its ids."""
    searches: tuple[Requirements, ...] = ()
    """Each of them finds at least one offer. The plainest, `gpu` at each of the terms, is always tried."""
    terms: tuple[Terms, ...] = tuple(Terms)
    max_hourly: Decimal = Decimal(2)
    """USD per hour; nothing dearer is rented."""
    image: str = "ubuntu:24.04"
    disk_gb: int = 10
    bids: bool = True
    """An interruptible machine is bid for; else the provider alone decides when to take it back."""
    prepaid: bool = True
    """An account without credit may not rent."""
    once_per_offer: bool = True
    """An offer is one machine, and gone when somebody rents it."""
    tells_machine: bool = True
    """The provider says on which machine an instance stands; else only the offer did."""
    page: int = 0
    """How many machines one answer of the listing holds; 0: any number."""
    page_of_offers: int = 0
    """How many offers one answer of the search holds; 0: any number."""
    when_host_dies: tuple[InstanceState, ...] = (InstanceState.EXITED,)
    when_out_of_sight: InstanceState | None = InstanceState.OFFLINE
    """None: the provider has no word for a machine that it cannot reach."""
    label_prefix: str = "conformance"
    poll: timedelta = timedelta(milliseconds=50)
    patience: timedelta = timedelta(seconds=60)
    """The longest wait for a state that must come."""


class Controls:
    """The provider's other side. What a subclass leaves out cannot be done there, and skips the tests that need it."""

    why_not = "nobody can do that to this provider"

    def require_for(self, test: Callable[..., object]) -> None:
        """Skip a test that names a control which this provider does not have, before it has rented anything."""
        for name in inspect.unwrap(test).__code__.co_names:
            ours = getattr(type(self), name, None)
            if ours is not None and name != "mend" and ours is getattr(Controls, name, None):
                self.cannot(name.replace("_", " "))

    def stranger(self, key: str = WRONG_KEY) -> Provider:
        """The driver, with a key that the provider does not know; "": with none."""
        self.cannot("use a wrong key")

    def nowhere(self) -> Provider:
        """The driver, for an address where nobody listens."""
        self.cannot("use a wrong address")

    async def alive(self) -> list[str]:
        """The ids of the machines that exist and are the suite's, oldest first: the truth, not a listing that lags."""
        self.cannot("tell what exists")

    def fail(self, fault: Fault, verb: Verb | None = None, *, times: int | None = 1) -> None:
        """Let the next `times` answers to a verb, or to any, fail; None: all, until `mend`."""
        self.cannot(f"let a call fail ({fault})")

    def mend(self) -> None:
        """Undo `fail`. Does nothing where nothing can fail."""

    def delay_listings(self, lag: timedelta) -> None:
        """From now on a new machine is missing from listings for so long."""
        self.cannot("delay its listings")

    def set_credit(self, usd: Decimal) -> None:
        """What the account can spend."""
        self.cannot("set the account's credit")

    def crowd(self, offers: int) -> Requirements:
        """Put so many offers of the subject's GPU on the market, and one dearer; returns what only these fit."""
        self.cannot("add offers")

    def withdraw(self, offer: Offer) -> None:
        """Take an offer off the market after it was shown."""
        self.cannot("withdraw an offer")

    def take_gpu(self, instance_id: str) -> None:
        """Somebody else takes the GPU of a stopped machine."""
        self.cannot("take a GPU")

    def release_gpu(self, instance_id: str) -> None:
        """Undo `take_gpu`."""
        self.cannot("release a GPU")

    def interrupt(self, instance_id: str) -> None:
        """The provider takes an interruptible machine back."""
        self.cannot("interrupt a machine")

    def kill_host(self, instance_id: str) -> None:
        """The machine dies with everything on it."""
        self.cannot("kill a machine")

    def hide(self, instance_id: str) -> None:
        """The provider loses sight of the machine."""
        self.cannot("hide a machine")

    def unhide(self, instance_id: str) -> None:
        """Undo `hide`."""
        self.cannot("hide a machine")

    def cannot(self, what: str) -> NoReturn:
        """Skip the running test, saying why."""
        pytest.skip(f"cannot {what}: {self.why_not}")
