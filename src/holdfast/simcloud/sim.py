"""The running market of one provider: its parts, wired once, and what its wire layer needs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from starlette.requests import Request

from holdfast.simcloud.clock import Clock
from holdfast.simcloud.conductor import Conductor
from holdfast.simcloud.config import SimConfig
from holdfast.simcloud.hosts.midwife import Midwife
from holdfast.simcloud.machines import Inside, Machines, Tell
from holdfast.simcloud.market import Market
from holdfast.simcloud.model import Account
from holdfast.simcloud.profile import Profile, load, open_market
from holdfast.simcloud.store import Store
from holdfast.simcloud.troubles import Troubles

HangUp = Callable[[Request], None]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """One provider's market without its surroundings: what its habits work on."""

    provider: str
    config: SimConfig
    profile: Profile
    clock: Clock
    store: Store
    market: Market


Table = dict[str, Callable[..., Any]]
"""Levers act on one machine, knobs on the market as a whole; the options of a call are their arguments."""
Keep = Callable[[Rules], datetime | None]
"""A provider's own habits: does what is due, and says when it will have something to do again."""


@dataclass(frozen=True, kw_only=True)
class Sim(Rules):
    """What a request handler may use."""

    machines: Machines
    midwife: Midwife
    conductor: Conductor
    troubles: Troubles
    tenant_key: str
    control_token: str
    hang_up: HangUp  # closes a caller's connection without an answer
    url: str
    first_slot: int
    place: "Place"


@dataclass(frozen=True, kw_only=True)
class Place:
    """What tells one provider's market from another's. The numbers of all of them are kept apart."""

    provider: str
    first_instance: int
    first_slot: int
    inside: Inside
    ssh_port: int = 0  # of every machine, each of which has its own address; 0: any that is free
    keep: Keep | None = None
    tell: Tell | None = None
    levers: Callable[[Sim], Table] | None = None
    knobs: Callable[[Sim], Table] | None = None


def build(place: Place, config: SimConfig, url: str, hang_up: HangUp, midwife: Midwife) -> Sim:
    """Open one provider's market kept in the data directory, or a new one from its profile."""
    config.instances(place.provider).mkdir(parents=True, exist_ok=True)
    config.data_dir.chmod(0o700)
    profile, clock = load(config.profile, place.provider), Clock()
    store = Store(config.database(place.provider))
    if store.is_new():
        with store.transaction():
            store.put_account(Account(credit=profile.credit, listing_lag=profile.listing_lag))
            open_market(store, profile, clock.now(), first_slot=place.first_slot)
    market = Market(store, profile, clock, first_instance=place.first_instance)
    rules = Rules(provider=place.provider, config=config, profile=profile, clock=clock, store=store, market=market)
    also = None if place.keep is None else partial(place.keep, rules)
    machines = Machines(
        config=config,
        provider=place.provider,
        api_url=url,
        inside=place.inside,
        tell=place.tell,
        ssh_port=place.ssh_port,
    )
    return Sim(
        provider=place.provider,
        config=config,
        profile=profile,
        clock=clock,
        store=store,
        market=market,
        machines=machines,
        midwife=midwife,
        conductor=Conductor(market, store, machines, midwife, clock, hosts=profile.hosts, also=also),
        troubles=Troubles(store, clock),
        tenant_key=config.tenant_key(),
        control_token=config.control_token(),
        hang_up=hang_up,
        url=url,
        first_slot=place.first_slot,
        place=place,
    )
