"""Renting, by the calls that are made: what is sent, what is never sent twice, what is cleaned up."""

from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from holdfast.contracts.machines import LaunchOrder, Offer, Terms
from holdfast.providers.errors import (
    LaunchUnsettled,
    OutOfCredit,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from holdfast.providers.vast.offers import offer_of
from holdfast.providers.vast.wire import OfferRow
from tests.unit.providers.wire import HTML, INSTANCE, NOT_FOUND, OFFER, YES, Wire, listing, no

PUBLIC_KEY = "ssh-ed25519 AAAAC3Nza me@here"
BID = offer_of(OfferRow.model_validate(OFFER), provider="vast", terms=Terms.INTERRUPTIBLE)
FIRM = offer_of(OfferRow.model_validate(OFFER), provider="vast", terms=Terms.ON_DEMAND)
ACCEPTED = httpx.Response(200, json={"success": True, "new_contract": 29817740})
NO_KEYS = no(404, "not_found", "No SSH keys found for the user.")
LEFT = INSTANCE | dict.fromkeys(("actual_status", "cur_state", "next_state", "intended_status"), "stopped")
KEYS = httpx.Response(200, json=[{"id": 1, "key": "ssh-ed25519 AAAAC3Nza another comment"}])


def _order(offer: Offer = BID) -> LaunchOrder:
    return LaunchOrder(offer=offer, label="train.e3", image="pytorch:2", disk_gb=60, ssh_public_key=PUBLIC_KEY)


async def test_a_bid_names_its_price_and_a_firm_order_names_none() -> None:
    wire = Wire(list=listing(), keys=KEYS, rent=ACCEPTED)
    provider = wire.provider(patience=timedelta(minutes=1))
    await provider.launch(_order(BID))
    bid = wire.body("rent")
    await provider.launch(_order(FIRM))
    firm = wire.body("rent")
    assert bid["price"] == pytest.approx(0.1667) and "price" not in firm
    assert (bid["label"], bid["disk"], bid["image"], bid["cancel_unavail"]) == ("train.e3", 60, "pytorch:2", True)


async def test_the_key_is_put_on_the_account_once() -> None:
    wire = Wire(list=listing(), keys=[NO_KEYS, KEYS], add_key=YES, rent=ACCEPTED)
    provider = wire.provider()
    await provider.launch(_order())
    await provider.launch(_order())
    assert wire.calls().count("add_key") == 1
    assert wire.body("add_key") == {"ssh_key": PUBLIC_KEY}


async def test_a_key_that_was_removed_from_the_account_is_put_there_again() -> None:
    wire = Wire(list=listing(), keys=[KEYS, NO_KEYS], add_key=YES, rent=ACCEPTED)
    provider = wire.provider()
    await provider.launch(_order())
    await provider.launch(_order())
    assert wire.calls() == ["list", "keys", "rent", "list", "keys", "add_key", "rent"]


async def test_a_key_that_is_on_the_account_is_known_whatever_its_comment() -> None:
    wire = Wire(list=listing(), keys=KEYS, rent=ACCEPTED)
    await wire.provider().launch(_order())
    assert wire.calls() == ["list", "keys", "rent"]


async def test_an_adopted_machine_lets_our_key_in() -> None:
    already = no(400, "invalid_args", "key is already attached")
    wire = Wire(list=listing(INSTANCE), attach=already)
    result = await wire.provider().launch(_order())
    assert result.adopted and result.instance is not None and result.instance.instance_id == "29817740"
    assert wire.calls() == ["list", "attach"]


async def test_a_machine_with_another_label_is_not_adopted_when_the_filter_is_ignored() -> None:
    wire = Wire(list=listing(INSTANCE | {"label": "train.e30"}), keys=KEYS, rent=ACCEPTED)
    assert not (await wire.provider().launch(_order())).adopted


async def test_the_machine_that_a_refused_bid_left_is_destroyed_until_it_is_not_found() -> None:
    refused = no(200, "invalid_price", "bid is below the current minimum", new_contract=29817740)
    still = httpx.Response(200, json={"instances": INSTANCE})
    wire = Wire(list=listing(), keys=KEYS, rent=refused, destroy=YES, show=[still, NOT_FOUND])
    result = await wire.provider().launch(_order())
    assert result.instance is None and "below the current minimum" in result.refusal
    assert wire.calls() == ["list", "keys", "rent", "destroy", "show", "destroy", "show"]


async def test_what_a_refused_bid_left_behind_is_not_adopted_when_the_first_try_could_not_remove_it() -> None:
    refused = no(200, "invalid_price", "bid is below the current minimum", new_contract=29817740)
    wire = Wire(list=[listing(), listing(LEFT)], keys=KEYS, rent=refused, destroy=[HTML, YES], show=NOT_FOUND)
    provider = wire.provider()
    with pytest.raises(ProviderUnavailable):
        await provider.launch(_order())
    result = await provider.launch(replace(_order(), repeated=True))
    assert result.instance is None and "wanted stopped" in result.refusal
    assert wire.calls()[-3:] == ["list", "destroy", "show"]


@pytest.mark.parametrize(
    "change",
    [
        {"cur_state": "stopped", "actual_status": "exited"},
        {"actual_status": "loading", "status_msg": "manifest unknown"},
    ],
    ids=["outbid", "broken image"],
)
async def test_a_machine_that_cannot_run_is_removed_and_another_one_with_its_label_adopted(
    change: dict[str, str],
) -> None:
    younger = INSTANCE | {"id": 29817741}
    wire = Wire(list=listing(INSTANCE | change, younger), destroy=YES, show=NOT_FOUND, attach=YES)
    result = await wire.provider().launch(_order())
    assert result.adopted and result.instance is not None and result.instance.instance_id == "29817741"
    assert wire.calls() == ["list", "destroy", "show", "attach"]


async def test_the_machine_of_a_bid_whose_refusal_was_lost_is_removed() -> None:
    lost = httpx.ReadTimeout("late")
    wire = Wire(list=[listing(), listing(LEFT)], keys=KEYS, rent=lost, destroy=YES, show=NOT_FOUND)
    result = await wire.provider().launch(_order())
    assert result.instance is None and result.refusal
    assert wire.calls() == ["list", "keys", "rent", "list", "destroy", "show"]


@pytest.mark.parametrize("lost", [httpx.ReadTimeout("late"), httpx.RemoteProtocolError("cut"), HTML])
async def test_an_order_is_never_sent_twice_when_its_answer_is_lost(
    lost: httpx.Response | httpx.TransportError,
) -> None:
    wire = Wire(list=listing(), keys=KEYS, rent=lost)
    with pytest.raises(LaunchUnsettled):
        await wire.provider().launch(_order())
    assert wire.calls().count("rent") == 1


async def test_an_order_without_an_instance_in_its_answer_is_settled_by_its_label() -> None:
    wire = Wire(list=[listing(), listing(INSTANCE)], keys=KEYS, rent=YES, attach=YES)
    assert (await wire.provider().launch(_order())).adopted


async def test_a_no_that_nobody_has_seen_before_is_settled_by_the_label() -> None:
    wire = Wire(list=listing(), keys=KEYS, rent=no(200, "a_new_code", "who knows"))
    with pytest.raises(LaunchUnsettled, match="who knows"):
        await wire.provider().launch(_order())


async def test_an_order_that_never_left_is_simply_not_placed() -> None:
    wire = Wire(list=listing(), keys=KEYS, rent=httpx.ConnectError("refused"))
    with pytest.raises(ProviderUnavailable):
        await wire.provider().launch(_order())
    assert wire.calls() == ["list", "keys", "rent"]


async def test_an_order_that_came_too_early_is_not_repeated_by_the_driver() -> None:
    wire = Wire(list=listing(), keys=KEYS, rent=httpx.Response(429, text="endpoint threshold=4.5"))
    with pytest.raises(RateLimited) as refused:
        await wire.provider().launch(_order())
    assert refused.value.retry_after >= timedelta(seconds=12)
    assert wire.calls().count("rent") == 1


async def test_an_account_without_money_asks_for_a_person() -> None:
    wire = Wire(list=listing(), keys=KEYS, rent=no(200, "insufficient_credit"))
    with pytest.raises(OutOfCredit):
        await wire.provider().launch(_order())


@pytest.mark.parametrize("named", [29817740, "29817740"])
async def test_a_machine_that_exists_although_nobody_can_pay_for_it_is_destroyed(named: object) -> None:
    refused = no(200, "insufficient_credit", new_contract=named)
    wire = Wire(list=listing(), keys=KEYS, rent=refused, destroy=YES, show=NOT_FOUND)
    with pytest.raises(OutOfCredit):
        await wire.provider().launch(_order())
    assert wire.calls() == ["list", "keys", "rent", "destroy", "show"]


async def test_a_machine_may_be_named_in_digits() -> None:
    accepted = httpx.Response(200, json={"success": True, "new_contract": "29817740"})
    wire = Wire(list=listing(), keys=KEYS, rent=accepted)
    result = await wire.provider().launch(_order())
    assert result.instance is not None and result.instance.instance_id == "29817740" and not result.adopted


async def test_a_wrong_order_is_our_mistake_and_not_a_gone_offer() -> None:
    wire = Wire(list=listing(), keys=KEYS, rent=no(400, "invalid_args", "error 400/3405: image is required"))
    with pytest.raises(RequestRejected):
        await wire.provider().launch(_order())


async def test_an_interruptible_offer_without_a_bid_is_not_ordered() -> None:
    wire = Wire(list=listing())
    with pytest.raises(RequestRejected):
        await wire.provider().launch(_order(replace(BID, bid=None)))
    assert wire.calls() == ["list"]


async def test_a_repeated_order_waits_until_what_it_may_have_rented_is_listed() -> None:
    wire = Wire(list=[listing(), listing(), listing(INSTANCE)], attach=YES)
    provider = wire.provider(listing_lag=timedelta(seconds=30))
    assert (await provider.launch(replace(_order(), repeated=True))).adopted
    assert wire.calls() == ["list", "list", "list", "attach"]


async def test_a_repeated_order_that_left_no_trace_rents() -> None:
    wire = Wire(list=listing(), keys=KEYS, rent=ACCEPTED)
    provider = wire.provider(listing_lag=timedelta(seconds=3))
    assert not (await provider.launch(replace(_order(), repeated=True))).adopted
    assert wire.calls().count("list") > 2


async def test_a_repeated_order_rents_nothing_while_the_list_fails() -> None:
    wire = Wire(list=HTML)
    with pytest.raises(ProviderUnavailable):
        await wire.provider(listing_lag=timedelta(seconds=3)).launch(replace(_order(), repeated=True))
    assert "rent" not in wire.calls()


async def test_a_list_that_fails_stops_the_order_before_it_is_sent() -> None:
    wire = Wire(list=HTML)
    with pytest.raises(ProviderUnavailable):
        await wire.provider().launch(_order())
    assert wire.calls() == ["list"]
