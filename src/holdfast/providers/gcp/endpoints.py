"""The calls of Google's APIs that we use, and the paces at which they may be made."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from holdfast.providers.wrappers.pacing import Pace

READS, WRITES = "Google's reads", "Google's writes"
"""1,500 a minute each, for a project."""
COPYING = "Google's writes of snapshots"
"""375 a minute, as projects have seen."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One call. `path` is below the project, with places for what it is about."""

    name: str
    method: str
    path: str
    lane: str = READS


_ZONE = "/zones/{zone}"
_ONE = f"{_ZONE}/instances/{{name}}"

MACHINE_TYPES = Endpoint(name="machineTypes", method="GET", path="/aggregated/machineTypes")
ACCELERATORS = Endpoint(name="acceleratorTypes", method="GET", path="/aggregated/acceleratorTypes")
LIST = Endpoint(name="list", method="GET", path="/aggregated/instances")
SHOW = Endpoint(name="get", method="GET", path=_ONE)
# All writes bear a request id, or change nothing when they are repeated: they may be sent again.
INSERT = Endpoint(name="insert", method="POST", path=f"{_ZONE}/instances", lane=WRITES)
DELETE = Endpoint(name="delete", method="DELETE", path=_ONE, lane=WRITES)
STOP = Endpoint(name="stop", method="POST", path=f"{_ONE}/stop", lane=WRITES)
START = Endpoint(name="start", method="POST", path=f"{_ONE}/start", lane=WRITES)
WAIT = Endpoint(name="wait", method="POST", path=f"{_ZONE}/operations/{{name}}/wait")
OPERATIONS = Endpoint(name="operations", method="GET", path=f"{_ZONE}/operations")
HISTORY = Endpoint(name="capacityHistory", method="POST", path="/regions/{zone}/advice/capacityHistory")
CAPACITY = Endpoint(name="capacity", method="POST", path="/regions/{zone}/advice/capacity")

TAKE_COPY = Endpoint(
    name="createSnapshot", method="POST", path="/zones/{zone}/disks/{name}/createSnapshot", lane=COPYING
)
COPY = Endpoint(name="getSnapshot", method="GET", path="/global/snapshots/{name}")
COPIES = Endpoint(name="listSnapshots", method="GET", path="/global/snapshots")
DROP_COPY = Endpoint(name="deleteSnapshot", method="DELETE", path="/global/snapshots/{name}", lane=COPYING)

PACES = {
    READS: Pace(per=timedelta(minutes=1), calls=1500),
    WRITES: Pace(per=timedelta(minutes=1), calls=1500),
    COPYING: Pace(per=timedelta(minutes=1), calls=375),
}


def paces(scale: float = 1.0) -> Mapping[str, Pace]:
    """Both paces, with the documented intervals taken `scale` times."""
    return {name: replace(pace, per=pace.per * scale) for name, pace in PACES.items()}
