"""Who holds the GPUs of a slot.

On-demand tenants outrank every bid and keep what they have; among bids the highest wins, and at equal bids the one that
holds. A tenant that loses is stopped, not destroyed: it keeps its disk and comes back when its claim is the best again.
"""

from collections.abc import Iterable
from decimal import Decimal

from holdfast.simcloud.model import Instance, Slot, Stop, Wish
from holdfast.simcloud.transitions import take_away

BID_STEP = Decimal("0.01")
_ON_DEMAND = (1, Decimal(0))


def settle(slot: Slot, tenants: Iterable[Instance]) -> list[Instance]:
    """Decide the holder of a slot and return the tenants whose state changed by it.

    A tenant that is granted stands at the start of its boot; the caller plans the rest of it.
    """
    claims = [tenant for tenant in tenants if tenant.wish is Wish.RUNNING or tenant.granted]
    winner = _winner(slot, claims)
    changed = []
    for tenant in claims:
        if tenant is winner and not tenant.granted:
            tenant.granted = True
            changed.append(tenant)
        elif tenant is not winner and _loses(tenant):
            take_away(tenant, Stop.OUTBID if tenant.interruptible else Stop.TAKEN)
            changed.append(tenant)
    return changed


def required_bid(slot: Slot, tenants: Iterable[Instance]) -> Decimal | None:
    """The least bid that would win the slot now; None when no bid can, for an on-demand tenant holds it."""
    bids = [slot.min_bid]
    for bid in _holding_bids(slot, tenants):
        if bid is None:
            return None
        bids.append(bid + BID_STEP)
    return max(bids)


def is_held(slot: Slot, tenants: Iterable[Instance]) -> bool:
    """Whether anybody, one of us or a rival, has the slot's GPUs."""
    return any(True for _ in _holding_bids(slot, tenants))


def _holding_bids(slot: Slot, tenants: Iterable[Instance]) -> Iterable[Decimal | None]:
    if slot.rival is not None:
        yield slot.rival.bid
    for tenant in tenants:
        if tenant.granted:
            yield tenant.bid


def _winner(slot: Slot, claims: list[Instance]) -> Instance | None:
    best = max(claims, key=lambda tenant: (_rank(tenant.bid), tenant.granted, -tenant.id), default=None)
    if best is None or _too_low(slot, best):
        return None
    if slot.rival is not None and _rank(slot.rival.bid) >= _rank(best.bid) and not _sits_on_demand(best):
        return None
    return best


def _sits_on_demand(tenant: Instance) -> bool:
    return tenant.granted and not tenant.interruptible


def _too_low(slot: Slot, tenant: Instance) -> bool:
    return tenant.bid is not None and tenant.bid < slot.min_bid


def _rank(bid: Decimal | None) -> tuple[int, Decimal]:
    return _ON_DEMAND if bid is None else (0, bid)


def _loses(tenant: Instance) -> bool:
    return tenant.granted or tenant.stop is None
