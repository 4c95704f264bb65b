"""The live lane itself, tried on the simulated market: it reaps, it stops at its limit, it touches nobody else's."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from holdfast.contracts.machines import LaunchOrder, Requirements
from holdfast.providers.base import Provider
from holdfast.settings import ProviderSettings
from holdfast.simcloud.model import Trouble
from tests.live.lane import MARK, Lane, LaneError, open_provider, read
from tests.live.purse import BudgetSpent, Purse
from tests.live.reaping import reap
from tests.simmarket import RunningMarket

ROOT = Path(__file__).parents[2]
LIVE = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "live", "tests/live"]
KEY = {"HOLDFAST_PROVIDERS__VAST__API_KEY": "a-key"}
POLL = timedelta(milliseconds=50)


def environment(market: RunningMarket, **more: str) -> dict[str, str]:
    """An account at the market, as a person would set it."""
    vast = "HOLDFAST_PROVIDERS__VAST__"
    account = {f"{vast}API_KEY": market.api_key, f"{vast}BASE_URL": market.base_url}
    quick = {f"{vast}PACE": "0", f"{vast}LISTING_LAG": "1s", "HOLDFAST_LIVE_POLL": "0.05", "HOLDFAST_LIVE": "1"}
    return os.environ | account | quick | more


def start(market: RunningMarket, **more: str) -> "subprocess.Popen[str]":
    """`make live`, for the market."""
    return subprocess.Popen(LIVE, cwd=ROOT, env=environment(market, **more), stdout=subprocess.PIPE, text=True)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def labels(market: RunningMarket) -> list[str]:
    with market.control as control:
        return [str(each["label"]) for each in control.instances()]


def bill(market: RunningMarket) -> Decimal:
    with market.control as control:
        return Decimal(control.bill()["total"])


def account(market: RunningMarket) -> Provider:
    settings = ProviderSettings(api_key=SecretStr(market.api_key), base_url=market.base_url, pace=0)
    return open_provider("vast", settings)


async def rent(provider: Provider, label: str) -> None:
    """A machine that some other program rented."""
    offer = (await provider.search_offers(Requirements(gpu="RTX 3090")))[0]
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== somebody"
    order = LaunchOrder(offer=offer, label=label, image="ubuntu:24.04", disk_gb=10, ssh_public_key=key)
    assert (await provider.launch(order)).instance is not None


async def test_a_run_passes_and_leaves_nothing_but_what_was_there_before(market: RunningMarket) -> None:
    provider = account(market)
    await rent(provider, "somebody-elses.e1")
    await provider.close()
    run = start(market)
    told, _ = run.communicate()
    assert run.returncode == 0, told
    assert int(told.rsplit(" passed", 1)[0].split()[-1]) >= 20
    assert "vast: nothing is left" in told
    assert labels(market) == ["somebody-elses.e1"]
    assert bill(market) <= Decimal(told.split("at most $")[1].split(" ")[0])


def test_a_run_stops_before_it_could_spend_more_than_its_budget(market: RunningMarket) -> None:
    run = start(market, HOLDFAST_LIVE_BUDGET="0.15")
    told, _ = run.communicate()
    assert run.returncode == 1
    assert "raise HOLDFAST_LIVE_BUDGET to go on" in told
    assert "vast: nothing is left" in told
    assert labels(market) == []
    assert bill(market) < Decimal("0.15")


def test_a_run_that_can_afford_nothing_rents_nothing(market: RunningMarket) -> None:
    run = start(market, HOLDFAST_LIVE_BUDGET="0.001")
    told, _ = run.communicate()
    assert (run.returncode, "the live run stops" in told) == (1, True)
    assert bill(market) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_ends_its_machines(market: RunningMarket, number: signal.Signals) -> None:
    run = start(market)
    until(lambda: labels(market))
    run.send_signal(number)
    told, _ = run.communicate()
    assert run.returncode == 2, told
    assert "vast: nothing is left" in told
    assert labels(market) == []


def test_what_a_killed_run_left_is_ended_by_hand(market: RunningMarket) -> None:
    run = start(market)
    until(lambda: any(label.startswith(MARK) for label in labels(market)))
    run.kill()
    run.communicate()
    assert labels(market)
    by_hand = [sys.executable, "-m", "tests.live.reaping"]
    done = subprocess.run(by_hand, cwd=ROOT, env=environment(market), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "vast: 0 machines of live runs are left\n"), done.stderr
    assert labels(market) == []


async def test_reaping_trusts_no_listing_that_fails_or_comes_late(market: RunningMarket) -> None:
    provider = account(market)
    with market.control as control:
        control.set_listing_lag(timedelta(seconds=1))
        await rent(provider, f"{MARK}late.e1")
        await rent(provider, "somebody-elses.e1")
        control.add_fault(Trouble.HTTP_ERROR, endpoint="list", times=3)
        assert await reap(provider, MARK, poll=POLL, quiet=timedelta(seconds=2)) == []
        assert [each["label"] for each in control.instances()] == ["somebody-elses.e1"]
    await provider.close()


def test_without_a_word_or_a_key_there_is_no_run() -> None:
    assert "HOLDFAST_LIVE=1 is not set" in str(read(KEY))
    assert "no provider has a key" in str(read({"HOLDFAST_LIVE": "1"}))


@pytest.mark.parametrize("amount", ["-1", "0", "much", "nan"])
def test_a_limit_that_is_none_starts_no_run(monkeypatch: pytest.MonkeyPatch, amount: str) -> None:
    monkeypatch.setenv("HOLDFAST_PROVIDERS__VAST__API_KEY", "a-key")
    with pytest.raises(LaneError, match="HOLDFAST_LIVE_BUDGET"):
        read(KEY | {"HOLDFAST_LIVE": "1", "HOLDFAST_LIVE_BUDGET": amount})
    assert isinstance(read(KEY | {"HOLDFAST_LIVE": "1"}), Lane)


def test_a_purse_sets_aside_what_every_open_machine_may_cost() -> None:
    now = [0.0]
    purse = Purse(Decimal(1), longest=timedelta(hours=1), clock=lambda: now[0])
    purse.reserve("vast", "a.e1", Decimal("0.5"))
    purse.reserve("vast", "a.e1", Decimal("0.5"))  # the same order again
    purse.reserve("vast", "b.e1", Decimal("0.5"))
    with pytest.raises(BudgetSpent):
        purse.reserve("vast", "c.e1", Decimal("0.01"))
    now[0] = 1800.0
    purse.settle("vast", "a.e1")
    assert purse.spent == Decimal("0.5")
    purse.reserve("vast", "a.e1", Decimal("0.25"))  # used again after its end: another machine
    now[0] = 3600.0
    purse.settle_all("vast")
    assert purse.spent == Decimal("0.875")
