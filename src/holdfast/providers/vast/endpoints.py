"""The calls of Vast.ai's API that we use, each with the least interval that Vast documents for it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from holdfast.providers.wrappers.pacing import Pace


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One call. `path` has a place for the number that it is about."""

    name: str
    method: str
    path: str
    pace: Pace
    repeatable: bool = True  # safe to send again when the provider asked us to slow down


def _every(seconds: float, *, penalty: float = 0) -> Pace:
    return Pace(per=timedelta(seconds=seconds), penalty=timedelta(seconds=penalty))


_ONE = "/api/v0/instances/{number}/"

SEARCH = Endpoint(name="search", method="POST", path="/api/v0/bundles/", pace=Pace(per=timedelta(minutes=1), calls=10))
# Never sent twice on its own: every accepted order is one more machine.
RENT = Endpoint(
    name="rent", method="PUT", path="/api/v0/asks/{number}/", pace=_every(4.5, penalty=12), repeatable=False
)
LIST = Endpoint(name="list", method="GET", path="/api/v1/instances/", pace=_every(1))
SHOW = Endpoint(name="show", method="GET", path=_ONE, pace=_every(2))
CHANGE = Endpoint(name="change", method="PUT", path=_ONE, pace=_every(1))
DESTROY = Endpoint(name="destroy", method="DELETE", path=_ONE, pace=_every(3))
CHANGE_BID = Endpoint(name="change_bid", method="PUT", path="/api/v0/instances/bid_price/{number}/", pace=_every(5.5))
KEYS = Endpoint(name="keys", method="GET", path="/api/v0/ssh/", pace=_every(1))
ADD_KEY = Endpoint(name="add_key", method="POST", path="/api/v0/ssh/", pace=_every(1))
ATTACH_KEY = Endpoint(name="attach_key", method="POST", path=_ONE + "ssh/", pace=_every(1))
PRICES = Endpoint(name="prices", method="GET", path="/api/v0/metrics/gpu/history/", pace=_every(3))
CHARGES = Endpoint(name="charges", method="GET", path="/api/v0/charges/", pace=_every(1))

ALL = (SEARCH, RENT, LIST, SHOW, CHANGE, DESTROY, CHANGE_BID, KEYS, ADD_KEY, ATTACH_KEY, PRICES, CHARGES)
PACES = {endpoint.name: endpoint.pace for endpoint in ALL}


def paces(scale: float = 1.0) -> Mapping[str, Pace]:
    """Every call's pace, with the intervals that Vast documents taken `scale` times."""
    return {name: replace(pace, per=pace.per * scale) for name, pace in PACES.items()}
