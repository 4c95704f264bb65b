"""Two workloads that saw the same offer cannot both claim it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.contracts.activities import CloseLeaseInput
from holdfast.records.errors import OfferTaken, RecordsUnavailable
from holdfast.records.store import Records
from tests.unit.records.makers import NOON, claim, offer, opening

MACHINE = offer(exclusive=True)


def test_the_second_claim_of_an_offer_is_refused_and_leaves_nothing(records: Records) -> None:
    records.open_workload(opening("a"))
    records.open_workload(opening("b"))
    records.claim_epoch(claim(1, "a", of=MACHINE))
    with pytest.raises(OfferTaken, match=r"claimed as a\.e1\.m4rk"):
        records.claim_epoch(claim(1, "b", of=MACHINE))
    assert [line.label for line in records.open_leases()] == ["a.e1.m4rk"]
    records.claim_epoch(claim(1, "b", of=offer("offer-2", exclusive=True)))
    assert [line.label for line in records.open_leases()] == ["a.e1.m4rk", "b.e1.m4rk"]


def test_an_offer_that_was_let_go_may_be_claimed_again(records: Records) -> None:
    records.open_workload(opening("a"))
    records.open_workload(opening("b"))
    records.claim_epoch(claim(1, "a", of=MACHINE))
    records.close_lease(CloseLeaseInput(label="a.e1.m4rk", closed_at=NOON, reason="refused"))
    records.claim_epoch(claim(1, "b", of=MACHINE))
    records.claim_epoch(claim(1, "b", of=MACHINE))  # a repeat is no rival


def test_a_kind_of_machine_is_claimed_by_as_many_as_like(records: Records) -> None:
    kind = offer("g2-standard-4/us-central1-a", exclusive=False)
    for name in ("a", "b"):
        records.open_workload(opening(name))
        records.claim_epoch(claim(1, name, of=kind))
    assert len(records.open_leases()) == 2


def test_of_many_at_the_same_moment_one_wins(records: Records) -> None:
    names = [f"w{number}" for number in range(8)]
    for name in names:
        records.open_workload(opening(name))

    def try_to(name: str) -> bool:
        while True:
            try:
                records.claim_epoch(claim(1, name, of=MACHINE))
            except RecordsUnavailable:
                continue  # the other writer was first: as Temporal would, once more
            except OfferTaken:
                return False
            return True

    with ThreadPoolExecutor(len(names)) as threads:
        assert sum(threads.map(try_to, names)) == 1
    assert len(records.open_leases()) == 1
