"""The calls of TensorDock's APIs that we use, and the two paces at which they may be made."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from holdfast.providers.wrappers.pacing import Pace

ACCOUNT = "TensorDock"  # a hundred calls a minute for the whole account, whatever is called
LEGACY = "TensorDock's v0"  # no limit is documented; about one call a second is asked for


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One call. `path` has a place for the id that it is about."""

    name: str
    method: str
    path: str
    repeatable: bool = True  # safe to send again when the provider asked us to slow down


_ONE = "/api/v2/instances/{id}"

HOSTNODES = Endpoint(name="hostnodes", method="GET", path="/api/v2/hostnodes")
HOSTNODE = Endpoint(name="hostnode", method="GET", path="/api/v2/hostnodes/{id}")
LOCATIONS = Endpoint(name="locations", method="GET", path="/api/v2/locations")
# Never sent twice on its own: every accepted order is one more machine.
DEPLOY = Endpoint(name="deploy", method="POST", path="/api/v2/instances", repeatable=False)
LIST = Endpoint(name="list", method="GET", path="/api/v2/instances")
SHOW = Endpoint(name="show", method="GET", path=_ONE)
START = Endpoint(name="start", method="POST", path=f"{_ONE}/start")
STOP = Endpoint(name="stop", method="POST", path=f"{_ONE}/stop")
DELETE = Endpoint(name="delete", method="DELETE", path=_ONE)
LEGACY_STOP = Endpoint(name="v0 stop", method="POST", path="/api/v0/client/stop/single")

PACES = {
    ACCOUNT: Pace(per=timedelta(minutes=1), calls=100),
    LEGACY: Pace(per=timedelta(seconds=1)),
}


def paces(scale: float = 1.0) -> Mapping[str, Pace]:
    """Both paces, with the documented intervals taken `scale` times."""
    return {name: replace(pace, per=pace.per * scale) for name, pace in PACES.items()}
