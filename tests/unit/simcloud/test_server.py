"""Starting the market, its secrets, and what the control API tells."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from holdfast.simcloud.control import SimControl, SimError, SimUnreachable
from tests.simmarket import RunningMarket
from tests.unit.simcloud.conftest import Tenant, until


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


def test_the_audit_tells_who_was_alive(shared_market: RunningMarket, tenant: Tenant) -> None:
    number = tenant.rent_running()
    with shared_market.control as control:
        born = datetime.fromisoformat(control.instances()[0]["created_at"])
        control.destroy_all()
        assert control.alive_at(born) == [number]
        assert control.alive_at(born - timedelta(seconds=1)) == []
        until(lambda: not list((shared_market.data_dir / "instances").iterdir()))
