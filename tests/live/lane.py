"""What a live run may touch and spend, from the environment. docs/live.md tells it to people."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from pydantic import SecretStr

from holdfast.contracts.machines import Requirements, Terms
from holdfast.providers.base import Provider
from holdfast.providers.conformance.subject import WRONG_KEY, Controls, Subject
from holdfast.providers.registry import build
from holdfast.settings import PREFIX, ProviderSettings, load_settings
from tests.conformance.providers.drivers import DRIVERS

MARK = "holdfast-live-"
"""Every machine of every live run has a label that begins so."""
TEST_LIMIT = timedelta(minutes=20)
"""A test that takes longer is ended."""
REAP_LIMIT = timedelta(minutes=10)
"""How long the end of a test's machines may take."""
AT_ONCE = 4
"""So many machines one test may want."""
_KEYS = f"{PREFIX}PROVIDERS__"
_PATIENCE = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One run."""

    run: str
    max_hourly: Decimal
    budget: Decimal
    poll: timedelta
    providers: Mapping[str, ProviderSettings]

    @property
    def prefix(self) -> str:
        """What the labels of this run begin with, up to the dot before the epoch."""
        return f"{MARK}{self.run}"


class LaneError(Exception):
    """A variable of the lane cannot be used. The message names it."""


def read(environ: Mapping[str, str] = os.environ) -> Lane | str:
    """The run that the environment allows, or the reason why there is none. Raises LaneError."""
    if environ.get("HOLDFAST_LIVE") != "1":
        return "HOLDFAST_LIVE=1 is not set: this would rent machines for real money"
    # Only what the environment names: the market of a stack that runs here is nobody's account.
    named = {each.removeprefix(_KEYS).split("__")[0].lower() for each in environ if each.startswith(_KEYS)}
    providers = {name: found for name, found in load_settings().providers.items() if name in named}
    if not providers:
        return f"no provider has a key: set {_KEYS}<NAME>__API_KEY"
    return Lane(
        run=secrets.token_hex(3),
        max_hourly=_dollars(environ, "HOLDFAST_LIVE_MAX_HOURLY", "0.50"),
        budget=_dollars(environ, "HOLDFAST_LIVE_BUDGET", "2.00"),
        poll=timedelta(seconds=float(_dollars(environ, "HOLDFAST_LIVE_POLL", "5"))),
        providers=providers,
    )


def open_provider(name: str, settings: ProviderSettings) -> Provider:
    """The production driver, as workers open it."""
    return build(name, settings)


async def subject_for(lane: Lane, provider: Provider) -> Subject | None:
    """The provider with the cheapest GPU of which it has enough under the cap, at each of its terms; None: no such."""
    known = next((driver.subject for driver in DRIVERS if driver.name == provider.name), None)
    terms = known.terms if known else (Terms.ON_DEMAND,)
    offered = [await _prices(provider, each, lane.max_hourly) for each in terms]
    plenty = [gpu for gpu, found in offered[0].items() if all(len(each.get(gpu, ())) >= AT_ONCE for each in offered)]
    if not plenty:
        return None
    gpu = min(plenty, key=lambda name: sum(sum(each[name][:AT_ONCE]) for each in offered))
    limits = {"max_hourly": lane.max_hourly, "poll": lane.poll, "patience": _PATIENCE, "label_prefix": lane.prefix}
    plain = known or Subject(name=provider.name, gpu=gpu, never_was="1", terms=terms, bids=False)
    return replace(plain, gpu=gpu, searches=(), page=0, page_of_offers=0, **limits)


class LiveControls(Controls):
    """A real provider does nothing for our sake."""

    why_not = "this is a real provider"

    def __init__(self, provider: Provider, settings: ProviderSettings, prefix: str) -> None:
        self._provider = provider
        self._settings = settings
        self._prefix = prefix

    def stranger(self, key: str = WRONG_KEY) -> Provider:
        wrong = self._settings.model_copy(update={"api_key": SecretStr(key)})
        return build(self._provider.name, wrong)

    def nowhere(self) -> Provider:
        return build(self._provider.name, self._settings.model_copy(update={"base_url": "http://127.0.0.1:1"}))

    async def alive(self) -> list[str]:
        listed = await self._provider.list_owned()
        return [each.instance_id for each in listed if (each.label or "").startswith(self._prefix)]


async def _prices(provider: Provider, terms: Terms, limit: Decimal) -> dict[str, list[Decimal]]:
    """What the offers of each GPU cost, cheapest first."""
    prices: dict[str, list[Decimal]] = {}
    for offer in await provider.search_offers(Requirements(terms=terms, max_hourly=limit)):
        if offer.terms is terms:
            prices.setdefault(offer.gpu, []).append(offer.hourly)
    return prices


def _dollars(environ: Mapping[str, str], name: str, default: str) -> Decimal:
    given = environ.get(name) or default
    try:
        amount = Decimal(given)
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0:
        raise LaneError(f"{name}={given!r} is not a number above zero")
    return amount
