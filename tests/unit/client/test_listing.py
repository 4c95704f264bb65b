"""The listing spells the wire names itself, to stay quick to import; they must be the contracts' names."""

from holdfast.client import listing
from holdfast.contracts import names


def test_the_listing_uses_the_wire_s_own_names() -> None:
    assert listing.WORKLOAD_TYPE == names.WORKLOAD
    spelt = (listing.WORKLOAD, listing.STATE, listing.PROVIDER, listing.GPU, listing.EPOCH, listing.HOURLY_USD)
    assert spelt == tuple(key.name for key in names.SEARCH_ATTRIBUTES)
