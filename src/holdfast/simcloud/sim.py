"""The running market: its parts, wired once, and what the wire layers share."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from holdfast.simcloud.clock import Clock
from holdfast.simcloud.conductor import Conductor
from holdfast.simcloud.config import SimConfig
from holdfast.simcloud.hosts.midwife import Midwife
from holdfast.simcloud.machines import Machines
from holdfast.simcloud.market import Market
from holdfast.simcloud.model import Account
from holdfast.simcloud.profile import Profile, load, open_market
from holdfast.simcloud.store import Store
from holdfast.simcloud.troubles import Troubles

HangUp = Callable[[Request], None]


@dataclass(frozen=True, kw_only=True)
class Sim:
    """What a request handler may use."""

    config: SimConfig
    profile: Profile
    clock: Clock
    store: Store
    market: Market
    machines: Machines
    midwife: Midwife
    conductor: Conductor
    troubles: Troubles
    tenant_key: str
    control_token: str
    hang_up: HangUp  # closes a caller's connection without an answer
    url: str


def build(config: SimConfig, url: str, hang_up: HangUp) -> Sim:
    """Open the market kept in the data directory, or a new one from its profile."""
    config.instances.mkdir(parents=True, exist_ok=True)
    config.data_dir.chmod(0o700)
    profile, clock = load(config.profile), Clock()
    store = Store(config.database)
    if store.is_new():
        with store.transaction():
            store.put_account(Account(credit=profile.credit, listing_lag=profile.listing_lag))
            open_market(store, profile, clock.now())
    market, midwife = Market(store, profile, clock), Midwife()
    machines = Machines(config=config, api_url=url)
    return Sim(
        config=config,
        profile=profile,
        clock=clock,
        store=store,
        market=market,
        machines=machines,
        midwife=midwife,
        conductor=Conductor(market, store, machines, midwife, clock),
        troubles=Troubles(store, clock),
        tenant_key=config.tenant_key(),
        control_token=config.control_token(),
        hang_up=hang_up,
        url=url,
    )
