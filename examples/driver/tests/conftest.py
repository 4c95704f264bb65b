"""The account that the suite asks for: the driver, and what the suite can do to Pebble behind its back."""

import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from pydantic import SecretStr

pytest.register_assert_rewrite("holdfast.providers.conformance")

from holdfast.contracts.machines import Offer, Requirements, Terms  # noqa: E402
from holdfast.providers.base import Provider  # noqa: E402
from holdfast.providers.conformance.account import Account  # noqa: E402
from holdfast.providers.conformance.subject import WRONG_KEY, Controls, Fault, Subject, Verb  # noqa: E402
from holdfast.settings import ProviderSettings  # noqa: E402
from pebble.client import PebbleClient  # noqa: E402
from pebble.cloud import KEY, Cloud, serve  # noqa: E402
from pebble.driver import PebbleProvider  # noqa: E402

SUBJECT = Subject(
    name="pebble",
    gpu="RTX 4090",
    never_was="m0",
    searches=(Requirements(gpu_memory_gb=40, terms=Terms.ON_DEMAND, regions=("FR",)),),
    terms=(Terms.ON_DEMAND,),
    bids=False,
    when_out_of_sight=None,
)
PATIENCE = timedelta(seconds=1)
PAGE = "<html><h1>Bad Gateway</h1></html>"
ANSWERS: dict[Fault, tuple[int, Any]] = {
    Fault.GATEWAY: (502, PAGE),
    Fault.PAGE: (200, PAGE),
    Fault.STRAY_404: (404, PAGE),
    Fault.OTHER_SHAPE: (200, {"answer": [42]}),
    Fault.REFUSED_AS_OK: (200, {"error": "try again later"}),
    Fault.EMPTY: (200, {"machines": []}),
    Fault.HASTE: (429, {"error": "slow down"}),
}
CALLS = {
    Verb.SEARCH: ("GET", "/offers"),
    Verb.RENT: ("POST", "/machines"),
    Verb.FIND: ("GET", "/machines?"),
    Verb.LIST: ("GET", "/machines"),
    Verb.SHOW: ("GET", "/machines/"),
    Verb.DESTROY: ("DELETE", "/machines/"),
}


@dataclass
class Trouble:
    """A fault that waits for its calls."""

    fault: Fault
    call: tuple[str, str] | None
    left: int | None

    def strikes(self, handler: BaseHTTPRequestHandler) -> bool:
        if self.left == 0 or (self.call is not None and not _is(handler, *self.call)):
            return False
        if self.left is not None:
            self.left -= 1
        return True


def _is(handler: BaseHTTPRequestHandler, method: str, path: str) -> bool:
    exact = not path.endswith(("/", "?"))
    return handler.command == method and (handler.path == path if exact else handler.path.startswith(path))


@dataclass
class PebbleControls(Controls):
    """Pebble runs in this process, so nearly everything can be done to it."""

    cloud: Cloud
    url: str = ""
    troubles: list[Trouble] = field(default_factory=list)
    why_not = "Pebble knows no such thing"

    def open(self, url: str, key: str) -> Provider:
        settings = ProviderSettings(api_key=SecretStr(key), base_url=url, pace=0)
        return PebbleProvider(PebbleClient(settings, timeout=PATIENCE))

    def stranger(self, key: str = WRONG_KEY) -> Provider:
        return self.open(self.url, key)

    def nowhere(self) -> Provider:
        return self.open("http://127.0.0.1:1", KEY)

    async def alive(self) -> list[str]:
        return list(self.cloud.machines)

    def fail(self, fault: Fault, verb: Verb | None = None, *, times: int | None = 1) -> None:
        self.troubles.append(Trouble(fault, None if verb is None else CALLS[verb], times))

    def mend(self) -> None:
        self.troubles.clear()

    def set_credit(self, usd: Decimal) -> None:
        self.cloud.credit = float(usd)

    def withdraw(self, offer: Offer) -> None:
        self.cloud.withdrawn.add(offer.offer_id)

    def kill_host(self, instance_id: str) -> None:
        self.cloud.machines[instance_id]["dead"] = True

    def meddle(self, handler: Any) -> bool:
        """Let a trouble answer in Pebble's place. True when it did."""
        struck = next((trouble for trouble in self.troubles if trouble.strikes(handler)), None)
        if struck is None:
            return False
        if struck.fault in ANSWERS:
            handler.send(*ANSWERS[struck.fault])
            return True
        if struck.fault is Fault.SLOW:
            time.sleep(PATIENCE.total_seconds() * 1.5)
        elif struck.fault is Fault.TWICE:
            handler.send(*handler.answer(times=2))  # the name refuses the second
            return True
        elif struck.fault is Fault.LOST:
            handler.answer()  # it happens, and nobody hears of it
        handler.close_connection = True
        return True


@pytest.fixture
def controls() -> Iterator[PebbleControls]:
    controls = PebbleControls(Cloud())
    with serve(controls.cloud, meddle=controls.meddle) as server:
        controls.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield controls
        server.shutdown()


@pytest.fixture
async def account(controls: PebbleControls) -> AsyncIterator[Account]:
    provider = controls.open(controls.url, KEY)
    yield Account(SUBJECT, provider, controls)
    await provider.close()
