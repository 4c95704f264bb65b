"""Kinds of machines and what they cost, from Google's lists."""

from decimal import Decimal
from typing import Any

import pytest

from holdfast.contracts.machines import Terms
from holdfast.providers.errors import ProviderUnavailable
from holdfast.providers.gcp.kinds import Kind, by_zone, card_name, country_of, kind_of, kinds
from holdfast.providers.gcp.offers import offer_of
from holdfast.providers.gcp.prices import read


def sku(description: str, usage: str, nanos: int, region: str = "us-central1", units: str = "0") -> dict[str, Any]:
    rate = {"startUsageAmount": 0, "unitPrice": {"currencyCode": "USD", "units": units, "nanos": nanos}}
    return {
        "skuId": "0000",
        "description": description,
        "category": {"resourceFamily": "Compute", "resourceGroup": "x", "usageType": usage},
        "serviceRegions": [region],
        "pricingInfo": [{"pricingExpression": {"tieredRates": [rate]}}],
    }


# As the public list words them.
LIST = [
    sku("G2 Instance Core running in Iowa", "OnDemand", 24_988_440),
    sku("G2 Instance Ram running in Iowa", "OnDemand", 2_927_200),
    sku("Nvidia L4 GPU running in Iowa", "OnDemand", 560_040_000),
    sku("Spot Preemptible G2 Instance Core running in Iowa", "Preemptible", 9_995_376),
    sku("Spot Preemptible G2 Instance Ram running in Iowa", "Preemptible", 1_170_880),
    sku("Nvidia L4 GPU attached to Spot Preemptible VMs running in Iowa", "Preemptible", 224_016_000),
    sku("N1 Predefined Instance Core running in Americas", "OnDemand", 31_611_000),
    sku("N1 Predefined Instance Ram running in Americas", "OnDemand", 4_237_000),
    sku("Nvidia Tesla T4 GPU running in Americas", "OnDemand", 350_000_000),
    sku("Balanced PD Capacity", "OnDemand", 100_000_000),
    sku("Commitment v1: G2 Cpu in Iowa for 1 Year", "Commit1Yr", 1),
    sku("Network Internet Egress", "OnDemand", 120_000_000),
    {"description": "odd"},
    "odd",
]
L4 = Kind(zone="us-central1-a", machine="g2-standard-4", cores=4, memory_gb=16, card="nvidia-l4", count=1)


def test_a_machine_s_price_is_that_of_its_parts() -> None:
    prices = read(LIST)
    assert prices.compute(L4, spot=False) == Decimal("0.70682896")
    assert prices.compute(L4, spot=True) == Decimal("0.282731584")
    assert prices.disk(73, "us-central1") == Decimal("0.01")


def test_a_part_without_a_price_is_no_offer_rather_than_a_cheap_one() -> None:
    prices = read([line for line in LIST if "GPU" not in str(line)])
    assert prices.compute(L4, spot=False) is None
    assert offer_of(L4, prices, terms=Terms.ON_DEMAND, disk_gb=50, provider="gcp") is None
    elsewhere = Kind(zone="europe-west4-a", machine="g2-standard-4", cores=4, memory_gb=16)
    assert read(LIST).compute(elsewhere, spot=False) is None


def test_other_currencies_and_free_tiers_are_not_prices() -> None:
    line = sku("G2 Instance Core running in Iowa", "OnDemand", 1)
    line["pricingInfo"][0]["pricingExpression"]["tieredRates"][0]["unitPrice"]["currencyCode"] = "EUR"
    free = sku("G2 Instance Ram running in Iowa", "OnDemand", 0)
    assert read([line, free]).units == {}


def test_gpus_come_with_the_machine_type_or_are_attached() -> None:
    rows = {
        "us-central1-a": [
            {
                "name": "g2-standard-4",
                "guestCpus": 4,
                "memoryMb": 16384,
                "accelerators": [{"guestAcceleratorType": "nvidia-l4", "guestAcceleratorCount": 1}],
            },
            {"name": "n1-standard-4", "guestCpus": 4, "memoryMb": 15360},
            {"name": "e2-standard-2", "guestCpus": 2, "memoryMb": 8192},
            {"name": "broken"},
        ]
    }
    cards = {"us-central1-a": [{"name": "nvidia-tesla-t4", "maximumCardsPerInstance": 4}]}
    found = {kind.machine: kind for kind in kinds(rows, cards)}
    assert found["g2-standard-4"] == L4
    assert (found["n1-standard-4"].card, found["n1-standard-4"].attached) == ("nvidia-tesla-t4", True)
    assert (found["e2-standard-2"].card, found["e2-standard-2"].count) == ("", 0)
    assert "broken" not in found


@pytest.mark.parametrize("terms", Terms)
def test_an_offer_s_id_says_what_it_is_for(terms: Terms) -> None:
    attached = Kind(zone="us-central1-a", machine="n1-standard-4", card="nvidia-tesla-t4", count=1, attached=True)
    assert kind_of(attached.offer_id(terms)) == attached
    plain = kind_of(L4.offer_id(terms))
    assert plain is not None and (plain.zone, plain.machine, plain.attached) == (L4.zone, L4.machine, False)
    assert kind_of("27410001") is None


def test_a_zone_that_does_not_answer_is_not_an_empty_one() -> None:
    nothing = {"warning": {"code": "NO_RESULTS_ON_PAGE"}}
    page = {"items": {"zones/us-central1-a": {"instances": [{}]}, "zones/us-central1-b": nothing}}
    assert by_zone([page], "instances") == {"us-central1-a": [{}], "us-central1-b": []}
    silent = {"items": {"zones/us-central1-a": {"warning": {"code": "UNREACHABLE"}}}}
    with pytest.raises(ProviderUnavailable, match="us-central1-a"):
        by_zone([page, silent], "instances")


@pytest.mark.parametrize(
    "more", [{"unreachables": ["zones/us-central1-a"]}, {"warning": {"code": "UNREACHABLE"}}], ids=["named", "warned"]
)
def test_a_list_that_says_that_it_is_not_whole_is_none_except_for_a_search(more: dict[str, Any]) -> None:
    page = {"items": {"zones/us-central1-b": {"instances": [{}]}}} | more
    with pytest.raises(ProviderUnavailable, match=r"us-central1-a|some zones"):
        by_zone([page], "instances")
    assert by_zone([page], "instances", complete=False) == {"us-central1-b": [{}]}
    with pytest.raises(ProviderUnavailable, match=r"us-central1-a|some zones"):
        by_zone([{"kind": "compute#instanceAggregatedList"} | more], "instances")


@pytest.mark.parametrize("page", [{}, {"items": []}, {"items": {"zones/a": "odd"}}, {"kind": "compute#other"}])
def test_a_list_of_another_shape_is_no_answer(page: dict[str, Any]) -> None:
    with pytest.raises(ProviderUnavailable):
        by_zone([page], "instances")


def test_an_empty_list_may_lack_its_items() -> None:
    assert by_zone([{"kind": "compute#instanceAggregatedList"}], "instances") == {}


def test_names_of_gpus_and_countries() -> None:
    assert [card_name(each) for each in ("nvidia-h100-80gb", "nvidia-tesla-t4", "nvidia-gb300")] == [
        "H100 SXM",
        "T4",
        "GB300",
    ]
    assert [country_of(each) for each in ("us-east4", "europe-west4", "mars-north1")] == ["US", "NL", ""]
