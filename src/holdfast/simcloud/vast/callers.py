"""Who calls: the account, or one machine with its own restricted key."""

import hmac
from dataclasses import dataclass

from starlette.requests import Request

from holdfast.simcloud.sim import Sim
from holdfast.simcloud.vast.envelopes import WireError


@dataclass(frozen=True, kw_only=True)
class Caller:
    """An authenticated caller. ``instance`` is set for a machine's own key, which may act on that machine only."""

    identity: str
    instance: int | None = None

    def require(self, instance: int | None) -> None:
        """Refuse a machine's key that is used for anything but its own machine."""
        if self.instance is not None and self.instance != instance:
            raise WireError(403, "auth_error", "This key is not allowed to do that.")


def authenticate(sim: Sim, request: Request) -> Caller:
    """The caller of a request. A wrong key answers 404, none 403: the provider's quirks."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        key = request.query_params.get("api_key", "")
    if not key:
        raise WireError(403, "auth_error", "This action requires login.")
    if hmac.compare_digest(key.encode(), sim.tenant_key.encode()):
        return Caller(identity="account")
    for instance in sim.store.instances():
        if hmac.compare_digest(key.encode(), instance.api_key.encode()):
            return Caller(identity=f"instance-{instance.id}", instance=instance.id)
    raise WireError(404, "auth_error", "Invalid user key")
