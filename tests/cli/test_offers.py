"""`holdfast offers`: what is left out and why, and what is said when nothing fits."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.exceptions import ApplicationError

from holdfast.client.holdfast import Holdfast
from holdfast.client.shortage import near_names
from holdfast.contracts.errors import ErrorType
from holdfast.contracts.machines import Offer, Requirements
from holdfast.contracts.memory import MachineMemory

from .conftest import Run
from .standins import World, an_offer

GPU = ("--gpu", "RTX 4090")


def another(gpu: str, hourly: str, number: int, memory: float = 24) -> Offer:
    return replace(an_offer(hourly, number), gpu=gpu, gpu_memory_gb=memory)


async def test_each_offer_that_is_left_out_comes_with_its_own_reason(online: Run, world: World) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    world.offers = [
        an_offer("0.31", 1),
        an_offer("0.61", 2),
        replace(an_offer("0.32", 3), region="US"),
        replace(an_offer("0.33", 4), disk_gb=15),
        an_offer("0.34", 5),
    ]
    world.remembered = [MachineMemory(provider="vast", machine_id="m5", banned_until=tomorrow, ban_reason="it lies")]
    line = ("offers", *GPU, "--max-price", "0.5", "--region", "de", "--disk-gb", "20", "--rejected")
    told = {each["offer_id"]: each["reason"] for each in (await online(*line, "--json")).document}
    assert list(told) == ["3", "4", "5", "2"]
    assert told["3"] == "it is in US, not in DE"
    assert told["4"] == "it has 15 GB of disk, and 20 are needed"
    assert told["5"] == f"machine m5 is banned until {tomorrow:%Y-%m-%d %H:%M} UTC: it lies"
    assert told["2"] == "$0.61/h is above the limit of $0.5/h"
    assert "WHY NOT" in (await online(*line)).out


async def test_all_that_is_left_out_can_be_seen(online: Run, world: World) -> None:
    world.offers = [an_offer(f"0.{number}", number) for number in range(10, 60)]
    line = ("offers", *GPU, "--max-price", "0.05", "--rejected")
    assert len((await online(*line, "--limit", "100", "--json")).document) == 50
    shown = await online(*line, "--limit", "30")
    assert len(shown.out.splitlines()) == 31
    assert "20 more; --limit shows them" in shown.err


async def test_where_all_fit_nothing_is_left_out(online: Run) -> None:
    told = await online("offers", *GPU, "--rejected")
    assert (told.code, told.out, told.err) == (0, "", "nothing is left out\n")
    assert (await online("offers", *GPU, "--rejected", "--json")).document == []


@pytest.mark.parametrize("more", [(), ("--rejected",), ("--json",)])
async def test_a_misspelt_gpu_is_answered_with_those_like_it(online: Run, world: World, more: tuple[str, ...]) -> None:
    world.offers = [another("RTX 4090", "0.30", 1), another("RTX 3090", "0.2", 2), another("H100 SXM", "2", 3, 80)]
    refused = await online("offers", "--gpu", "RTX 4091", *more)
    assert (refused.code, refused.out) == (5, "")
    assert "no provider offers a GPU named 'RTX 4091' at any price" in refused.err
    assert "there are: H100 SXM, RTX 3090, RTX 4090; did you mean RTX 4090 or RTX 3090?" in refused.err


async def test_large_cards_are_known_though_cheap_ones_fill_the_answer(online: Run, world: World) -> None:
    world.offers_told = 2
    cheap = [another("GTX 1070", "0.02", number, 8) for number in range(5)]
    world.offers = [*cheap, another("RTX 4090", "0.30", 10), another("H100 SXM", "2", 11, 80)]
    refused = await online("offers", "--gpu", "H100 SMX")
    assert "there are: GTX 1070, H100 SXM, RTX 4090; did you mean H100 SXM?" in refused.err


async def test_a_limit_that_nothing_meets_is_named_with_what_comes_nearest(online: Run, world: World) -> None:
    world.offers = [another("H100 SXM", "2", 1, 80), another("H100 SXM", "3", 2, 80)]
    refused = await online("offers", "--gpu", "h100_sxm", "--region", "JP", "--max-price", "2.5")
    assert refused.code == 5
    assert "no machine meets every limit; the nearest: 1x H100 SXM in DE at 2.000 USD/h (vast): " in refused.err
    assert "(vast): it is in DE, not in JP; 1x H100 SXM in DE at 3.000 USD/h (vast): $3/h is above" in refused.err
    assert "hint: ask for less" in refused.err


async def test_a_price_that_nothing_meets_is_answered_with_one_that_is_enough(online: Run, world: World) -> None:
    world.offers = [an_offer("0.4501", 1)]
    refused = await online("offers", *GPU, "--max-price", "0.2", "--json")
    assert (refused.code, refused.out) == (5, "")
    assert "the cheapest above it: 1x RTX 4090 in DE at 0.450 USD/h (vast)" in refused.err
    assert "hint: raise the price limit to 0.451 or more" in refused.err


async def test_more_gpus_than_any_machine_has_are_no_unknown_gpu(online: Run) -> None:
    refused = await online("offers", *GPU, "--gpu-count", "64")
    assert refused.code == 5
    assert "no provider offers 64x RTX 4090 in one machine" in refused.err


async def test_who_gave_no_answer_is_named_beside_what_is_left_out(
    online: Run, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    monkeypatch.setenv("HOLDFAST_PROVIDERS__PEBBLE__API_KEY", "not-used-by-clients")
    world.silent = {"pebble": ApplicationError("HTTP 502", type=ErrorType.PROVIDER_UNAVAILABLE, non_retryable=True)}
    shown = await online("offers", *GPU, "--max-price", "0.4", "--rejected", "--json")
    assert (shown.code, [each["offer_id"] for each in shown.document]) == (0, ["2"])
    assert "warning: pebble gave no answer: HTTP 502" in shown.err
    refused = await online("offers", *GPU, "--max-price", "0.1")
    assert refused.code == 5
    assert "; pebble gave no answer: HTTP 502" in refused.err


async def test_a_provider_that_has_no_such_gpu_is_named_and_what_it_has_is_shown(
    online: Run, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    monkeypatch.setenv("HOLDFAST_PROVIDERS__PEBBLE__API_KEY", "not-used-by-clients")
    world.offers = [an_offer("0.31", 1), *(another("L4", f"0.2{number}", number) for number in range(2, 7))]
    world.offers[1:] = [replace(each, provider="pebble") for each in world.offers[1:]]
    shown = await online("offers", *GPU)
    assert (shown.code, "nothing that fits at pebble; --rejected shows what they have" in shown.err) == (0, True)
    told = (await online("offers", *GPU, "--rejected", "--json")).document
    assert [(each["provider"], each["reason"]) for each in told] == [("pebble", "its GPU is L4, not RTX 4090")] * 3


async def test_a_client_is_given_the_rows_and_the_silent_ones(holdfast: Holdfast) -> None:
    found = await holdfast.left_out(Requirements(gpu="RTX 4090", min_reliability=0.995))
    assert [each.reason for each in found.offers] == ["it has 0.99 reliability, and 0.995 are needed"] * 2
    assert found.silent == {}


@pytest.mark.parametrize(
    ("meant", "there"),
    [("rtx4090", "RTX 4090"), ("RTX_4090", "RTX 4090"), ("A100", "A100 PCIE"), ("H100-SXM5", "H100 SXM")],
)
def test_a_name_is_near_however_it_is_written(meant: str, there: str) -> None:
    assert near_names(meant, ["RTX 4090", "A100 PCIE", "H100 SXM", "GTX 1070"])[0] == there


def test_nothing_is_near_a_name_unlike_all() -> None:
    assert near_names("quantum", ["RTX 4090", "H100 SXM"]) == ()
