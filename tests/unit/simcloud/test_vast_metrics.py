"""Supply, demand and prices by GPU over Vast's wire, from outside."""

import time
from typing import Any

import pytest

from tests.unit.simcloud.conftest import Tenant


def history(tenant: Tenant, **params: Any) -> dict[str, Any]:
    answer = tenant.http.get("/api/v0/metrics/gpu/history/", params=params).raise_for_status().json()
    assert answer["success"] is True
    found: dict[str, Any] = answer["gpus"]
    return found


def test_without_a_wish_the_last_day_of_three_gpus_is_told_in_some_twenty_points(tenant: Tenant) -> None:
    gpus = history(tenant)
    assert set(gpus) == {"RTX 3090", "RTX 4090", "RTX 5090"}
    times = gpus["RTX 4090"]["pricing"]["timestamps"]
    assert len(times) == 21
    assert times[-1] - times[0] == 86_400
    assert {len(column) for column in gpus["RTX 4090"]["pricing"].values()} == {21}
    assert {len(column) for column in gpus["RTX 4090"]["supply_demand"].values()} == {21}


def test_prices_move_through_the_day_and_the_past_does_not_change(tenant: Tenant) -> None:
    end = int(time.time()) // 3600 * 3600
    asked = {"gpu_name": "RTX_4090", "start": end - 86_400, "end": end, "step": 3600}
    first, again = history(tenant, **asked), history(tenant, **asked)
    pricing = first["RTX 4090"]["pricing"]
    assert pricing == again["RTX 4090"]["pricing"]
    assert len(set(pricing["rented_median"])) > 10
    for low, median, high in zip(pricing["avail_p10"], pricing["avail_median"], pricing["avail_p90"], strict=True):
        assert 0.2 < low <= median <= high < 0.5


def test_a_step_that_gives_too_many_points_is_raised(tenant: Tenant) -> None:
    gpus = history(tenant, gpu_name="all", start=0, step=60)
    assert all(len(told["pricing"]["timestamps"]) <= 1001 for told in gpus.values())


def test_what_is_rented_counts_as_demand(tenant: Tenant) -> None:
    before = {row["gpu_name"]: row for row in current(tenant)}
    offer = tenant.search(gpu_name={"eq": "RTX 5090"}, verified={"eq": True})[0]
    tenant.order(offer["id"]).raise_for_status()
    after = {row["gpu_name"]: row for row in current(tenant)}
    assert after["RTX 5090"]["rented_verified"] == before["RTX 5090"]["rented_verified"] + 1
    assert after["RTX 5090"]["available"] == before["RTX 5090"]["available"] - 1
    assert after["RTX 4090"] == before["RTX 4090"] | {
        name: after["RTX 4090"][name] for name in after["RTX 4090"] if "price" in name or "dollar" in name
    }


@pytest.mark.parametrize(
    "params", [{"verified": "perhaps"}, {"start": "now"}, {"start": 2, "end": 1}, {"hosting_type": "x"}]
)
def test_a_question_that_makes_no_sense_is_refused(tenant: Tenant, params: dict[str, Any]) -> None:
    assert tenant.http.get("/api/v0/metrics/gpu/history/", params=params).status_code == 400


def current(tenant: Tenant) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tenant.http.get("/api/v0/metrics/gpu/current/", params={"verified": "all"}).json()[
        "gpus"
    ]
    return found
