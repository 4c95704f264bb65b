"""Starting the market, its secrets, and what the control API tells."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from holdfast.simcloud.control import SimControl, SimError, SimUnreachable
from holdfast.simcloud.vast.access import Logs
from holdfast.simcloud.vast.routes import endpoints
from tests.simmarket import RunningMarket
from tests.unit.simcloud.conftest import SlowBody, Tenant, until


def test_two_markets_never_share_a_data_directory(shared_market: RunningMarket) -> None:
    second = RunningMarket(data_dir=shared_market.data_dir, profile=shared_market.profile)
    with pytest.raises(AssertionError, match="did not start"):
        second.start()


def test_a_taken_port_is_refused(shared_market: RunningMarket, tmp_path: Path) -> None:
    port = int(shared_market.base_url.rsplit(":", 1)[1])
    other = RunningMarket(data_dir=tmp_path / "other", profile=shared_market.profile, _port=port)
    with pytest.raises(AssertionError, match="did not start"):
        other.start()


def test_secrets_are_readable_by_their_owner_only(shared_market: RunningMarket, tenant: Tenant) -> None:
    tenant.rent_running()
    for path in (shared_market.data_dir / "control.token", *shared_market.data_dir.glob("instances/*/spec.json")):
        assert path.stat().st_mode & 0o077 == 0


def test_the_control_needs_its_token(shared_market: RunningMarket, tmp_path: Path) -> None:
    with SimControl(shared_market.base_url, "wrong") as stranger, pytest.raises(SimError, match="token"):
        stranger.instances()
    with pytest.raises(SimUnreachable):
        SimControl.of_data_dir(tmp_path)


def test_every_call_of_the_market_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "simulated-market.md").read_text()
    paths = {re.sub(r":int}", "}", endpoint.path).rstrip("/") for endpoint in endpoints(Logs())}
    assert [path for path in sorted(paths) if f"{path}/`" not in page] == []


def test_the_audit_tells_who_was_alive(shared_market: RunningMarket, tenant: Tenant) -> None:
    number = tenant.rent_running()
    with shared_market.control as control:
        born = datetime.fromisoformat(control.instances()[0]["created_at"])
        control.destroy_all()
        assert control.alive_at(born) == [number]
        assert control.alive_at(born - timedelta(seconds=1)) == []
        until(lambda: not list((shared_market.data_dir / "instances").iterdir()))


def test_a_slow_change_of_the_account_does_not_undo_the_bill(shared_market: RunningMarket, tenant: Tenant) -> None:
    number = tenant.rent_running()
    with shared_market.control as control, panel(shared_market) as http:
        with SlowBody(http, "PATCH", "/sim/account", {"listing_lag": 0}) as call:
            tenant.http.delete(f"/api/v0/instances/{number}/").raise_for_status()
            left = tenant.http.get("/api/v0/users/current/").json()["credit"]
            assert call.finish() == 200
        assert tenant.http.get("/api/v0/users/current/").json()["credit"] == left
        assert control.instances() == []


@pytest.mark.parametrize("nonsense", ["NaN", "Infinity", "much", None])
def test_an_amount_that_cannot_be_reckoned_with_is_refused(shared_market: RunningMarket, nonsense: str | None) -> None:
    with panel(shared_market) as http:
        for path, name in [("/sim/account", "credit"), ("/sim/account", "listing_lag"), ("/sim/offers/1", "price")]:
            assert http.patch(path, json={name: nonsense}).status_code == 400
        assert http.get("/sim/offers").status_code == 200


def panel(market: RunningMarket) -> httpx.Client:
    token = (market.data_dir / "control.token").read_text().strip()
    return httpx.Client(base_url=market.base_url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
