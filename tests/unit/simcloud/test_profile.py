"""The market's profile: data that ships with the package, and changes to it."""

from pathlib import Path

import pytest

from holdfast.simcloud.clock import SetClock
from holdfast.simcloud.profile import BadProfile, load, open_market
from holdfast.simcloud.store import Store
from tests.unit.simcloud.conftest import START


def test_the_default_profile_opens_a_market_with_something_of_everything(tmp_path: Path) -> None:
    store = Store(tmp_path / "market.db")
    open_market(store, load(None), SetClock(START).now())
    slots = store.slots.all()
    assert len(slots) >= 24
    assert {"RTX 4090", "RTX 3090", "A100 SXM4", "H100 SXM"} <= {slot.hardware.gpu for slot in slots}
    assert len({slot.hardware.region for slot in slots}) > 8
    assert all(slot.min_bid < slot.price for slot in slots)


@pytest.mark.parametrize("provider", ["vast", "tensordock"])
def test_every_provider_has_a_market_of_its_own(provider: str) -> None:
    profile = load(None, provider)
    assert {line.gpu for line in profile.slots} >= {"RTX 4090", "A100 SXM4", "H100 SXM"}
    others = {line.machine for line in load(None, "vast" if provider != "vast" else "tensordock").slots}
    assert not others & {line.machine for line in profile.slots}


def test_a_profile_may_change_another_providers_market_only(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text("extends: default\ncredit: 7\nproviders: {tensordock: {credit: 5}}\n")
    assert (load(path).credit, load(path, "tensordock").credit) == (7, 5)


def test_the_same_profile_opens_the_same_market(tmp_path: Path) -> None:
    stores = [Store(tmp_path / name) for name in ("one.db", "two.db")]
    for store in stores:
        open_market(store, load(None), START)
    assert stores[0].slots.all() == stores[1].slots.all()


def test_a_profile_changes_only_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text("extends: default\nboot: {kind: constant, seconds: 3}\ncontract_days: {low: 1}\n")
    profile, default = load(path), load(None)
    assert profile.boot.model_dump() == {"kind": "constant", "seconds": 3.0}
    assert (profile.contract_days.low, profile.contract_days.high) == (1, default.contract_days.high)
    assert profile.slots == default.slots


@pytest.mark.parametrize(
    "text",
    [
        "extends: default\nlisting_lagg: 3\n",
        "extends: default\nboot: {kind: never}\n",
        "extends: default\ngpus: 5\n",
        "extends: default\nslots: [{gpu: RTX 9999, price: 1, bid: 1, machine: 1, host: 1, region: 'Oslo, NO'}]\n",
        "- a list\n",
        "extends: [\n",
    ],
)
def test_a_bad_profile_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(text)
    with pytest.raises(BadProfile, match="profile"):
        load(path)


def test_a_missing_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadProfile, match="nowhere"):
        load(tmp_path / "nowhere.yaml")
